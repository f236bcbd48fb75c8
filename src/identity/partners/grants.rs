//! What customers allow partners, and take back.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Scope, Scopes};
use crate::{
    error::{Error, Result, UserError},
    id::{PartnerId, UserId},
    identity::{Identity, Representative, Viewer, rejected},
    mail::{Language, Mail, Message},
    store::{self, GrantRow, NewGrant, PartnerRow},
};

const UNKNOWN: UserError =
    UserError { code: "PARTNER_UNKNOWN", field: Vec::new(), message: "There is no such partner." };
const BAD_SCOPES: UserError =
    UserError { code: "GRANT_SCOPES", field: Vec::new(), message: "This partner cannot be allowed that." };
const NOT_NEEDED: UserError = UserError {
    code: "GRANT_NOT_NEEDED",
    field: Vec::new(),
    message: "This is a program of ours: it needs no grant.",
};

/// What a customer allowed, as they see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnerGrant {
    /// Its key.
    pub id: Uuid,
    /// What the partner calls itself.
    pub client_id: String,
    /// What people call it.
    pub partner_name: String,
    /// What was allowed.
    pub scopes: Scopes,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl From<GrantRow> for PartnerGrant {
    fn from(row: GrantRow) -> Self {
        Self {
            id: row.grant_id,
            client_id: row.client_id,
            partner_name: row.name,
            scopes: Scopes::stored(&row.scopes),
            created_at: row.created_at,
        }
    }
}

/// Who asks a customer for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// What the partner calls itself.
    pub client_id: String,
    /// What people call it.
    pub partner_name: String,
    /// What is asked for.
    pub scopes: Scopes,
    /// What is allowed already.
    pub grant: Option<PartnerGrant>,
}

/// A customer who allowed a partner something, as the partner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The customer.
    pub user: UserId,
    /// What was allowed, of what the partner may still have.
    pub scopes: Scopes,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A page of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customers {
    /// One more than asked for says that there are more.
    pub items: Vec<Granted>,
    /// How many there are in all.
    pub total: usize,
}

impl Identity {
    /// Who it is that asks a customer for something, and for what; `None` when there is no such partner, or it needs no
    /// customer's word.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a scope that is none, or that the partner cannot be allowed.
    pub async fn consent(
        &self,
        viewer: &Viewer,
        client_id: &str,
        scopes: &[String],
    ) -> Result<Option<Consent>> {
        // It changes with the partner, of which no tag tells.
        viewer.reader().keep_not();
        let Some(partner) = self.asking(client_id).await?.filter(|row| !row.is_first_party) else {
            return Ok(None);
        };
        let scopes = read(scopes, &partner).ok_or(Error::BadInput {
            argument: "scopes",
            reason: "must be scopes that this partner may be allowed",
        })?;
        let grant = self.grants(viewer).await?.into_iter().find(|grant| grant.client_id == client_id);
        Ok(Some(Consent { client_id: partner.client_id, partner_name: partner.name, scopes, grant }))
    }

    /// Allows a partner something. What the customer allowed it before is replaced. A mail tells them.
    ///
    /// # Errors
    /// [`Error::Rejected`] with `STEP_UP_REQUIRED`; with `PARTNER_UNKNOWN` or `GRANT_NOT_NEEDED` (field `clientId`); or with
    /// `GRANT_SCOPES` (field `scopes`).
    pub async fn create_grant(
        &self,
        viewer: &Viewer,
        client_id: &str,
        scopes: &[String],
    ) -> Result<PartnerGrant> {
        let this = &*self.0;
        self.require_fresh(viewer, "grant.create").await?;
        let partner = self.asking(client_id).await?;
        let partner = partner.ok_or_else(|| rejected(UserError { field: vec!["clientId"], ..UNKNOWN }))?;
        if partner.is_first_party {
            return Err(rejected(UserError { field: vec!["clientId"], ..NOT_NEEDED }));
        }
        let scopes = read(scopes, &partner);
        let scopes = scopes.ok_or_else(|| rejected(UserError { field: vec!["scopes"], ..BAD_SCOPES }))?;
        let (owner, email) = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        let (now, id, to) = (this.now(), Uuid::now_v7(), PartnerId(partner.partner_id));
        let names = scopes.to_string();
        let grant = NewGrant { id, partner: to, user: viewer.user(), scopes: &names, created_at: now };
        let mut tx = this.store.begin().await?;
        // Of two at once the second waits for the first, and replaces what that stored.
        tx.lock_user(viewer.user()).await?;
        match tx.insert_grant(&grant).await {
            Ok(()) => {}
            Err(store::Error::Taken) => return Err(Error::internal("two grants at once")),
            Err(other) => return Err(other.into()),
        }
        let event = viewer.event("grant.create", now).with("grant", id).with("partner", to);
        tx.audit(event.with("scopes", scopes));
        let language = Language::of(&owner.locale);
        let allowed = scopes.iter().map(|scope| told(scope, language).to_owned()).collect();
        let message = Message::GrantGiven { partner: partner.name.clone(), allowed, at: now };
        let mail = Mail { to: email, language, message };
        this.jobs.put(&mut tx, &format!("grant-given:{id}"), &mail).await?;
        tx.commit().await?;
        this.jobs.wake();
        self.forget_grant(to, viewer.user()).await;
        Ok(PartnerGrant {
            id,
            client_id: partner.client_id,
            partner_name: partner.name,
            scopes,
            created_at: now,
        })
    }

    /// Takes a grant back: it counts no more here at once, and within 5 seconds everywhere. A mail tells the customer. False
    /// when they have none of this id that stands.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn revoke_grant(&self, viewer: &Viewer, id: Uuid) -> Result<bool> {
        let this = &*self.0;
        let (owner, email) = this.store.user(viewer.user()).await?.ok_or(Error::Unauthenticated)?;
        let now = this.now();
        let mut tx = this.store.begin().await?;
        let Some((partner, name)) = tx.revoke_grant(viewer.user(), id, now).await? else { return Ok(false) };
        tx.audit(viewer.event("grant.revoke", now).with("grant", id).with("partner", partner));
        let message = Message::GrantTakenBack { partner: name, at: now };
        let mail = Mail { to: email, language: Language::of(&owner.locale), message };
        this.jobs.put(&mut tx, &format!("grant-taken-back:{id}"), &mail).await?;
        tx.commit().await?;
        this.jobs.wake();
        self.forget_grant(partner, viewer.user()).await;
        Ok(true)
    }

    /// What a customer allows whom, the latest first.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn grants(&self, viewer: &Viewer) -> Result<Vec<PartnerGrant>> {
        viewer.reader().keep_not();
        let rows = self.0.store.grants_of_user(viewer.user()).await?;
        Ok(rows.into_iter().map(PartnerGrant::from).collect())
    }

    /// The customers who allowed a partner something, in the order of their ids.
    ///
    /// # Errors
    /// [`Error::Internal`] when the store fails.
    pub async fn customers_of(
        &self,
        caller: &Representative,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Customers> {
        let (rows, total) = self.0.store.grants_of_partner(caller.partner, after, limit).await?;
        let item = |row: store::GrantedRow| Granted {
            user: UserId(row.user_id),
            scopes: Scopes::stored(&row.scopes).and(caller.scopes),
            created_at: row.created_at,
        };
        let total = usize::try_from(total).unwrap_or(0);
        Ok(Customers { items: rows.into_iter().map(item).collect(), total })
    }

    async fn asking(&self, client_id: &str) -> Result<Option<PartnerRow>> {
        let row = self.0.store.partner_by_client_id(client_id).await?;
        Ok(row.filter(|row| row.revoked_at.is_none()))
    }

    /// Believes nothing any more of what a customer allowed a partner.
    async fn forget_grant(&self, partner: PartnerId, user: UserId) {
        self.0.partners.grants.invalidate(&(partner, user)).await;
        self.0.sessions.doubt();
    }
}

/// What a scope lets a partner do, for the customer to read.
fn told(scope: Scope, language: Language) -> &'static str {
    let (english, japanese) = scope.told();
    match language {
        Language::English => english,
        Language::Japanese => japanese,
    }
}

/// Scopes by their names: at least one, each one that the partner may be allowed.
fn read(names: &[String], partner: &PartnerRow) -> Option<Scopes> {
    let scopes: Option<Scopes> = names.iter().map(|name| Scope::parse(name)).collect();
    scopes.filter(|scopes| !scopes.is_empty() && scopes.is_within(Scopes::stored(&partner.scopes)))
}
