//! All that is known of the customer, for themselves.

use async_graphql::{Context, ID, Object, SimpleObject};
use chrono::{DateTime, Utc};

use super::{context::Ask, node::opaque, session::UserErrorNode};
use crate::{
    error::Result,
    workflows::export::{Export, Part},
};

/// What the customer asked to be given of all that is known of them: one JSON document.
#[derive(SimpleObject)]
#[graphql(name = "DataExport")]
pub(super) struct DataExportNode {
    /// Names it. Opaque, and not found by `node`.
    id: ID,
    /// When it was asked for.
    requested_at: DateTime<Utc>,
    /// When it was gathered. Null while it is: a mail tells when it is ready.
    ready_at: Option<DateTime<Utc>>,
    /// It is gone from then on. Null while it is gathered.
    expires_at: Option<DateTime<Utc>>,
    /// The path under this API where it is downloaded, by a session with a fresh proof of who is there: see `stepUp`. Null
    /// while it is gathered.
    path: Option<String>,
    /// Parts that are not in it, since their system did not answer for too long. Those that are in it are whole.
    missing: Vec<Part>,
}

impl From<Export> for DataExportNode {
    fn from(export: Export) -> Self {
        Self {
            id: opaque("DataExport", export.id),
            requested_at: export.requested_at,
            ready_at: export.ready_at,
            expires_at: export.expires_at,
            path: export.ready_at.map(|_| format!("/exports/{}", export.id)),
            missing: export.missing,
        }
    }
}

/// The answer to the wish for an export.
#[derive(SimpleObject)]
pub(super) struct DataExportRequestPayload {
    /// The export: a new one, or that of the last hour. Null when it was refused.
    export: Option<DataExportNode>,
    /// Why it was refused; empty when it was not.
    user_errors: Vec<UserErrorNode>,
}

/// What customers are given of what is known of them.
#[derive(Default)]
pub struct ExportMutation;

/// What customers are given of what is known of them.
#[Object]
impl ExportMutation {
    /// Lets everything be gathered that the portal and the systems behind it know of this customer. A mail tells when it is
    /// ready. Who asks again within the hour gets the same.
    async fn data_export_request(&self, ctx: &Context<'_>) -> Option<Result<DataExportRequestPayload>> {
        let act = async {
            let export = ctx.app()?.exports.request(ctx.viewer()?).await?;
            Ok(DataExportRequestPayload { export: Some(export.into()), user_errors: Vec::new() })
        };
        Some(act.await)
    }
}
