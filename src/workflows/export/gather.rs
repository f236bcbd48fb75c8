//! The parts of an export, each asked of whoever keeps it. A part is whole or absent.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Part, Sources};
use crate::{
    error::{Error, Result, Service, SourceError},
    freshness::Read,
    identity::Viewer,
    store::{MirroredList, audit::Filter},
};

/// Calls side by side for one list.
const ABREAST: usize = 4;
/// Events of the log that are read at once.
const EVENTS: u32 = 1_000;

/// What came of gathering.
pub(super) struct Found {
    /// The whole document.
    pub document: Value,
    /// What is not in it.
    pub missing: Vec<Part>,
    /// Why, of one of them.
    pub failure: Option<Error>,
}

/// Asks for every part, all at once.
pub(super) async fn everything(
    sources: &Sources,
    viewer: &Viewer,
    email: &str,
    locale: &str,
    now: DateTime<Utc>,
) -> Found {
    let asked = Part::ALL.map(|part| async move { (part, one(part, sources, viewer, email, locale).await) });
    let (mut parts, mut missing, mut failure) = (Map::new(), Vec::new(), None);
    for (part, found) in futures::future::join_all(asked).await {
        let shown = match found {
            Ok(data) => json!({ "status": "COMPLETE", "data": data }),
            Err(error) => {
                let shown = json!({ "status": "UNAVAILABLE", "data": null });
                missing.push(part);
                failure = Some(error);
                shown
            }
        };
        parts.insert(part.as_str().to_owned(), shown);
    }
    let document = json!({
        "format": 1,
        "gatheredAt": now,
        "isComplete": missing.is_empty(),
        "parts": parts,
    });
    Found { document, missing, failure }
}

async fn one(part: Part, sources: &Sources, viewer: &Viewer, email: &str, locale: &str) -> Result<Value> {
    let Sources { store, identity, notifications, billing, crm, sim } = sources;
    match part {
        Part::Account => {
            let times = store.user_times(viewer.user()).await?;
            Ok(json!({
                "userId": viewer.user(),
                "email": email,
                "language": locale,
                "createdAt": times.map(|(created, _)| created),
                "changedAt": times.map(|(_, changed)| changed),
                "billingClient": viewer.client(),
                "customerRegisterAccount": viewer.account().as_str(),
            }))
        }
        Part::Consents => {
            let rows = store.consents(viewer.user()).await?;
            let shown = rows.into_iter().map(|(terms, marketing, at)| {
                json!({ "termsVersion": terms, "acceptsMarketing": marketing, "acceptedAt": at })
            });
            Ok(shown.collect())
        }
        Part::Sessions => written(&identity.sessions(viewer).await?),
        Part::Devices => written(&identity.devices(viewer).await?),
        Part::Passkeys => written(&identity.passkeys(viewer).await?),
        Part::SecondFactors => written(&identity.second_factors(viewer).await?),
        Part::Grants => {
            let rows = store.all_grants_of_user(viewer.user()).await?;
            let shown = rows.into_iter().map(|row| {
                json!({
                    "partner": row.name,
                    "clientId": row.client_id,
                    "scopes": row.scopes.split(' ').collect::<Vec<_>>(),
                    "allowedAt": row.created_at,
                    "takenBackAt": row.revoked_at,
                    "partnerRevokedAt": row.partner_revoked_at,
                })
            });
            Ok(shown.collect())
        }
        Part::SignIns => written(&identity.sign_ins(viewer).await?),
        Part::AuditLog => log(sources, viewer).await,
        Part::Notifications => written(&notifications.list(viewer).await?),
        Part::Mirrors => {
            let mut lists = Map::new();
            for list in MirroredList::ALL {
                let Some(rows) = store.mirrored_list(list, viewer.client()).await? else { continue };
                let records: Vec<Value> =
                    rows.records.iter().filter_map(|record| serde_json::from_str(record).ok()).collect();
                let shown = json!({ "readAt": rows.loaded_at, "records": records });
                lists.insert(list.as_str().to_owned(), shown);
            }
            Ok(lists.into())
        }
        Part::Profile => written(&*whole(billing.profile(viewer).await?, Service::Billing)?),
        Part::Subscriptions => written(&*whole(billing.subscriptions(viewer).await?, Service::Billing)?),
        Part::Invoices => {
            let invoices = whole(billing.invoices(viewer).await?, Service::Billing)?;
            let with_lines = stream::iter(invoices.iter().cloned()).map(|invoice| async move {
                let details = billing.invoice_details(viewer, invoice.key).await?;
                let details = details.map(|read| whole(read, Service::Billing)).transpose()?;
                Ok::<_, Error>(
                    json!({ "invoice": written(&invoice)?, "details": written(&details.as_deref())? }),
                )
            });
            Ok(with_lines.buffered(ABREAST).try_collect::<Vec<_>>().await?.into())
        }
        Part::PaymentMethods => written(&*whole(billing.payment_methods(viewer).await?, Service::Billing)?),
        Part::CustomerRegister => written(&crm.register_entry(viewer).await?),
        Part::JapaneseAddress => written(&*whole(crm.address(viewer).await?, Service::Crm)?),
        Part::Orders => written(&*whole(crm.orders(viewer).await?, Service::Crm)?),
        Part::Cases => {
            let cases = whole(crm.cases(viewer).await?, Service::Crm)?;
            let keys: Vec<_> = cases.iter().map(|case| case.key).collect();
            let mut conversations = crm.conversations(viewer, &keys).await?;
            let shown = cases.iter().map(|case| {
                let read = conversations.remove(&case.key).ok_or_else(|| away(Service::Crm))?;
                let messages = written(&*whole(read, Service::Crm)?)?;
                Ok(json!({ "case": written(case)?, "conversation": messages }))
            });
            shown.collect::<Result<Value>>()
        }
        Part::Lines => {
            let subscriptions = whole(billing.subscriptions(viewer).await?, Service::Billing)?;
            let numbers: Vec<_> = subscriptions.iter().filter_map(|one| one.line.clone()).collect();
            let lines = stream::iter(numbers).map(|number| async move {
                let state = whole(sim.state(viewer, &number).await?, Service::Sim)?;
                // Of a line that the network does not know yet there is no more to ask.
                if state.is_none() {
                    return Ok(json!({ "number": number, "state": null, "usage": null, "additions": null }));
                }
                let usage = whole(sim.usage(viewer, &number).await?, Service::Sim)?;
                let additions = whole(sim.additions(viewer, &number).await?, Service::Sim)?;
                Ok::<_, Error>(json!({
                    "number": number,
                    "state": written(&*state)?,
                    "usage": written(&*usage)?,
                    "additions": written(&*additions)?,
                }))
            });
            Ok(lines.buffered(ABREAST).try_collect::<Vec<_>>().await?.into())
        }
    }
}

/// What the log says, without what only the chain needs.
async fn log(sources: &Sources, viewer: &Viewer) -> Result<Value> {
    let filter = Filter { user: Some(viewer.user()), ..Filter::default() };
    let (mut shown, mut after) = (Vec::new(), 0);
    loop {
        let rows = sources.store.audit_events(&filter, after, EVENTS).await?;
        let Some(last) = rows.last() else { return Ok(shown.into()) };
        after = last.sequence;
        shown.extend(rows.iter().map(|row| {
            json!({
                "at": row.at,
                "act": row.act,
                "by": row.actor_kind,
                "outcome": row.outcome,
                "reason": row.reason,
                "program": row.user_agent_class,
                "details": serde_json::from_str::<Value>(&row.details).unwrap_or_default(),
            })
        }));
    }
}

/// A value that is as its system has it now. One that is shown old, since the system is away, is none.
fn whole<T>(read: Read<T>, service: Service) -> Result<Arc<T>> {
    if read.origin().stale.is_some() {
        return Err(away(service));
    }
    Ok(read.into_value())
}

fn away(service: Service) -> Error {
    Error::Unavailable { service, source: SourceError::new("only an old value could be read") }
}

fn written<T: Serialize + ?Sized>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|_| Error::internal("a part of an export cannot be written"))
}
