//! Invoices and payment methods, as WHMCS keeps them.

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::sandbox::world::{Dice, ServiceSeed, local, months_before};

/// An invoice.
#[derive(Clone, Debug)]
pub struct InvoiceSeed {
    /// From 1 to 999; see [`crate::sandbox::world::ids::invoice_id`].
    pub k: u32,
    /// `Draft`, `Unpaid`, `Paid`, `Cancelled`, `Refunded`, `Collections`, `Payment Pending`.
    pub status: &'static str,
    /// The day it was made.
    pub date: NaiveDate,
    /// The day it is due. Unpaid after this day: overdue.
    pub duedate: NaiveDate,
    /// When it was paid, Tokyo wall-clock time.
    pub datepaid: Option<NaiveDateTime>,
    /// Items; an item's id comes of its place here, from 1.
    pub items: Vec<ItemSeed>,
    /// Per cent: 10.
    pub taxrate: Decimal,
    /// Credit applied, JPY.
    pub credit: Decimal,
    /// Printed number; empty while unpaid, as WHMCS has it with sequential numbering.
    pub invoicenum: String,
    /// Gateway.
    pub paymentmethod: &'static str,
}

/// An item of an invoice.
#[derive(Clone, Debug)]
pub struct ItemSeed {
    /// `Hosting` (a service's month), `Setup`, `Item`, or empty.
    pub kind: &'static str,
    /// The service it bills.
    pub service_k: Option<u32>,
    /// What is billed.
    pub description: String,
    /// JPY without tax.
    pub amount: Decimal,
    /// Whether tax is added.
    pub taxed: bool,
}

impl InvoiceSeed {
    /// Sum of the items, JPY.
    pub fn subtotal(&self) -> Decimal {
        self.items.iter().map(|item| item.amount).sum()
    }

    /// Tax on the taxed items, whole yen, rounded down.
    pub fn tax(&self) -> Decimal {
        let taxed: Decimal = self.items.iter().filter(|item| item.taxed).map(|item| item.amount).sum();
        (taxed * self.taxrate / Decimal::ONE_HUNDRED).round_dp_with_strategy(0, RoundingStrategy::ToZero)
    }

    /// What is to be paid, JPY: items and tax, less credit.
    pub fn total(&self) -> Decimal {
        self.subtotal() + self.tax() - self.credit
    }

    /// What is still to be paid, JPY.
    pub fn balance(&self) -> Decimal {
        if matches!(self.status, "Unpaid" | "Payment Pending" | "Collections") {
            self.total()
        } else {
            Decimal::ZERO
        }
    }
}

/// A stored payment method.
#[derive(Clone, Debug)]
pub struct PayMethodSeed {
    /// From 1 to 9; the first is the default.
    pub k: u32,
    /// `RemoteCreditCard`, `BankAccount`.
    pub kind: &'static str,
    /// The customer's own words.
    pub description: &'static str,
    /// Gateway; empty for a bank account.
    pub gateway: &'static str,
    /// Last four digits; empty for a bank account.
    pub last_four: String,
    /// `MM/YY`; empty for a bank account.
    pub expiry: String,
    /// `Visa`, `Mastercard`, `JCB`, `American Express`; empty for a bank account.
    pub card_type: &'static str,
    /// Bank, for a bank account.
    pub bank_name: &'static str,
}

/// Invoices oldest first, and the services with their next due dates.
pub(super) fn make(
    n: u64,
    today: NaiveDate,
    mut services: Vec<ServiceSeed>,
    dice: &mut Dice,
) -> (Vec<InvoiceSeed>, Vec<ServiceSeed>) {
    // The newest monthly invoice falls due in some days; the one before it fell due a month earlier.
    let newest_due = today + Days::new(if n == 1 { 5 } else { 1 + dice.below(27) });
    let is_newest_paid = n != 1 && dice.chance(40);
    let is_overdue = n == 1 || dice.chance(8);
    let paymentmethod = *dice.pick(&["stripe", "stripe", "banktransfer"]);
    let mut invoices: Vec<InvoiceSeed> = Vec::new();
    let oldest = services.iter().map(|service| service.regdate).min();
    let mut billed_until = oldest.map(|day| day - Days::new(1)).unwrap_or(today);
    for back in (0..48).rev() {
        let duedate = months_before(newest_due, back);
        let date = duedate - Days::new(14);
        if oldest.is_none_or(|oldest| date < oldest) || date > today {
            continue;
        }
        let mut items: Vec<ItemSeed> = services
            .iter()
            .filter(|service| service.is_billed_on(date))
            .map(|service| month(service, duedate))
            .collect();
        items.extend(
            services
                .iter()
                .filter(|service| billed_until < service.regdate && service.regdate <= date)
                .filter_map(setup),
        );
        billed_until = date;
        if items.is_empty() {
            continue;
        }
        let status = match (n, back) {
            (1, 7) => "Cancelled",
            (1, 11) => "Refunded",
            (_, 0) if !is_newest_paid => "Unpaid",
            (1, _) => "Paid",
            _ => match dice.below(200) {
                0 => "Cancelled",
                1 => "Refunded",
                2 => "Collections",
                _ => "Paid",
            },
        };
        let credit = if status == "Paid" && dice.chance(3) { Decimal::from(500) } else { Decimal::ZERO };
        invoices.push(invoice(invoices.len(), status, date, duedate, items, credit, paymentmethod, dice));
        // A top-up bought by card and forgotten: overdue, beside the monthly ones.
        if back == 1
            && is_overdue
            && let Some(item) = services.iter().find_map(|service| top_up(service, today - Days::new(17)))
        {
            let date = today - Days::new(17);
            let due = today - Days::new(10);
            invoices.push(invoice(
                invoices.len(),
                "Unpaid",
                date,
                due,
                vec![item],
                Decimal::ZERO,
                paymentmethod,
                dice,
            ));
        }
    }
    invoices.sort_by_key(|invoice| invoice.date);
    for (k, invoice) in (1..).zip(&mut invoices) {
        invoice.k = k;
        if invoice.datepaid.is_some() {
            invoice.invoicenum = format!("INV-{}-{:05}-{k:02}", invoice.date.year(), n % 100_000);
        }
    }
    let is_newest_out = newest_due - Days::new(14) <= today;
    let next_due =
        if is_newest_out && is_newest_paid { newest_due + chrono::Months::new(1) } else { newest_due };
    for service in services.iter_mut().filter(|service| service.is_open() && !service.product.is_onetime()) {
        service.nextduedate = Some(next_due);
    }
    (invoices, services)
}

#[expect(clippy::too_many_arguments, reason = "the parts of an invoice, once")]
fn invoice(
    before: usize,
    status: &'static str,
    date: NaiveDate,
    duedate: NaiveDate,
    items: Vec<ItemSeed>,
    credit: Decimal,
    paymentmethod: &'static str,
    dice: &mut Dice,
) -> InvoiceSeed {
    let paid_on = (date + Days::new(dice.below(10))).min(duedate);
    let is_paid = matches!(status, "Paid" | "Refunded");
    InvoiceSeed {
        k: before as u32 + 1,
        status,
        date,
        duedate,
        datepaid: is_paid.then(|| local(paid_on, 8 + dice.small(12), dice.small(60))),
        items,
        taxrate: Decimal::new(10_000, 3),
        credit,
        invoicenum: String::new(),
        paymentmethod,
    }
}

fn month(service: &ServiceSeed, from: NaiveDate) -> ItemSeed {
    let to = from + chrono::Months::new(1) - Days::new(1);
    let number = if service.domain.is_empty() { String::new() } else { format!(" - {}", service.domain) };
    ItemSeed {
        kind: "Hosting",
        service_k: Some(service.k),
        description: format!(
            "{}{number} ({} - {})",
            service.product.name,
            from.format("%Y/%m/%d"),
            to.format("%Y/%m/%d")
        ),
        amount: service.recurring,
        taxed: true,
    }
}

fn setup(service: &ServiceSeed) -> Option<ItemSeed> {
    service.product.is_onetime().then(|| ItemSeed {
        kind: "Hosting",
        service_k: Some(service.k),
        description: service.product.name.to_owned(),
        amount: service.first_payment,
        taxed: true,
    })
}

fn top_up(service: &ServiceSeed, on: NaiveDate) -> Option<ItemSeed> {
    let is_running = service.status == "Active" && service.regdate <= on;
    let line = service.line.as_ref().filter(|_| is_running)?;
    Some(ItemSeed {
        kind: "Item",
        service_k: Some(service.k),
        description: format!("Data top-up 3 GB - {}", line.account),
        amount: Decimal::from(1500),
        taxed: true,
    })
}

/// Four in a hundred have none; the demo customer has a card, a card about to expire and a bank account.
pub(super) fn pay_methods(n: u64, today: NaiveDate, dice: &mut Dice) -> Vec<PayMethodSeed> {
    let count = match n {
        1 => 3,
        2 | 3 => 1,
        _ if dice.chance(4) => 0,
        _ => 1 + dice.below(2),
    };
    let method = |k: u32| {
        if k == 3 {
            return PayMethodSeed {
                k,
                kind: "BankAccount",
                description: "Rent account",
                gateway: "",
                last_four: String::new(),
                expiry: String::new(),
                card_type: "",
                bank_name: "みずほ銀行",
            };
        }
        let expiry = today + chrono::Months::new(if n == 1 && k == 2 { 1 } else { 2 + dice.small(44) });
        PayMethodSeed {
            k,
            kind: "RemoteCreditCard",
            description: if k == 1 { "Main card" } else { "" },
            gateway: "stripe",
            last_four: dice.digits(4),
            expiry: expiry.format("%m/%y").to_string(),
            card_type: dice.pick::<&str>(&["Visa", "Mastercard", "JCB", "American Express"]),
            bank_name: "",
        }
    };
    (1..=count as u32).map(method).collect()
}
