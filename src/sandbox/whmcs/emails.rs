//! Mails. Nothing leaves: every mailing action writes a row that GetEmails returns.

use serde_json::{Value, json};

use crate::sandbox::whmcs::account::Email;
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::reply::{Page, Refusal, Reply, date_time, error, refuse};
use crate::sandbox::whmcs::serialize::try_decode_map;
use crate::sandbox::whmcs::store::{Store, Table};

/// Templates: name, type, whether it is enabled.
const TEMPLATES: &[(&str, &str, bool)] = &[
    ("Client Signup Email", "general", true),
    ("Client Email Address Verification", "general", true),
    ("Legacy Newsletter", "general", false),
    ("Invoice Created", "invoice", true),
    ("Invoice Payment Reminder", "invoice", true),
    ("Invoice Payment Confirmation", "invoice", true),
    ("New Product Information", "product", true),
    ("Service Suspension Notification", "product", true),
    ("Cancellation Request Confirmation", "product", true),
    ("Domain Renewal Confirmation", "domain", true),
    ("Support Ticket Opened", "support", true),
];

/// Templates that cannot be sent through the API.
const NOT_SENDABLE: &[&str] = &[
    "Order Confirmation",
    "Password Reset Confirmation",
    "Password Reset Validation",
    "Automated Password Reset",
    "Quote Delivery with PDF",
    "Quote Accepted",
    "Affiliate Monthly Referrals Report",
];

const TYPES: &[&str] = &["general", "product", "domain", "invoice", "support", "affiliate"];

/// A whole HTML document, as stored mails are.
pub fn letter(name: &str, text: &str) -> String {
    let (name, text) = (html_escape::encode_text(name), html_escape::encode_text(text));
    format!("<!DOCTYPE html>\n<html><body><p>Dear {name},</p><p>{text}</p></body></html>")
}

impl Store {
    /// Hands a mail to the mailer: it becomes a row.
    pub fn mail(&mut self, client: u64, subject: &str, text: &str) {
        let Some(name) = self.account(client).map(|account| account.client.fullname()) else { return };
        self.mail_html(client, subject, letter(&name, text));
    }

    fn mail_html(&mut self, client: u64, subject: &str, message: String) {
        let (id, date) = (self.mint(Table::Email, client), Some(self.now()));
        self.fire("EmailPreLog", json!({"userid": client, "date": date_time(date)}));
        if let Some(account) = self.account_mut(client) {
            let to = format!("{} <{}>", account.client.fullname(), account.client.email);
            account.emails.push(Email { id, subject: subject.to_owned(), message, date, to });
        }
    }
}

/// `GetEmails`, newest first. An unknown client is refused with `status`.
pub fn get_emails(store: &Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let page = Page::of(params);
    let account = params.id("clientid").and_then(|id| store.account(id));
    let account = account.ok_or_else(|| Refusal::Status("Client ID Not Found".to_owned()))?;
    let (subject, at) = (params.text("subject").map(str::to_lowercase), params.date_time("date"));
    let mut found: Vec<&Email> = account
        .emails
        .iter()
        .filter(|email| subject.as_ref().is_none_or(|text| email.subject.to_lowercase().contains(text)))
        .filter(|email| at.is_none() || email.date == at)
        .collect();
    found.sort_by_key(|email| std::cmp::Reverse((email.date, email.id)));
    let total = found.len() as u64;
    let rows = page.cut(found.into_iter()).into_iter().map(|email| {
        json!({
            "id": email.id, "userid": account.client.id, "subject": email.subject, "message": email.message,
            "date": date_time(email.date), "to": email.to, "cc": "", "bcc": "", "attachments": null, "pending": 0,
            "message_data": null, "failed": 0, "failure_reason": "", "retry_count": 0, "created_at": null,
            "updated_at": null, "campaign_id": 0,
        })
    });
    Ok(page.answer(total, "emails", "email", rows.collect()))
}

/// The client that a related id leads to.
fn related(store: &Store, kind: &str, id: u64) -> Option<u64> {
    let client = match kind {
        "product" => {
            let account = store.account_with(Table::Service, id)?;
            account.service(id).map(|_| account.client.id)?
        }
        "invoice" => {
            let account = store.account_with(Table::Invoice, id)?;
            account.invoice(id).map(|_| account.client.id)?
        }
        "general" | "affiliate" => id,
        _ => return None,
    };
    store.account(client).map(|_| client)
}

/// `SendEmail`.
pub fn send_email(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let failed = || Refusal::Error("Sending Failed. Please see documentation.".to_owned());
    let (kind, subject, body) = if let Some(kind) = params.text("customtype") {
        if !TYPES.contains(&kind) {
            return refuse("Invalid message type provided");
        }
        let subject =
            params.text("customsubject").ok_or_else(error("A subject is required for a custom message"))?;
        let body = params
            .text("custommessage")
            .ok_or_else(error("A message body is required for a custom message"))?;
        (kind, subject.to_owned(), Some(body.to_owned()))
    } else {
        let name = params.text("messagename");
        let name = name.ok_or_else(error(
            "You must provide either an existing email template name or a custom message type",
        ))?;
        let template =
            TEMPLATES.iter().find(|(template, ..)| *template == name && !NOT_SENDABLE.contains(template));
        let (name, kind, enabled) = template.ok_or_else(error("Email Template not found"))?;
        if !enabled {
            return refuse("Email Template is disabled");
        }
        (*kind, (*name).to_owned(), None)
    };
    let mut variables = Vec::new();
    if let Some(encoded) = params.text("customvars") {
        let map =
            try_decode_map(encoded).ok_or_else(error("The custom variables you provided are invalid."))?;
        variables = map.iter().filter_map(|(k, v)| Some((k.to_string(), v.to_text()?))).collect();
    }
    let id = params.id("id").ok_or_else(error("A related ID is required"))?;
    let client = related(store, kind, id).ok_or_else(failed)?;
    let merge =
        |text: String| variables.iter().fold(text, |text, (k, v)| text.replace(&format!("{{${k}}}"), v));
    store.fire("EmailPreSend", json!({"messagename": params.text("messagename"), "relid": id}));
    match body {
        Some(body) => store.mail_html(client, &merge(subject), merge(body)),
        None => store.mail(client, &subject, &format!("This is the message “{subject}”.")),
    }
    Ok(Value::Object(serde_json::Map::new()))
}
