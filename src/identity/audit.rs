//! What the audit log keeps of where an act came from, and for how long.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Error, Result, UserError},
    identity::{
        Caller, Context, Identity, Viewer, limits::network_of, origin::user_agent_class, signing::LOOK_EVERY,
    },
    store::audit::{Actor, Event, Origin},
};

/// How often old events are looked for.
const PURGE_EVERY: Duration = Duration::from_secs(60 * 60);

impl Context {
    /// Who acts, as far as the context knows.
    pub(super) fn actor(&self) -> Actor {
        self.user.map_or(Actor::Nobody, Actor::User)
    }

    /// What the audit log is to say of an act that came from here. `act` is a thing and what was done to it:
    /// `session.create`.
    pub fn event(&self, act: &'static str, actor: Actor, at: DateTime<Utc>) -> Event {
        Event::done(act, actor, at).from(Origin {
            request_id: self.request_id.clone(),
            network: self.address.map(network_of),
            user_agent_class: self.user_agent.as_deref().map(user_agent_class),
            on_record: self.on_record.clone(),
        })
    }

    /// Notes that the log has this refusal: whoever ended what this request began wrote it.
    pub fn noted(&self, refused: &Error) {
        if let Error::Rejected(errors) = refused {
            self.on_record.add(code_of(errors));
        }
    }
}

impl Identity {
    /// Notes that somebody was refused something. `what` names it, such as the path of a field. Of those who are not known,
    /// the first from a network in some minutes is noted, so that nobody can fill the log.
    pub async fn note_refusal(
        &self,
        caller: Option<&Caller>,
        viewer: Option<&Viewer>,
        from: &Context,
        code: &'static str,
        what: &str,
    ) {
        let now = self.0.now();
        let event = match (viewer, caller.and_then(Caller::partner)) {
            (Some(viewer), _) => viewer.event("access", now),
            // It acts for nobody.
            (None, Some(partner)) => from.event("access", Actor::Partner(partner.partner.to_string()), now),
            (None, None) => from.event("access", Actor::Nobody, now),
        };
        let event = event.refused(code).with("field", what);
        if caller.is_none() {
            return self.0.gate.note_stranger(event, from, now).await;
        }
        // They were refused all the same.
        if let Err(error) = self.0.store.audit(event).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a refusal is missing in the audit log");
        }
    }

    /// Notes that an act was refused to whoever asks, unless the act has done so itself. Of those who are not known, the first
    /// of a network, an act and a reason in some minutes is noted.
    ///
    /// # Errors
    /// [`Error::StoreAway`], [`Error::Internal`]: what is not on record is not told either.
    pub async fn note_rejection(
        &self,
        viewer: Option<&Viewer>,
        from: &Context,
        act: &'static str,
        errors: &[UserError],
    ) -> Result<()> {
        let (now, code) = (self.0.now(), code_of(errors));
        if from.on_record.take(code) {
            return Ok(());
        }
        match viewer {
            Some(viewer) => self.0.store.audit(viewer.event(act, now).refused(code)).await?,
            None => {
                let event = from.event(act, Actor::Nobody, now).refused(code);
                self.0.gate.note_stranger(event, from, now).await;
            }
        }
        // It need not be asked for again.
        from.on_record.take(code);
        Ok(())
    }

    /// Deletes what is older than the audit log is kept, and what ran out, and looks for new keys of the access tokens, from
    /// time to time, until `stopping` is cancelled.
    pub async fn keep_house(&self, stopping: CancellationToken) {
        let (mut purges, mut looks) = (tokio::time::interval(PURGE_EVERY), tokio::time::interval(LOOK_EVERY));
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                _ = looks.tick() => self.look_for_keys().await,
                _ = purges.tick() => {
                    self.purge_audit(&stopping).await;
                    self.0.purge().await;
                }
            }
        }
    }

    async fn look_for_keys(&self) {
        if let Err(error) = self.0.tokens.keys().look(self.0.now()).await {
            // What is known stays in use.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the keys of the access tokens cannot be looked at now"
            );
        }
    }

    async fn purge_audit(&self, stopping: &CancellationToken) {
        let keep = TimeDelta::from_std(self.0.audit_keep).unwrap_or(TimeDelta::MAX);
        let Some(before) = self.0.now().checked_sub_signed(keep) else { return };
        while !stopping.is_cancelled() {
            match self.0.store.purge_audit(before).await {
                Ok(0) => return,
                Ok(purged) => tracing::info!(purged, "old events of the audit log were deleted"),
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the audit log cannot be purged now"
                    );
                    return;
                }
            }
        }
    }
}

/// The code by which the log knows a refusal.
pub(super) fn code_of(errors: &[UserError]) -> &'static str {
    errors.first().map_or("REFUSED", |error| error.code)
}
