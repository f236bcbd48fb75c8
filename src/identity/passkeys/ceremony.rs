//! The two ceremonies of the specification: what is asked of an authenticator, and whether its answer is right.

use std::convert::Infallible;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use webauthn_rp::{
    AuthenticatedCredential, DiscoverableAuthentication64, DiscoverableAuthenticationServerState,
    DiscoverableCredentialRequestOptions, PublicKeyCredentialCreationOptions, Registration,
    RegistrationServerState,
    bin::{Decode, Encode},
    request::{
        AsciiDomain, PublicKeyCredentialDescriptor, RpId,
        auth::AuthenticationVerificationOptions,
        register::{
            PublicKeyCredentialUserEntity, RegistrationVerificationOptions, USER_HANDLE_MAX_LEN,
            UserHandle64, Username,
        },
    },
    response::{
        AuthTransports, Backup, CredentialId, SentChallenge,
        auth::error::AuthCeremonyErr,
        register::{CompressedPubKey, DynamicState, StaticState},
    },
};

use super::Settings;
use crate::{
    error::{Error, Result},
    store::{NewCeremony, PasskeyKey, PasskeyRow},
};

/// How long a ceremony may take. The crate's options say the same to the browser.
const LIFETIME: TimeDelta = TimeDelta::minutes(5);

type Key = StaticState<CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>>;

/// What a ceremony is for. The answer to one is worth nothing for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::identity) enum Purpose {
    Registration,
    SignIn,
    StepUp,
}

impl Purpose {
    pub(in crate::identity) const fn as_str(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::SignIn => "sign-in",
            Self::StepUp => "step-up",
        }
    }
}

/// A ceremony that began.
pub(in crate::identity) struct Begun {
    /// For the browser.
    pub(in crate::identity) options: Value,
    challenge_hash: [u8; 32],
    state: Vec<u8>,
}

impl Begun {
    fn new(options: &impl Serialize, challenge: SentChallenge, state: Vec<u8>) -> Result<Self> {
        let options = serde_json::to_value(options).map_err(Error::internal)?;
        Ok(Self { options, challenge_hash: hash(challenge), state })
    }

    /// The row that waits for the answer.
    pub(in crate::identity) fn row(
        &self,
        purpose: Purpose,
        session: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> NewCeremony<'_> {
        NewCeremony {
            challenge_hash: &self.challenge_hash,
            purpose: purpose.as_str(),
            session,
            state: &self.state,
            expires_at: now + LIFETIME,
        }
    }
}

/// What an authenticator answered that made a passkey. Nothing in it is believed yet.
pub(super) struct Attestation(Registration, SentChallenge);

impl Attestation {
    /// Reads the form of `PublicKeyCredential.toJSON`.
    pub(super) fn read(json: &Value) -> Option<Self> {
        let answer = Registration::from_json_relaxed(json.to_string().as_bytes()).ok()?;
        let challenge = answer.challenge_relaxed().ok()?;
        Some(Self(answer, challenge))
    }

    pub(super) fn challenge_hash(&self) -> [u8; 32] {
        hash(self.1)
    }
}

/// What an authenticator answered that used a passkey. Nothing in it is believed yet.
pub(super) struct Assertion(DiscoverableAuthentication64, SentChallenge);

impl Assertion {
    /// Reads the form of `PublicKeyCredential.toJSON`.
    pub(super) fn read(json: &Value) -> Option<Self> {
        let answer = DiscoverableAuthentication64::from_json_relaxed(json.to_string().as_bytes()).ok()?;
        let challenge = answer.challenge_relaxed().ok()?;
        Some(Self(answer, challenge))
    }

    pub(super) fn challenge_hash(&self) -> [u8; 32] {
        hash(self.1)
    }

    pub(super) fn credential_id(&self) -> Vec<u8> {
        self.0.raw_id().as_ref().to_vec()
    }
}

/// What is to be kept of a passkey that was made.
pub(super) struct Made {
    pub(super) credential_id: Vec<u8>,
    pub(super) public_key: Vec<u8>,
    pub(super) state: Vec<u8>,
    pub(super) transports: u8,
    pub(super) handle: [u8; USER_HANDLE_MAX_LEN],
}

/// The site to which passkeys belong.
pub(in crate::identity) struct Site {
    rp: RpId,
    pub(super) settings: Settings,
}

impl Site {
    /// # Errors
    /// [`Error::Internal`] when the domain is none.
    pub(in crate::identity) fn new(settings: &Settings) -> Result<Self> {
        let domain = AsciiDomain::try_from(settings.rp_id.clone()).map_err(Error::internal)?;
        Ok(Self { rp: RpId::Domain(domain), settings: settings.clone() })
    }

    /// Passkeys of one person at most.
    pub(super) fn most(&self) -> usize {
        usize::try_from(self.settings.most).unwrap_or(usize::MAX)
    }

    /// Asks for a new passkey: one that is found without a name, and whose authenticator verifies its owner. Those that
    /// hold one of this person already are left out.
    pub(super) fn registration(&self, handle: &[u8], name: &str, known: &[PasskeyRow]) -> Result<Begun> {
        let handle = read_handle(handle)?;
        let mut user = PublicKeyCredentialUserEntity::from(&handle);
        // What the person picks from, on their own device.
        if let Ok(name) = Username::try_from(name) {
            user.name = name;
        }
        let known = known.iter().map(descriptor).collect::<Result<Vec<_>>>()?;
        let (state, options) = PublicKeyCredentialCreationOptions::passkey(&self.rp, user, known)
            .start_ceremony()
            .map_err(Error::internal)?;
        let challenge = SentChallenge(options.options().challenge.as_data());
        Begun::new(&options, challenge, state.encode().map_err(Error::internal)?)
    }

    /// Asks for a passkey, whoever's it is.
    pub(in crate::identity) fn authentication(&self) -> Result<Begun> {
        let (state, options) = DiscoverableCredentialRequestOptions::passkey(&self.rp)
            .start_ceremony()
            .map_err(Error::internal)?;
        let challenge = SentChallenge(options.options().0.challenge.as_data());
        Begun::new(&options, challenge, state.encode().map_err(Error::internal)?)
    }

    /// The passkey that was made; `None` when the answer is not right.
    pub(super) fn registered(&self, state: &[u8], answer: &Attestation) -> Option<Made> {
        let state = RegistrationServerState::<USER_HANDLE_MAX_LEN>::decode(state).ok()?;
        let options = RegistrationVerificationOptions::<'_, '_, String, String> {
            allowed_origins: &self.settings.origins,
            // What a browser adds unasked is none of our business.
            error_on_unsolicited_extensions: false,
            ..RegistrationVerificationOptions::default()
        };
        let made = match state.verify(&self.rp, &answer.0, &options) {
            Ok(made) => made,
            Err(reason) => {
                tracing::debug!(%reason, "a passkey was not registered");
                return None;
            }
        };
        let (id, transports, handle, key, state, _) = made.into_parts();
        Some(Made {
            credential_id: id.as_ref().to_vec(),
            public_key: certain(key.encode()),
            state: certain(state.encode()).to_vec(),
            transports: certain(transports.encode()),
            handle: certain(handle.encode()),
        })
    }

    /// The new state of the passkey that was used; `None` when the answer is not right.
    pub(super) fn used(
        &self,
        state: &[u8],
        answer: &Assertion,
        passkey: &PasskeyKey,
    ) -> Result<Option<Vec<u8>>> {
        let Ok(state) = DiscoverableAuthenticationServerState::decode(state) else { return Ok(None) };
        let handle = read_handle(&passkey.handle)?;
        let key = Key::decode(&passkey.public_key).map_err(Error::internal)?;
        let dynamic = read_state(&passkey.state)?;
        let mut credential = AuthenticatedCredential::new(answer.0.raw_id(), &handle, key, dynamic)
            .map_err(Error::internal)?;
        // A counter that did not rise is refused, unless the authenticator keeps none: there may be a copy of the key.
        let options = AuthenticationVerificationOptions::<'_, '_, String, String> {
            allowed_origins: &self.settings.origins,
            error_on_unsolicited_extensions: false,
            ..AuthenticationVerificationOptions::default()
        };
        match state.verify(&self.rp, &answer.0, &mut credential, &options) {
            Ok(_) => Ok(Some(certain(credential.dynamic_state().encode()).to_vec())),
            Err(AuthCeremonyErr::SignatureCounter) => {
                tracing::warn!(passkey = %passkey.passkey_id, "the counter of a passkey did not rise: it may have been copied");
                Ok(None)
            }
            Err(reason) => {
                tracing::debug!(%reason, "a passkey was refused");
                Ok(None)
            }
        }
    }
}

/// A name for authenticators that says nothing about the person.
pub(super) fn new_handle() -> [u8; USER_HANDLE_MAX_LEN] {
    certain(UserHandle64::new().encode())
}

/// Whether a stored state says that the passkey has a copy.
pub(super) fn is_backed_up(state: &[u8]) -> Result<bool> {
    Ok(matches!(read_state(state)?.backup, Backup::Exists))
}

fn read_state(state: &[u8]) -> Result<DynamicState> {
    DynamicState::decode(state.try_into().map_err(Error::internal)?).map_err(Error::internal)
}

fn read_handle(handle: &[u8]) -> Result<UserHandle64> {
    Ok(certain(UserHandle64::decode(handle.try_into().map_err(Error::internal)?)))
}

fn descriptor(row: &PasskeyRow) -> Result<PublicKeyCredentialDescriptor<Vec<u8>>> {
    let transports = u8::try_from(row.transports).map_err(Error::internal)?;
    Ok(PublicKeyCredentialDescriptor {
        id: CredentialId::decode(row.credential_id.clone()).map_err(Error::internal)?,
        transports: AuthTransports::decode(transports).map_err(Error::internal)?,
    })
}

fn hash(challenge: SentChallenge) -> [u8; 32] {
    Sha256::digest(challenge.0.to_be_bytes()).into()
}

/// What cannot fail.
fn certain<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}
