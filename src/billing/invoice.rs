//! Invoices, their lines and their totals.

use async_graphql::{Enum, SimpleObject};
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{
    clock::TOKYO,
    id::{InvoiceId, SubscriptionId},
    money::{Currency, Money},
    upstream::whmcs,
};

/// An invoice.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct Invoice {
    /// Its number in billing.
    #[graphql(skip)]
    pub key: InvoiceId,
    /// The number that is printed on it.
    pub number: String,
    /// Where it stands.
    pub status: InvoiceStatus,
    /// Day of issue, Tokyo. Null for a draft without one.
    pub issued_on: Option<NaiveDate>,
    /// Day on which it falls due, Tokyo. Null for a draft without one.
    pub due_on: Option<NaiveDate>,
    /// When it was paid. Null while it is not.
    pub paid_at: Option<DateTime<Utc>>,
    /// Sum of the lines, tax excluded.
    pub subtotal: Money,
    /// Consumption tax.
    pub tax: Money,
    /// Account credit that was applied; already taken off the total.
    pub credit: Money,
    /// What the invoice comes to: subtotal plus tax less credit.
    pub total: Money,
}

/// The status of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum InvoiceStatus {
    /// Not yet issued.
    Draft,
    /// A payment is on its way; neither paid nor due.
    Pending,
    /// To be paid, and in time.
    Unpaid,
    /// Paid.
    Paid,
    /// To be paid, and past its due day.
    Overdue,
    /// Cancelled.
    Cancelled,
    /// Paid back.
    Refunded,
    /// Handed to a collection agency.
    Collections,
    /// A status that this gateway does not know.
    Unknown,
}

impl InvoiceStatus {
    /// Overdue is unpaid past the due day, whether billing says so or not (domain reference §23).
    fn read(text: &str, due_on: Option<NaiveDate>, today: NaiveDate) -> Self {
        match text {
            "Draft" => Self::Draft,
            "Payment Pending" => Self::Pending,
            "Unpaid" => Self::Unpaid.on(due_on, today),
            "Overdue" => Self::Overdue,
            "Paid" => Self::Paid,
            "Cancelled" => Self::Cancelled,
            "Refunded" => Self::Refunded,
            "Collections" => Self::Collections,
            _ => Self::Unknown,
        }
    }

    /// As it is on a day: what was unpaid and in time may be overdue by then.
    pub(super) fn on(self, due_on: Option<NaiveDate>, today: NaiveDate) -> Self {
        match self {
            Self::Unpaid if due_on.is_some_and(|due| due < today) => Self::Overdue,
            other => other,
        }
    }

    /// Whether money is owed.
    pub fn is_due(self) -> bool {
        matches!(self, Self::Unpaid | Self::Overdue | Self::Collections)
    }
}

/// The lines and the balance of an invoice.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct InvoiceDetails {
    /// What is still to be paid; negative after an overpayment.
    pub balance: Money,
    /// The lines, in print order.
    pub lines: Vec<InvoiceLine>,
}

/// A line of an invoice.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct InvoiceLine {
    /// What is charged, as printed.
    pub description: String,
    /// The amount, tax excluded; negative for a discount.
    pub amount: Money,
    /// Whether consumption tax is added.
    pub is_taxed: bool,
    /// What the line is for.
    pub kind: InvoiceLineKind,
    /// The subscription that the line charges.
    #[graphql(skip)]
    pub subscription: Option<SubscriptionId>,
}

/// What a line of an invoice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum InvoiceLineKind {
    /// A billing cycle of a subscription.
    Subscription,
    /// Setting a subscription up.
    Setup,
    /// An add-on of a subscription.
    AddOn,
    /// A change of plan.
    Upgrade,
    /// A discount.
    Discount,
    /// A fee for paying late.
    LateFee,
    /// Money put into the account.
    Deposit,
    /// Another invoice that is paid with this one.
    Invoice,
    /// Anything else.
    Other,
}

impl InvoiceLineKind {
    fn read(text: &str) -> Self {
        match text {
            "Hosting" => Self::Subscription,
            "Setup" => Self::Setup,
            "Addon" => Self::AddOn,
            "Upgrade" => Self::Upgrade,
            "PromoHosting" => Self::Discount,
            "LateFee" => Self::LateFee,
            "AddFunds" => Self::Deposit,
            "Invoice" => Self::Invoice,
            _ => Self::Other,
        }
    }

    /// What the related id of a line points at depends on its kind (WHMCS reference §8, GetInvoice).
    fn points_at_subscription(self) -> bool {
        matches!(self, Self::Subscription | Self::Setup | Self::Discount)
    }
}

/// What a list of invoices comes to.
#[derive(Clone, Debug, PartialEq, SimpleObject)]
pub struct InvoiceTotals {
    /// Sum of all invoices that count: neither drafts nor cancelled ones.
    pub total: Money,
    /// Sum of the paid ones.
    pub paid: Money,
    /// Sum of those to be paid, overdue ones included.
    pub unpaid: Money,
    /// Sum of the overdue ones.
    pub overdue: Money,
}

impl InvoiceTotals {
    /// Sums a list. A customer has one currency; without invoices it is `fallback`.
    pub fn of<'a>(invoices: impl IntoIterator<Item = &'a Invoice>, fallback: Currency) -> Self {
        let mut currency = fallback;
        let (mut total, mut paid, mut unpaid, mut overdue) = Default::default();
        let add = |sum: &mut Decimal, amount: Decimal| *sum = sum.saturating_add(amount);
        for invoice in invoices {
            currency = invoice.total.currency;
            let amount = invoice.total.amount;
            match invoice.status {
                InvoiceStatus::Draft | InvoiceStatus::Cancelled => continue,
                InvoiceStatus::Paid => add(&mut paid, amount),
                InvoiceStatus::Overdue | InvoiceStatus::Collections => {
                    add(&mut unpaid, amount);
                    add(&mut overdue, amount);
                }
                InvoiceStatus::Unpaid => add(&mut unpaid, amount),
                InvoiceStatus::Pending | InvoiceStatus::Refunded | InvoiceStatus::Unknown => {}
            }
            add(&mut total, amount);
        }
        let money = |amount| Money::new(amount, currency);
        Self { total: money(total), paid: money(paid), unpaid: money(unpaid), overdue: money(overdue) }
    }
}

impl Invoice {
    /// From a row of the invoice list.
    pub(super) fn new(row: whmcs::Invoice, today: NaiveDate) -> Self {
        let currency = row.currencycode.as_deref().and_then(Currency::parse).unwrap_or(Currency::JPY);
        let money = |amount| Money::new(amount, currency);
        Self {
            key: InvoiceId(row.id),
            number: row.invoicenum.unwrap_or_else(|| row.id.to_string()),
            status: InvoiceStatus::read(&row.status, row.duedate, today),
            issued_on: row.date,
            due_on: row.duedate,
            paid_at: row.datepaid.and_then(in_tokyo),
            subtotal: money(row.subtotal),
            tax: money(row.tax.saturating_add(row.tax2)),
            credit: money(row.credit),
            total: money(row.total),
        }
    }

    /// What is to be paid: the total while the invoice is due, else zero.
    pub fn amount_due(&self) -> Money {
        if self.status.is_due() { self.total } else { Money::zero(self.total.currency) }
    }
}

/// Billing writes local times; its server stands in Tokyo.
fn in_tokyo(local: NaiveDateTime) -> Option<DateTime<Utc>> {
    local.and_local_timezone(TOKYO).single().map(|at| at.with_timezone(&Utc))
}

impl InvoiceDetails {
    /// From one invoice. It carries no currency.
    pub(super) fn new(details: whmcs::InvoiceDetails, currency: Currency) -> Self {
        let lines = details
            .items
            .into_iter()
            .map(|item| {
                let kind = InvoiceLineKind::read(&item.kind);
                InvoiceLine {
                    description: item.description,
                    amount: Money::new(item.amount, currency),
                    is_taxed: item.taxed,
                    kind,
                    subscription: item.relid.filter(|_| kind.points_at_subscription()).map(SubscriptionId),
                }
            })
            .collect();
        Self { balance: Money::new(details.balance, currency), lines }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn invoice(status: InvoiceStatus, total: i64) -> Invoice {
        let money = |n: i64| Money::new(n.into(), Currency::JPY);
        Invoice {
            key: InvoiceId(1),
            number: "1".into(),
            status,
            issued_on: None,
            due_on: None,
            paid_at: None,
            subtotal: money(total),
            tax: money(0),
            credit: money(0),
            total: money(total),
        }
    }

    #[test]
    fn unpaid_past_its_due_day_is_overdue() {
        let day = |d| NaiveDate::from_ymd_opt(2026, 11, d);
        let today = day(20).unwrap_or_default();
        assert_eq!(InvoiceStatus::read("Unpaid", day(20), today), InvoiceStatus::Unpaid);
        assert_eq!(InvoiceStatus::read("Unpaid", day(19), today), InvoiceStatus::Overdue);
        assert_eq!(InvoiceStatus::read("Paid", day(1), today), InvoiceStatus::Paid);
    }

    #[test]
    fn drafts_and_cancelled_invoices_count_nowhere() {
        let list = [
            invoice(InvoiceStatus::Paid, 100),
            invoice(InvoiceStatus::Unpaid, 20),
            invoice(InvoiceStatus::Overdue, 3),
            invoice(InvoiceStatus::Draft, 5000),
            invoice(InvoiceStatus::Cancelled, 5000),
        ];
        let totals = InvoiceTotals::of(&list, Currency::JPY);
        let yen = |n: i64| Money::new(n.into(), Currency::JPY);
        assert_eq!(
            totals,
            InvoiceTotals { total: yen(123), paid: yen(100), unpaid: yen(23), overdue: yen(3) }
        );
    }

    proptest! {
        #[test]
        fn what_is_owed_and_paid_never_exceeds_the_total(amounts in prop::collection::vec(0..1_000_000_i64, 0..30)) {
            let statuses = [InvoiceStatus::Paid, InvoiceStatus::Unpaid, InvoiceStatus::Overdue, InvoiceStatus::Draft];
            let list: Vec<_> = amounts.iter().enumerate().map(|(i, n)| invoice(statuses[i % 4], *n)).collect();
            let totals = InvoiceTotals::of(&list, Currency::JPY);
            prop_assert_eq!(totals.paid.amount + totals.unpaid.amount, totals.total.amount);
            prop_assert!(totals.overdue.amount <= totals.unpaid.amount);
        }
    }
}
