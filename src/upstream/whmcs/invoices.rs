//! `GetInvoices` and `GetInvoice`.

use chrono::{NaiveDate, NaiveDateTime};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::{
    deadline::Budget,
    upstream::{
        error::{Error, Kind},
        transport::Answer,
        whmcs::{Client, dialect, ensure_owner, read, says},
    },
};

/// One page of a client's invoices.
#[derive(Clone, Debug, Deserialize)]
pub struct Invoices {
    /// Invoices before paging.
    #[serde(rename = "totalresults", deserialize_with = "dialect::number")]
    pub total: u64,
    /// The page.
    #[serde(default, deserialize_with = "dialect::nested")]
    pub invoices: Vec<Invoice>,
}

/// An invoice without its lines. Amounts are in the client's currency; times are the server's own, without zone.
#[derive(Clone, Debug, Deserialize)]
pub struct Invoice {
    /// The invoice id.
    #[serde(deserialize_with = "dialect::number")]
    pub id: u64,
    /// The owner.
    #[serde(deserialize_with = "dialect::number")]
    pub userid: u64,
    /// The printed number; `None` where none is given, on many installations until it is paid.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub invoicenum: Option<String>,
    /// The day of issue.
    #[serde(default, deserialize_with = "dialect::date")]
    pub date: Option<NaiveDate>,
    /// The day by which it is to be paid.
    #[serde(default, deserialize_with = "dialect::date")]
    pub duedate: Option<NaiveDate>,
    /// When it was paid; `None` while it is not.
    #[serde(default, deserialize_with = "dialect::datetime")]
    pub datepaid: Option<NaiveDateTime>,
    /// The sum of the lines.
    #[serde(deserialize_with = "dialect::decimal")]
    pub subtotal: Decimal,
    /// Credit applied.
    #[serde(deserialize_with = "dialect::decimal")]
    pub credit: Decimal,
    /// First tax.
    #[serde(deserialize_with = "dialect::decimal")]
    pub tax: Decimal,
    /// Second tax.
    #[serde(deserialize_with = "dialect::decimal")]
    pub tax2: Decimal,
    /// What is to be paid in all, credit taken off.
    #[serde(deserialize_with = "dialect::decimal")]
    pub total: Decimal,
    /// `Draft`, `Unpaid`, `Paid`, `Cancelled`, `Refunded`, `Collections` or `Payment Pending`.
    #[serde(default, deserialize_with = "dialect::text")]
    pub status: String,
    /// The payment method's system name.
    #[serde(default, deserialize_with = "dialect::text")]
    pub paymentmethod: String,
    /// ISO 4217; `None` in older releases: then it is the client's.
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub currencycode: Option<String>,
}

/// An invoice with its lines. Amounts are in the client's currency, which the vendor does not repeat here.
#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceDetails {
    /// The invoice id.
    #[serde(deserialize_with = "dialect::number")]
    pub invoiceid: u64,
    /// The owner: to be compared with the viewer, since the vendor gives any invoice to anybody.
    #[serde(deserialize_with = "dialect::number")]
    pub userid: u64,
    /// As in [`Invoice::invoicenum`].
    #[serde(default, deserialize_with = "dialect::opt_text")]
    pub invoicenum: Option<String>,
    /// The day of issue.
    #[serde(default, deserialize_with = "dialect::date")]
    pub date: Option<NaiveDate>,
    /// The day by which it is to be paid.
    #[serde(default, deserialize_with = "dialect::date")]
    pub duedate: Option<NaiveDate>,
    /// When it was paid; `None` while it is not.
    #[serde(default, deserialize_with = "dialect::datetime")]
    pub datepaid: Option<NaiveDateTime>,
    /// The sum of the lines.
    #[serde(deserialize_with = "dialect::decimal")]
    pub subtotal: Decimal,
    /// Credit applied.
    #[serde(deserialize_with = "dialect::decimal")]
    pub credit: Decimal,
    /// First tax.
    #[serde(deserialize_with = "dialect::decimal")]
    pub tax: Decimal,
    /// Second tax.
    #[serde(deserialize_with = "dialect::decimal")]
    pub tax2: Decimal,
    /// What is to be paid in all, credit taken off.
    #[serde(deserialize_with = "dialect::decimal")]
    pub total: Decimal,
    /// What is still to be paid.
    #[serde(deserialize_with = "dialect::decimal")]
    pub balance: Decimal,
    /// As in [`Invoice::status`].
    #[serde(default, deserialize_with = "dialect::text")]
    pub status: String,
    /// The payment method's system name.
    #[serde(default, deserialize_with = "dialect::text")]
    pub paymentmethod: String,
    /// The lines, in order.
    #[serde(default, deserialize_with = "dialect::nested")]
    pub items: Vec<InvoiceItem>,
}

/// A line of an invoice.
#[derive(Clone, Debug, Deserialize)]
pub struct InvoiceItem {
    /// The line id.
    #[serde(deserialize_with = "dialect::number")]
    pub id: u64,
    /// What [`relid`](Self::relid) points at: `Hosting` (a service), `Domain`, `Addon`, `Invoice` and more; empty
    /// for a line written by hand.
    #[serde(default, rename = "type", deserialize_with = "dialect::text")]
    pub kind: String,
    /// The id of the thing charged; 0 when there is none.
    #[serde(default, deserialize_with = "dialect::opt_number")]
    pub relid: Option<u64>,
    /// The text of the line; may hold line breaks.
    #[serde(default, deserialize_with = "dialect::text")]
    pub description: String,
    /// The amount before tax; negative for a discount.
    #[serde(deserialize_with = "dialect::decimal")]
    pub amount: Decimal,
    /// Whether tax is added to it.
    #[serde(default, deserialize_with = "dialect::boolean")]
    pub taxed: bool,
}

impl Client {
    /// One page of a client's invoices, newest first. `offset` counts invoices.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    ///
    /// Source: WHMCS API reference, `GetInvoices`.
    pub async fn get_invoices(
        &self,
        budget: Budget,
        client: u64,
        offset: u64,
        limit: u64,
    ) -> Result<Invoices, Error> {
        let parameters = [
            ("userid", &*client.to_string()),
            ("limitstart", &*offset.to_string()),
            ("limitnum", &*limit.to_string()),
            ("orderby", "id"),
            ("order", "desc"),
        ];
        self.read("GetInvoices", budget, &parameters, |answer| decode_page(answer, client)).await
    }

    /// One invoice with its lines, whoever owns it; `None` when there is none of that id.
    ///
    /// # Errors
    /// As [`Transport::send`](crate::upstream::transport::Transport::send).
    ///
    /// Source: WHMCS API reference, `GetInvoice`.
    pub async fn get_invoice(&self, budget: Budget, invoice: u64) -> Result<Option<InvoiceDetails>, Error> {
        let parameters = [("invoiceid", &*invoice.to_string())];
        self.read("GetInvoice", budget, &parameters, |answer| decode_details(answer, invoice)).await
    }
}

pub(super) fn decode_page(answer: &Answer, client: u64) -> Result<Invoices, Kind> {
    let page: Invoices = read(answer)?;
    ensure_owner(client, page.invoices.iter().map(|invoice| invoice.userid), "invoices.invoice.userid")?;
    Ok(page)
}

pub(super) fn decode_details(answer: &Answer, invoice: u64) -> Result<Option<InvoiceDetails>, Kind> {
    match read::<InvoiceDetails>(answer) {
        Ok(details) if details.invoiceid == invoice => Ok(Some(details)),
        Ok(_) => Err(Kind::Decode { path: "invoiceid".to_owned() }),
        Err(Kind::Refused { message, .. }) if says(&message, "invoice id not found") => Ok(None),
        Err(kind) => Err(kind),
    }
}
