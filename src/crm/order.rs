//! Orders.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{FieldMap, subscription_of};
use crate::{
    clock::TOKYO,
    error::{Error, Result},
    id::{AccountId, OrderId, SubscriptionId},
    money::{Currency, Money},
    upstream::{
        self,
        salesforce::{
            Record,
            soql::{Direction, Filter, Select, Soql, Value},
        },
    },
};

/// An order.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct Order {
    /// Its record.
    #[graphql(skip)]
    pub key: OrderId,
    /// The number that staff and mails quote.
    pub number: String,
    /// What is ordered.
    pub kind: OrderKind,
    /// Where it stands.
    pub status: OrderStatus,
    /// What keeps it from going on. Null when nothing does.
    pub problem: Option<OrderProblem>,
    /// When it was placed.
    pub placed_at: DateTime<Utc>,
    /// Day from which it counts, Tokyo. Null when staff have not set one.
    pub effective_on: Option<NaiveDate>,
    /// At once or on a chosen day. Null when it was not asked.
    pub activation: Option<ActivationKind>,
    /// The chosen day of activation, Tokyo. Null when it is at once.
    pub activation_on: Option<NaiveDate>,
    /// Sum of all lines, tax excluded.
    pub total: Money,
    /// Sum of the lines that are billed each month, tax excluded.
    pub monthly_total: Money,
    /// Sum of the lines that are billed once, tax excluded.
    pub one_time_total: Money,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// The address as it stood when the order was placed; later changes do not touch it. Null when none was kept.
    pub address: Option<OrderAddress>,
}

/// What an order is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum OrderKind {
    /// A fibre line.
    Internet,
    /// A mobile line.
    Sim,
    /// A VPN router.
    Vpn,
    /// Anything else.
    Other,
}

/// The status of an order, as the customer sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum OrderStatus {
    /// Staff are checking it.
    UnderReview,
    /// It was approved and is being carried out.
    SettingUp,
    /// Its services run.
    Active,
    /// It cannot go on as it is; see `problem`.
    ActionNeeded,
    /// It was rejected or cancelled.
    Cancelled,
    /// A status that this gateway does not know.
    Unknown,
}

/// What keeps an order from going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum OrderProblem {
    /// The customer has no payment method; adding one lets the order go on.
    PaymentMethodMissing,
    /// Staff are looking into it; nothing for the customer to do.
    BeingChecked,
}

/// When a service begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum ActivationKind {
    /// As soon as the order is approved.
    Immediate,
    /// On a chosen day.
    Scheduled,
}

/// How often a line of an order is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum OrderLineCycle {
    /// Each month.
    Monthly,
    /// Once.
    OneTime,
    /// A cycle that this gateway does not know.
    Unknown,
}

/// A line of an order.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct OrderLine {
    /// Name of the product.
    pub name: String,
    /// The product's public key. Null for a product without one.
    pub sku: Option<String>,
    /// How many.
    pub quantity: i32,
    /// Price of one, tax excluded.
    pub unit_price: Money,
    /// Price of all, tax excluded.
    pub total: Money,
    /// How often it is billed.
    pub billing_cycle: OrderLineCycle,
    /// The subscription that it became.
    #[graphql(skip)]
    pub subscription: Option<SubscriptionId>,
}

/// The address of an order, written the Japanese way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, SimpleObject)]
pub struct OrderAddress {
    /// Town, block numbers, building and room.
    pub street: String,
    /// City or ward.
    pub city: String,
    /// Prefecture.
    pub state: String,
    /// Postal code.
    pub postal_code: String,
    /// Country. Null when it was left out.
    pub country: Option<String>,
    /// Whether the customer changed it while ordering.
    pub is_changed: bool,
}

/// The query for all orders of an account with their lines.
pub(super) fn select(fields: &FieldMap, account: AccountId) -> Result<Soql> {
    let items = Select::from("OrderItems")
        .fields(["Quantity", "UnitPrice", "TotalPrice", "Product2.Name", "Product2.StockKeepingUnit"])
        .fields([&fields.order_item_service, &fields.order_item_billing_cycle])
        .order_by("Id", Direction::Ascending);
    Select::from("Order")
        .fields(["Id", "OrderNumber", "Status", "EffectiveDate", "CreatedDate"])
        .fields(["BillingStreet", "BillingCity", "BillingState", "BillingPostalCode", "BillingCountry"])
        .fields([
            &fields.order_type,
            &fields.order_activation_type,
            &fields.order_activation_scheduled_at,
            &fields.order_activation_status,
            &fields.order_activation_error_code,
            &fields.order_address_changed,
        ])
        .child(items)
        .filter(Filter::eq("AccountId", Value::Id(account.0)))
        .order_by("CreatedDate", Direction::Descending)
        .order_by("Id", Direction::Descending)
        .build()
        .map_err(Error::internal)
}

impl OrderKind {
    fn read(text: Option<&str>) -> Self {
        match text {
            Some("Internet") => Self::Internet,
            Some("SIM") => Self::Sim,
            Some("VPN") => Self::Vpn,
            _ => Self::Other,
        }
    }
}

impl OrderStatus {
    /// Folds the order's own status and that of its activation into what a customer needs to know
    /// (domain reference §15, "Status as the customer sees it").
    fn read(status: &str, activation: Option<&str>, error: Option<&str>) -> Self {
        match (status, activation) {
            ("Rejected" | "Cancelled" | "Canceled", _) => Self::Cancelled,
            ("Processed" | "Completed" | "Activated", _) => Self::Active,
            (_, Some("Failed")) => Self::ActionNeeded,
            (_, Some("Activating")) if error.is_some() => Self::ActionNeeded,
            (_, Some("Activating" | "Activated")) | ("Approved" | "Reactivate", _) => Self::SettingUp,
            ("Draft" | "Pending Review", _) => Self::UnderReview,
            _ => Self::Unknown,
        }
    }

    /// Whether the customer still waits for something.
    pub fn is_open(self) -> bool {
        matches!(self, Self::UnderReview | Self::SettingUp | Self::ActionNeeded)
    }
}

impl OrderLineCycle {
    fn read(text: Option<&str>) -> Self {
        match text.map(str::to_ascii_lowercase).as_deref() {
            Some("monthly") => Self::Monthly,
            Some("onetime" | "one-time" | "one time") => Self::OneTime,
            _ => Self::Unknown,
        }
    }
}

impl Order {
    /// From a record.
    ///
    /// # Errors
    /// When the record lacks what was asked for, with the path.
    pub(super) fn new(row: &Record, fields: &FieldMap) -> Result<Self, upstream::Error> {
        let items = row.children("OrderItems")?;
        let lines = items
            .iter()
            .map(|item| OrderLine::new(item, fields))
            .collect::<Result<Vec<_>, upstream::Error>>()?;
        let sum = |wanted: Option<OrderLineCycle>| {
            let amounts = lines
                .iter()
                .filter(|line| wanted.is_none_or(|cycle| cycle == line.billing_cycle))
                .map(|line| line.total.amount);
            yen(amounts.fold(Decimal::ZERO, Decimal::saturating_add))
        };
        let owned = |path| Ok(row.text(path)?.unwrap_or_default().to_owned());
        let error = row.text(&fields.order_activation_error_code)?;
        let status = OrderStatus::read(
            row.text("Status")?.unwrap_or_default(),
            row.text(&fields.order_activation_status)?,
            error,
        );
        let street: String = owned("BillingStreet")?;
        let address = OrderAddress {
            city: owned("BillingCity")?,
            state: owned("BillingState")?,
            postal_code: owned("BillingPostalCode")?,
            country: row.text("BillingCountry")?.map(str::to_owned),
            is_changed: row.flag(&fields.order_address_changed)?,
            street,
        };
        Ok(Self {
            key: OrderId(row.required("Id", Record::id)?),
            number: owned("OrderNumber")?,
            kind: OrderKind::read(row.text(&fields.order_type)?),
            problem: (status == OrderStatus::ActionNeeded).then_some(match error {
                Some("PAYMENT_METHOD_MISSING") => OrderProblem::PaymentMethodMissing,
                _ => OrderProblem::BeingChecked,
            }),
            status,
            placed_at: row.required("CreatedDate", Record::instant)?,
            effective_on: row.day("EffectiveDate")?,
            activation: match row.text(&fields.order_activation_type)? {
                Some("Immediate") => Some(ActivationKind::Immediate),
                Some("Scheduled") => Some(ActivationKind::Scheduled),
                _ => None,
            },
            activation_on: scheduled(row, &fields.order_activation_scheduled_at)?,
            total: sum(None),
            monthly_total: sum(Some(OrderLineCycle::Monthly)),
            one_time_total: sum(Some(OrderLineCycle::OneTime)),
            lines,
            address: (!address.street.is_empty()).then_some(address),
        })
    }
}

/// The day of a scheduled activation: whether the field holds a day or an instant is the
/// installation's choice.
fn scheduled(row: &Record, field: &str) -> Result<Option<NaiveDate>, upstream::Error> {
    if let Ok(day) = row.day(field) {
        return Ok(day);
    }
    Ok(row.instant(field)?.map(|at| at.with_timezone(&TOKYO).date_naive()))
}

/// The portal's pricebook is kept in yen (domain reference §1).
fn yen(amount: Decimal) -> Money {
    Money::new(amount, Currency::JPY)
}

impl OrderLine {
    fn new(row: &Record, fields: &FieldMap) -> Result<Self, upstream::Error> {
        let quantity = row.number("Quantity")?.unwrap_or(Decimal::ONE);
        let unit_price = row.number("UnitPrice")?.unwrap_or_default();
        Ok(Self {
            name: row.text("Product2.Name")?.unwrap_or_default().to_owned(),
            sku: row.text("Product2.StockKeepingUnit")?.map(str::to_owned),
            quantity: i32::try_from(quantity.round()).unwrap_or(i32::MAX),
            unit_price: yen(unit_price),
            total: yen(row.number("TotalPrice")?.unwrap_or_else(|| unit_price.saturating_mul(quantity))),
            billing_cycle: OrderLineCycle::read(row.text(&fields.order_item_billing_cycle)?),
            subscription: subscription_of(row, &fields.order_item_service),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_table_of_the_domain_holds() {
        for (status, activation, error, seen) in [
            ("Draft", None, None, OrderStatus::UnderReview),
            ("Pending Review", None, None, OrderStatus::UnderReview),
            ("Approved", None, None, OrderStatus::SettingUp),
            ("Approved", Some("Activating"), None, OrderStatus::SettingUp),
            ("Approved", Some("Activating"), Some("WHMCS_ERROR"), OrderStatus::ActionNeeded),
            ("Approved", Some("Failed"), None, OrderStatus::ActionNeeded),
            ("Approved", Some("Activated"), None, OrderStatus::SettingUp),
            ("Processed", Some("Activated"), None, OrderStatus::Active),
            ("Completed", None, None, OrderStatus::Active),
            ("Rejected", Some("Activating"), None, OrderStatus::Cancelled),
            ("Cancelled", None, None, OrderStatus::Cancelled),
            ("On Hold", None, None, OrderStatus::Unknown),
        ] {
            assert_eq!(OrderStatus::read(status, activation, error), seen, "{status} {activation:?}");
        }
    }
}
