//! What customers allow partners: who asks for what, and what stands.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{
    context::Ask,
    node::{key_of, opaque},
    refusal::parted,
    session::UserErrorNode,
    sign_up::Language,
};
use crate::{
    error::Result,
    identity::{Consent, PartnerGrant, Scope},
};

const KIND: &str = "PartnerGrant";

/// What a customer allows a partner.
#[derive(SimpleObject)]
#[graphql(name = "PartnerGrant")]
pub(super) struct GrantNode {
    /// For `grantRevoke`. Opaque.
    id: ID,
    /// What the partner calls itself.
    client_id: String,
    /// What people call it.
    partner_name: String,
    /// What is allowed: scopes by their names, `billing:read`.
    scopes: Vec<String>,
    /// When it was allowed.
    created_at: DateTime<Utc>,
}

impl From<PartnerGrant> for GrantNode {
    fn from(grant: PartnerGrant) -> Self {
        Self {
            id: opaque(KIND, grant.id),
            client_id: grant.client_id,
            partner_name: grant.partner_name,
            scopes: grant.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            created_at: grant.created_at,
        }
    }
}

/// Something that a partner may be allowed.
#[derive(SimpleObject)]
pub(super) struct PartnerScope {
    /// Its name: `billing:read`.
    name: String,
    /// What it lets the partner do, for the customer to read.
    description: String,
}

impl PartnerScope {
    fn new(scope: Scope, language: Language) -> Self {
        let (english, japanese) = scope.told();
        let description = match language {
            Language::English => english,
            Language::Japanese => japanese,
        };
        Self { name: scope.as_str().to_owned(), description: description.to_owned() }
    }
}

/// Who asks a customer for something, and for what.
#[derive(SimpleObject)]
pub(super) struct PartnerConsent {
    /// What the partner calls itself.
    client_id: String,
    /// What people call it.
    partner_name: String,
    /// What it asks for.
    scopes: Vec<PartnerScope>,
    /// What is allowed already, which `grantCreate` replaces. Null when nothing is.
    grant: Option<GrantNode>,
}

impl PartnerConsent {
    pub(super) fn new(asked: Consent, language: Language) -> Self {
        Self {
            client_id: asked.client_id,
            partner_name: asked.partner_name,
            scopes: asked.scopes.iter().map(|scope| PartnerScope::new(scope, language)).collect(),
            grant: asked.grant.map(GrantNode::from),
        }
    }
}

/// What is to be allowed, and to whom.
#[derive(InputObject)]
pub(super) struct GrantCreateInput {
    /// What the partner calls itself.
    client_id: String,
    /// What it shall be allowed: scopes by their names, at least one. What is left out is allowed no more.
    scopes: Vec<String>,
}

/// The grant to be taken back.
#[derive(InputObject)]
pub(super) struct GrantRevokeInput {
    /// Its id.
    id: ID,
}

/// The answer to allowing something.
#[derive(SimpleObject)]
pub(super) struct GrantCreatePayload {
    /// What is allowed now. Null when it was refused.
    grant: Option<GrantNode>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// The answer to taking a grant back.
#[derive(SimpleObject)]
pub(super) struct GrantRevokePayload {
    /// Whether it stood until now. The partner sees nothing more within 5 seconds everywhere.
    revoked: bool,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What can be allowed, and taken back.
#[derive(Default)]
pub struct GrantMutation;

/// What can be allowed, and taken back.
#[Object]
impl GrantMutation {
    /// Allows a partner to see something of this customer. Needs a proof of who is there that is not older than 5 minutes: see
    /// `stepUp`.
    async fn grant_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What, and to whom.")] input: GrantCreateInput,
    ) -> Option<Result<GrantCreatePayload>> {
        let act = async {
            let identity = &ctx.app()?.identity;
            let made = identity.create_grant(ctx.viewer()?, &input.client_id, &input.scopes).await;
            let (grant, user_errors) = parted(ctx, "grant.create", made).await?;
            Ok(GrantCreatePayload { grant: grant.map(GrantNode::from), user_errors })
        };
        Some(act.await)
    }

    /// Takes back what a partner was allowed.
    async fn grant_revoke(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which one.")] input: GrantRevokeInput,
    ) -> Option<Result<GrantRevokePayload>> {
        let act = async {
            let id = key_of("input.id", KIND, &input.id)?;
            let revoked = ctx.app()?.identity.revoke_grant(ctx.viewer()?, id).await?;
            Ok(GrantRevokePayload { revoked, user_errors: Vec::new() })
        };
        Some(act.await)
    }
}
