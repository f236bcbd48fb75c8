//! Everything that hangs from one client: the unit that is generated, copied when first written, and changed.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::{Decimal, RoundingStrategy};

/// A client with all its rows.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub client: Client,
    pub services: Vec<Service>,
    pub invoices: Vec<Invoice>,
    pub transactions: Vec<Transaction>,
    pub orders: Vec<Order>,
    pub pay_methods: Vec<PayMethod>,
    pub contacts: Vec<Contact>,
    pub credits: Vec<CreditEntry>,
    pub emails: Vec<Email>,
    pub cancellations: Vec<Cancellation>,
}

/// The billing account. Text is kept raw; escaping belongs to the dialect.
#[derive(Clone, Debug, Default)]
pub struct Client {
    pub id: u64,
    pub owner_user_id: u64,
    pub firstname: String,
    pub lastname: String,
    pub companyname: String,
    pub email: String,
    pub address1: String,
    pub address2: String,
    pub city: String,
    pub state: String,
    pub postcode: String,
    pub country: String,
    /// Domestic digits, or what was written.
    pub phonenumber: String,
    pub tax_id: String,
    pub notes: String,
    pub language: String,
    pub defaultgateway: String,
    pub billingcid: u64,
    pub currency: u64,
    pub groupid: u64,
    pub status: String,
    pub credit: Decimal,
    pub created: Option<NaiveDate>,
    pub last_login: Option<NaiveDateTime>,
    pub allow_sso: bool,
    pub marketing: bool,
    pub email_verified: bool,
    /// `taxexempt`, `latefeeoveride` and the other flags that UpdateClient can set.
    pub flags: BTreeMap<&'static str, bool>,
    /// `general`, `invoice`… Absent means on.
    pub email_preferences: BTreeMap<&'static str, bool>,
    /// Custom field id and value.
    pub customfields: BTreeMap<u64, String>,
}

/// A purchased product.
#[derive(Clone, Debug, Default)]
pub struct Service {
    pub id: u64,
    pub qty: u64,
    pub orderid: u64,
    pub pid: u64,
    pub regdate: Option<NaiveDate>,
    pub nextduedate: Option<NaiveDate>,
    pub terminationdate: Option<NaiveDate>,
    pub overidesuspenduntil: Option<NaiveDate>,
    pub overideautosuspend: String,
    pub domain: String,
    pub serverid: u64,
    pub promoid: u64,
    pub firstpaymentamount: Decimal,
    pub recurringamount: Decimal,
    pub paymentmethod: String,
    /// As answers spell it: `Monthly`, `One Time`, `Free Account`…
    pub billingcycle: String,
    pub status: String,
    pub username: String,
    pub password: String,
    pub subscriptionid: String,
    pub suspensionreason: String,
    pub dedicatedip: String,
    pub assignedips: String,
    pub ns1: String,
    pub ns2: String,
    pub notes: String,
    pub usage: BTreeMap<&'static str, u64>,
    /// Custom field id and value.
    pub customfields: BTreeMap<u64, String>,
    pub configoptions: BTreeMap<u64, String>,
}

/// An invoice. Amounts are computed from the items, see [`Invoice::totals`].
#[derive(Clone, Debug, Default)]
pub struct Invoice {
    pub id: u64,
    pub invoicenum: String,
    pub date: Option<NaiveDate>,
    pub duedate: Option<NaiveDate>,
    pub datepaid: Option<NaiveDateTime>,
    pub last_capture_attempt: Option<NaiveDateTime>,
    pub date_refunded: Option<NaiveDateTime>,
    pub date_cancelled: Option<NaiveDateTime>,
    pub created_at: Option<NaiveDateTime>,
    pub updated_at: Option<NaiveDateTime>,
    pub items: Vec<Item>,
    pub credit: Decimal,
    pub taxrate: Decimal,
    pub taxrate2: Decimal,
    pub status: String,
    pub paymentmethod: String,
    pub paymethodid: Option<u64>,
    pub notes: String,
}

/// A line of an invoice.
#[derive(Clone, Debug, Default)]
pub struct Item {
    pub id: u64,
    /// `Hosting`, `Setup`, `Item`, or nothing for lines written by hand.
    pub kind: String,
    pub relid: u64,
    pub description: String,
    pub amount: Decimal,
    pub taxed: bool,
}

/// The amounts of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    pub subtotal: Decimal,
    pub tax: Decimal,
    pub tax2: Decimal,
    /// Subtotal and taxes, less the credit applied.
    pub total: Decimal,
}

/// Money that moved.
#[derive(Clone, Debug, Default)]
pub struct Transaction {
    pub id: u64,
    pub currency: u64,
    pub gateway: String,
    pub date: Option<NaiveDateTime>,
    pub description: String,
    pub amountin: Decimal,
    pub fees: Decimal,
    pub amountout: Decimal,
    pub rate: Decimal,
    pub transid: String,
    pub invoiceid: u64,
    pub refundid: u64,
}

/// An order.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub id: u64,
    pub ordernum: u64,
    pub requestor_id: u64,
    pub contactid: u64,
    pub date: Option<NaiveDateTime>,
    pub amount: Decimal,
    pub paymentmethod: String,
    pub invoiceid: u64,
    pub status: String,
    pub promocode: String,
    pub notes: String,
    pub ipaddress: String,
    pub service_ids: Vec<u64>,
}

/// A stored card or bank account. The number itself is never kept.
#[derive(Clone, Debug, Default)]
pub struct PayMethod {
    pub id: u64,
    pub kind: String,
    pub description: String,
    pub gateway: String,
    pub last_four: String,
    /// `MM/YY`.
    pub expiry: String,
    pub start: String,
    pub issue: String,
    pub card_type: String,
    pub bank_name: String,
    pub remote_token: String,
    pub is_default: bool,
    pub updated: Option<NaiveDateTime>,
}

/// An address-book entry.
#[derive(Clone, Debug, Default)]
pub struct Contact {
    pub id: u64,
    /// `firstname`, `lastname`, `companyname`, `email`, address fields…
    pub fields: BTreeMap<&'static str, String>,
    /// `generalemails`, `invoiceemails`…
    pub emails: BTreeMap<&'static str, bool>,
}

/// A line of the credit log.
#[derive(Clone, Debug, Default)]
pub struct CreditEntry {
    pub id: u64,
    pub date: Option<NaiveDate>,
    pub description: String,
    pub amount: Decimal,
    pub relid: u64,
}

/// A mail that was handed to the mailer.
#[derive(Clone, Debug, Default)]
pub struct Email {
    pub id: u64,
    pub subject: String,
    pub message: String,
    pub date: Option<NaiveDateTime>,
    pub to: String,
}

/// A cancellation request.
#[derive(Clone, Debug, Default)]
pub struct Cancellation {
    pub id: u64,
    pub date: Option<NaiveDateTime>,
    pub relid: u64,
    pub reason: String,
    pub kind: String,
}

/// Two places, halves away from zero.
pub fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

impl Invoice {
    /// Tax-exclusive amounts, rounded per item.
    pub fn totals(&self) -> Totals {
        let subtotal: Decimal = self.items.iter().map(|item| item.amount).sum();
        let tax_at = |rate: Decimal| -> Decimal {
            self.items
                .iter()
                .filter(|item| item.taxed)
                .map(|item| cents(item.amount * rate / Decimal::ONE_HUNDRED))
                .sum()
        };
        let (tax, tax2) = (tax_at(self.taxrate), tax_at(self.taxrate2));
        Totals { subtotal, tax, tax2, total: subtotal + tax + tax2 - self.credit }
    }

    /// Unpaid and due before today.
    pub fn is_overdue(&self, today: NaiveDate) -> bool {
        self.status == "Unpaid" && self.duedate.is_some_and(|due| due < today)
    }
}

impl Account {
    /// What is still to be paid of an invoice.
    pub fn balance(&self, invoice: &Invoice) -> Decimal {
        let moved: Decimal = self
            .transactions
            .iter()
            .filter(|t| t.invoiceid == invoice.id)
            .map(|t| t.amountin - t.amountout)
            .sum();
        invoice.totals().total - moved
    }

    /// An invoice by id.
    pub fn invoice(&self, id: u64) -> Option<&Invoice> {
        self.invoices.iter().find(|invoice| invoice.id == id)
    }

    /// An invoice by id, to change.
    pub fn invoice_mut(&mut self, id: u64) -> Option<&mut Invoice> {
        self.invoices.iter_mut().find(|invoice| invoice.id == id)
    }

    /// A service by id.
    pub fn service(&self, id: u64) -> Option<&Service> {
        self.services.iter().find(|service| service.id == id)
    }

    /// A service by id, to change.
    pub fn service_mut(&mut self, id: u64) -> Option<&mut Service> {
        self.services.iter_mut().find(|service| service.id == id)
    }

    /// An order by id.
    pub fn order(&self, id: u64) -> Option<&Order> {
        self.orders.iter().find(|order| order.id == id)
    }

    /// An order by id, to change.
    pub fn order_mut(&mut self, id: u64) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.id == id)
    }
}

impl Client {
    /// First and last name.
    pub fn fullname(&self) -> String {
        format!("{} {}", self.firstname, self.lastname).trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tax_is_rounded_up_from_the_half_per_item() {
        let item = |amount: i64, taxed| Item { amount: Decimal::new(amount, 2), taxed, ..Item::default() };
        let mut invoice = Invoice {
            items: vec![item(1005, true), item(1005, true), item(-200, false)],
            taxrate: Decimal::TEN,
            credit: Decimal::ONE,
            ..Invoice::default()
        };
        let totals = invoice.totals();
        assert_eq!(totals.subtotal, Decimal::new(1810, 2));
        assert_eq!(totals.tax, Decimal::new(202, 2), "1.005 twice, each rounded to 1.01");
        assert_eq!(totals.total, Decimal::new(1912, 2));
        invoice.id = 7;
        let account = Account {
            transactions: vec![Transaction {
                invoiceid: 7,
                amountin: Decimal::new(2000, 2),
                amountout: Decimal::new(100, 2),
                ..Transaction::default()
            }],
            ..Account::default()
        };
        assert_eq!(account.balance(&invoice), Decimal::new(12, 2));
    }
}
