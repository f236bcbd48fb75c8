//! Passkeys: signing in with what a device, a phone or a security key keeps, and no password.
//!
//! A passkey is registered by somebody who is signed in, and signs in without a name being asked for. It is possession of
//! the device and its owner's finger, face or PIN at once, so no code is asked for after it.
//!
//! The rules of the specification are checked by `webauthn_rp`: pure Rust over the same RustCrypto crates that are here
//! already, each step of the specification named where it is taken, no panics, no secrets held. `webauthn-rs` is known
//! better and needs OpenSSL; `passkey-auth` is young. What it leaves to us stands in this room and in the store: where
//! ceremonies wait, that each is answered once, and whose a credential is.
//!
//! Attestation is not asked for: any authenticator will do that verifies its owner. The name under which authenticators
//! know a person is random. Which sites may use a passkey comes from the configuration and never from a request.

mod ceremony;
mod sign_in;

use chrono::{DateTime, Utc};
use uuid::Uuid;

pub(super) use self::ceremony::{Purpose, Site};
use super::{Identity, Inner, rejected};
use crate::{
    error::{Error, Result, UserError},
    identity::Viewer,
    mail::{Language, Mail, Message, SecondFactor},
    seal::Place,
    store::{self, NewPasskey, PasskeyRow, User},
};

/// Characters of a name at most.
const NAME: usize = 64;

/// One error for every fault of a passkey, so that it tells nobody who is registered with what.
const REFUSED: UserError = UserError {
    code: "PASSKEY_REFUSED",
    field: Vec::new(),
    message: "This passkey could not be used. Please begin again.",
};
const TOO_MANY: UserError = UserError {
    code: "PASSKEY_LIMIT",
    field: Vec::new(),
    message: "You have as many passkeys as you may have. Please remove one first.",
};
const BAD_NAME: UserError =
    UserError { code: "PASSKEY_NAME", field: Vec::new(), message: "A name has 1 to 64 characters." };

/// For which site passkeys are, and how many a person may have.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The domain to which passkeys belong: that of the pages, or one above it. A passkey is worth nothing elsewhere, so it
    /// is never changed.
    pub rp_id: String,
    /// Origins of pages and apps that may use them.
    pub origins: Vec<String>,
    /// Passkeys of one person at most.
    pub most: u32,
}

/// A passkey, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Passkey {
    /// Its key.
    pub id: Uuid,
    /// What its owner calls it.
    pub name: String,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it was last used; `None` when it never was.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Whether it outlives the loss of one device, since its keeper copies it to others.
    pub is_backed_up: bool,
}

impl Identity {
    /// The passkeys of a person, in the order in which they were registered.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn passkeys(&self, viewer: &Viewer) -> Result<Vec<Passkey>> {
        viewer.reader().keep_not();
        let rows = self.0.store.passkeys_of_user(viewer.user()).await?;
        rows.into_iter().map(|row| self.0.shown(row)).collect()
    }

    /// Begins the registration of a passkey: gives what `PublicKeyCredential.parseCreationOptionsFromJSON` takes. It is to
    /// be finished within 5 minutes, by the same session.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED` or `PASSKEY_LIMIT`.
    pub async fn begin_passkey(&self, viewer: &Viewer) -> Result<serde_json::Value> {
        let this = &*self.0;
        self.require_fresh(viewer, "passkey.begin").await?;
        let (_, email) = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        let known = this.store.passkeys_of_user(viewer.user()).await?;
        if known.len() >= this.site.most() {
            return Err(rejected(TOO_MANY));
        }
        let now = this.now();
        let mut tx = this.store.begin().await?;
        let handle = tx.passkey_handle(viewer.user(), &ceremony::new_handle()).await?;
        let begun = this.site.registration(&handle, &email, &known)?;
        tx.insert_ceremony(&begun.row(Purpose::Registration, Some(viewer.session()), now), now).await?;
        tx.audit(viewer.event("passkey.begin", now));
        tx.commit().await?;
        Ok(begun.options)
    }

    /// Finishes the registration of a passkey with what the authenticator answered, in the form of
    /// `PublicKeyCredential.toJSON`. Its owner is told by mail.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `PASSKEY_REFUSED`, whatever is wrong with the answer; with `PASSKEY_NAME` (field `name`), after
    /// which it can still be finished; or with `PASSKEY_LIMIT`.
    pub async fn finish_passkey(
        &self,
        viewer: &Viewer,
        credential: &serde_json::Value,
        name: &str,
    ) -> Result<Passkey> {
        let this = &*self.0;
        let now = this.now();
        let name = read_name(name)?;
        let owner = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        let event = viewer.event("passkey.create", now);
        let refused = || rejected(REFUSED);
        let made = match ceremony::Attestation::read(credential) {
            Some(answer) => {
                let (hash, purpose) = (answer.challenge_hash(), Purpose::Registration.as_str());
                let state = this.store.take_ceremony(&hash, purpose, Some(viewer.session()), now).await?;
                state.and_then(|state| this.site.registered(&state, &answer))
            }
            None => None,
        };
        let Some(made) = made else {
            this.store.audit(event.refused(REFUSED.code)).await?;
            return Err(refused());
        };

        let id = Uuid::now_v7();
        let row = PasskeyRow {
            passkey_id: id,
            credential_id: made.credential_id,
            state: made.state,
            transports: made.transports.into(),
            name: this.seal_name(id, &name)?,
            created_at: now,
            last_used_at: None,
        };
        let new = NewPasskey {
            id,
            user: viewer.user(),
            credential_id: &row.credential_id,
            public_key: &made.public_key,
            state: &row.state,
            transports: made.transports,
            name: &row.name,
            created_at: now,
        };
        let mut tx = this.store.begin().await?;
        tx.passkey_handle(viewer.user(), &made.handle).await?;
        match tx.insert_passkey(&new, this.site.settings.most).await {
            Ok(true) => {}
            Ok(false) => return Err(rejected(TOO_MANY)),
            // Another's credential id: the specification asks to refuse it.
            Err(store::Error::Taken) => return Err(refused()),
            Err(other) => return Err(other.into()),
        }
        this.tell(&mut tx, owner, SecondFactor::PasskeyAdded, id).await?;
        tx.audit(event.with("passkey", id));
        tx.commit().await?;
        this.jobs.wake();
        this.shown(row)
    }

    /// Gives a passkey another name; `None` when the person has none of this id.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `PASSKEY_NAME` (field `name`).
    pub async fn rename_passkey(&self, viewer: &Viewer, id: Uuid, name: &str) -> Result<Option<Passkey>> {
        let this = &*self.0;
        let sealed = this.seal_name(id, &read_name(name)?)?;
        let event = viewer.event("passkey.rename", this.now()).with("passkey", id);
        let row = this.store.rename_passkey(viewer.user(), id, &sealed, event).await?;
        row.map(|row| this.shown(row)).transpose()
    }

    /// Removes a passkey, which signs nobody in from then on; false when the person has none of this id. They are told by
    /// mail.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`.
    pub async fn remove_passkey(&self, viewer: &Viewer, id: Uuid) -> Result<bool> {
        let this = &*self.0;
        self.require_fresh(viewer, "passkey.remove").await?;
        let owner = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        let mut tx = this.store.begin().await?;
        if !tx.delete_passkey(viewer.user(), id).await? {
            return Ok(false);
        }
        this.tell(&mut tx, owner, SecondFactor::PasskeyRemoved, id).await?;
        tx.audit(viewer.event("passkey.remove", this.now()).with("passkey", id));
        tx.commit().await?;
        this.jobs.wake();
        Ok(true)
    }
}

impl Inner {
    /// Puts a mail in about what became of a passkey.
    async fn tell(
        &self,
        tx: &mut store::Tx,
        (user, to): (User, String),
        change: SecondFactor,
        passkey: Uuid,
    ) -> Result<()> {
        let message = Message::SecondFactorChanged { change, at: self.now() };
        let verb = if change == SecondFactor::PasskeyAdded { "added" } else { "removed" };
        let mail = Mail { to, language: Language::of(&user.locale), message };
        self.jobs.put(tx, &format!("passkey-{verb}:{passkey}"), &mail).await?;
        Ok(())
    }

    fn seal_name(&self, id: Uuid, name: &str) -> Result<Vec<u8>> {
        self.seals.seal(place(&id), name.as_bytes()).map_err(Error::internal)
    }

    fn shown(&self, row: PasskeyRow) -> Result<Passkey> {
        let name = self.seals.open(place(&row.passkey_id), &row.name).map_err(Error::internal)?;
        Ok(Passkey {
            id: row.passkey_id,
            name: String::from_utf8(name).map_err(Error::internal)?,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            is_backed_up: ceremony::is_backed_up(&row.state)?,
        })
    }
}

fn place(id: &Uuid) -> Place<'_> {
    Place { table: "passkeys", column: "name", row: id.as_bytes() }
}

/// A name without the spaces around it.
fn read_name(name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > NAME || name.chars().any(char::is_control) {
        return Err(rejected(UserError { field: vec!["name"], ..BAD_NAME }));
    }
    Ok(name.to_owned())
}
