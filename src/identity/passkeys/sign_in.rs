//! Signing in with a passkey, and proving with one who is there.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    REFUSED,
    ceremony::{Assertion, Purpose},
};
use crate::{
    error::Result,
    id::UserId,
    identity::{
        Context, Entrance, Entry, Identity, Inner,
        history::Method,
        limits::{Purpose as Limited, Secret},
        missing_mapping, rejected,
    },
    store::audit::{Actor, Event},
};

impl Identity {
    /// Begins a sign-in with a passkey: gives what `PublicKeyCredential.parseRequestOptionsFromJSON` takes, the same for
    /// everybody but for the challenge. It is to be finished within 5 minutes.
    ///
    /// # Errors
    /// [`crate::error::Error::RateLimited`], [`crate::error::Error::Internal`], [`crate::error::Error::StoreAway`].
    pub async fn begin_passkey_sign_in(&self, from: &Context) -> Result<Value> {
        self.0.gate.pass(Limited::Passkey, None, from, self.0.now()).await?;
        // Anybody may ask; what it is used for leaves a trace.
        self.0.ask_for_passkey(Purpose::SignIn, None, None).await
    }

    /// Opens a session for the person whose passkey answered, in the form of `PublicKeyCredential.toJSON`. It leaves on its
    /// device what a sign-in with the password leaves.
    ///
    /// # Errors
    /// [`crate::error::Error::Rejected`] with `PASSKEY_REFUSED`, whatever is wrong, or with `MAPPING_MISSING` for an account
    /// whose data cannot be found; [`crate::error::Error::RateLimited`] after failures from the same network address;
    /// [`crate::error::Error::Maintenance`].
    pub async fn sign_in_with_passkey(&self, credential: &Value, entry: &Entry<'_>) -> Result<Entrance> {
        let this = &*self.0;
        this.check_open()?;
        let (began, now, context) = (Instant::now(), this.now(), entry.from);
        let answer = Assertion::read(credential);
        // Nobody is known yet: what the device calls the passkey stands for the account; or the device, where anybody signed in
        // before.
        let guess = match this.known_device(entry.device, now).await? {
            Some(device) => this.gate.guess_on_device(Secret::Passkey, b"", &device, context, now).await?,
            None => {
                let passkey = answer.as_ref().map(Assertion::credential_id).unwrap_or_default();
                this.gate.guess(Secret::Passkey, &passkey, context, now).await?
            }
        };
        let proved = this.owner_of(answer, Purpose::SignIn, None, context, now).await;
        match &proved {
            Ok(Some(_)) => this.gate.right(guess).await,
            Ok(None) => {}
            Err(_) => this.gate.untried(guess).await,
        }
        let owner = match proved? {
            Some(user) => this.store.user(user).await?,
            None => None,
        };
        let Some((user, email)) = owner else {
            this.store
                .audit(context.event("session.create", Actor::Nobody, now).refused(REFUSED.code))
                .await?;
            this.hold(began).await;
            return Err(rejected(REFUSED));
        };
        if this.store.mapping_of_user(user.id).await?.is_none() {
            return Err(missing_mapping(user.id));
        }
        let known = this.known(&email, entry.device, now).await?;
        let tx = this.store.begin().await?;
        this.enter(tx, &user, &email, Method::Passkey, known, false, context).await
    }
}

impl Inner {
    /// Begins a ceremony in which any passkey may answer, which `event` tells of.
    pub(in crate::identity) async fn ask_for_passkey(
        &self,
        purpose: Purpose,
        session: Option<Uuid>,
        event: Option<Event>,
    ) -> Result<Value> {
        let now = self.now();
        let begun = self.site.authentication()?;
        let mut tx = self.store.begin().await?;
        tx.insert_ceremony(&begun.row(purpose, session, now), now).await?;
        if let Some(event) = event {
            tx.audit(event);
        }
        tx.commit().await?;
        Ok(begun.options)
    }

    /// Whose passkey answered; `None` when the answer is not right, the ceremony was none of this purpose and session, ran
    /// out, or was answered before, the passkey is unknown, or its owner disabled.
    pub(in crate::identity) async fn passkey_owner(
        &self,
        credential: &Value,
        purpose: Purpose,
        session: Option<Uuid>,
        context: &Context,
        now: DateTime<Utc>,
    ) -> Result<Option<UserId>> {
        self.owner_of(Assertion::read(credential), purpose, session, context, now).await
    }

    async fn owner_of(
        &self,
        answer: Option<Assertion>,
        purpose: Purpose,
        session: Option<Uuid>,
        context: &Context,
        now: DateTime<Utc>,
    ) -> Result<Option<UserId>> {
        let Some(answer) = answer else { return Ok(None) };
        let taken =
            self.store.take_ceremony(&answer.challenge_hash(), purpose.as_str(), session, now).await?;
        let Some(state) = taken else { return Ok(None) };
        let known = self.store.passkey_by_credential(&answer.credential_id()).await?;
        let Some(passkey) = known.filter(|passkey| passkey.disabled_at.is_none()) else { return Ok(None) };
        let Some(new) = self.site.used(&state, &answer, &passkey)? else { return Ok(None) };
        let mut tx = self.store.begin().await?;
        if !tx.use_passkey(passkey.passkey_id, &passkey.state, &new, now).await? {
            return Ok(None);
        }
        let user = UserId(passkey.user_id);
        let event = context.event("passkey.use", Actor::User(user), now);
        tx.audit(event.with("passkey", passkey.passkey_id).with("purpose", purpose.as_str()));
        tx.commit().await?;
        Ok(Some(user))
    }
}
