//! What a partner sees of itself.

use async_graphql::{
    Context, ID, Object, SimpleObject,
    connection::{Connection, Edge},
};
use chrono::{DateTime, Utc};

use super::{
    connection::{Counted, Paged},
    context::Ask,
    node::{customer_of, viewer_id},
};
use crate::{
    error::{Error, Result},
    identity::{Granted, Representative},
    page::{Cursor, Page},
};

/// Days of usage that are shown at most.
const DAYS: i32 = 90;

/// A partner: a program of somebody else, with its own credentials, that acts for customers who allowed it.
pub(super) struct PartnerNode {
    caller: Representative,
    client_id: String,
    name: String,
    is_first_party: bool,
}

/// How a partner's points of cost stand.
#[derive(SimpleObject)]
pub(super) struct PartnerBudget {
    /// Points when all are there.
    maximum_available: i32,
    /// Points that are there now.
    currently_available: i32,
    /// Points that come back in a second.
    restore_rate: i32,
    /// Requests in a second.
    requests_per_second: i32,
}

/// What a partner used on a day.
#[derive(SimpleObject)]
pub(super) struct PartnerUsage {
    /// The day, UTC: `2026-11-28`.
    day: String,
    /// Requests, those that were refused among them.
    requests: crate::big_int::BigInt,
    /// Points of cost.
    cost: crate::big_int::BigInt,
    /// Requests that were refused: too many, too dear, or not allowed.
    refusals: crate::big_int::BigInt,
}

/// A customer who allowed a partner something.
#[derive(SimpleObject)]
pub(super) struct PartnerCustomer {
    /// For the header `portal-customer`; it is the `id` of their `viewer`. Opaque.
    id: ID,
    /// The scopes that count for this customer with the token that asks, by their names: `billing:read`.
    scopes: Vec<String>,
    /// When it was allowed.
    granted_at: DateTime<Utc>,
}

impl From<Granted> for PartnerCustomer {
    fn from(granted: Granted) -> Self {
        Self {
            id: viewer_id(granted.user),
            scopes: granted.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            granted_at: granted.created_at,
        }
    }
}

impl PartnerNode {
    pub(super) fn new(caller: &Representative, row: crate::identity::PartnerAccount) -> Self {
        Self { caller: *caller, client_id: row.client_id, name: row.name, is_first_party: row.is_first_party }
    }
}

/// A partner: a program of somebody else, with its own credentials, that acts for customers who allowed it.
#[Object(name = "Partner")]
impl PartnerNode {
    /// What it calls itself at the token endpoint.
    async fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What people call it.
    async fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is of the house, and acts for every customer.
    async fn is_first_party(&self) -> bool {
        self.is_first_party
    }

    /// The scopes that count for this request, by their names: `billing:read`.
    async fn scopes(&self) -> Vec<&'static str> {
        self.caller.scopes.iter().map(crate::identity::Scope::as_str).collect()
    }

    /// The customers who allowed it something, in the order of their ids. Null for a partner of the house, which needs no
    /// customer's word.
    async fn customers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which to begin.")] after: Option<String>,
    ) -> Option<Result<Paged<PartnerCustomer>>> {
        if self.is_first_party {
            return None;
        }
        let read = async {
            let page = Page::read(first, after.as_deref())?;
            let after = page.after.as_ref().map(|cursor| customer_of(cursor.key()));
            let limit = u32::try_from(page.first + 1).unwrap_or(u32::MAX);
            let found = ctx.app()?.identity.customers_of(&self.caller, after, limit).await?;
            let has_next = found.items.len() > page.first;
            let mut connection =
                Connection::with_additional_fields(page.after.is_some(), has_next, Counted::new(found.total));
            connection.edges = found
                .items
                .into_iter()
                .take(page.first)
                .map(|granted| {
                    let customer = PartnerCustomer::from(granted);
                    Edge::new(Cursor::of(customer.id.as_str()).encode(), customer)
                })
                .collect();
            Ok(connection)
        };
        Some(read.await)
    }

    /// How its budget stands.
    async fn budget(&self, ctx: &Context<'_>) -> Option<Result<PartnerBudget>> {
        let read = async {
            let balance = ctx.app()?.identity.balance(&self.caller).await;
            let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
            Ok(PartnerBudget {
                maximum_available: number(balance.maximum),
                currently_available: number(balance.available),
                restore_rate: number(balance.restore_rate),
                requests_per_second: number(self.caller.terms.requests_per_second),
            })
        };
        Some(read.await)
    }

    /// What it used, the latest day first. Days on which it used nothing are left out.
    async fn usage(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many days at most, 1 to 90.", default = 30)] days: i32,
    ) -> Option<Result<Vec<PartnerUsage>>> {
        let read = async {
            let days = u32::try_from(days).ok().filter(|days| (1..=DAYS.unsigned_abs()).contains(days));
            let days = days.ok_or(Error::BadInput { argument: "days", reason: "must be from 1 to 90" })?;
            let used = ctx.app()?.identity.usage(self.caller.partner, days).await?;
            let count = |number: i64| crate::big_int::BigInt(number.unsigned_abs());
            let day = |row: crate::identity::PartnerUsage| PartnerUsage {
                day: row.day,
                requests: count(row.requests),
                cost: count(row.cost),
                refusals: count(row.refusals),
            };
            Ok(used.into_iter().map(day).collect())
        };
        Some(read.await)
    }
}
