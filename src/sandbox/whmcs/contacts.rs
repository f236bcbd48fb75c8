//! Address-book entries of a client.

use serde_json::{Value, json};

use crate::sandbox::whmcs::account::Contact;
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::login::is_email;
use crate::sandbox::whmcs::params::Params;
use crate::sandbox::whmcs::reply::{Page, Refusal, Reply, error, extend, refuse};
use crate::sandbox::whmcs::store::{Store, Table};

const FIELDS: &[&str] = &[
    "firstname",
    "lastname",
    "companyname",
    "email",
    "address1",
    "address2",
    "city",
    "state",
    "postcode",
    "country",
    "phonenumber",
    "tax_id",
];

const EMAILS: &[&str] =
    &["generalemails", "invoiceemails", "productemails", "domainemails", "supportemails", "affiliateemails"];

/// `GetContacts`: of a client (`userid`) or of everybody.
pub fn get_contacts(store: &Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let page = Page::of(params);
    let client = params.id("userid");
    let accounts = store.written_accounts().filter(|account| client.is_none_or(|id| account.client.id == id));
    let wanted = |contact: &Contact| {
        FIELDS.iter().all(|name| {
            params.text(name).is_none_or(|text| contact.fields.get(name).is_some_and(|value| value == text))
        })
    };
    let found: Vec<Value> = accounts
        .flat_map(|account| account.contacts.iter().map(|contact| (account.client.id, contact)))
        .filter(|(_, contact)| wanted(contact))
        .map(|(client, contact)| row(client, contact))
        .collect();
    let total = found.len() as u64;
    Ok(page.answer(total, "contacts", "contact", page.cut(found.into_iter())))
}

fn row(client: u64, contact: &Contact) -> Value {
    let mut row = json!({"id": contact.id, "userid": client, "subaccount": 0});
    for name in FIELDS {
        extend(&mut row, json!({*name: contact.fields.get(name).map_or("", String::as_str)}));
    }
    for name in EMAILS {
        extend(&mut row, json!({*name: u8::from(contact.emails.get(name).copied().unwrap_or(false))}));
    }
    row
}

fn write_fields(contact: &mut Contact, params: &Params) -> Result<(), Refusal> {
    if params.text("email").is_some_and(|email| !is_email(email)) {
        return refuse("The email address entered is not valid");
    }
    for name in FIELDS {
        if let Some(text) = params.sent(name) {
            contact.fields.insert(name, text.trim().to_owned());
        }
    }
    for name in EMAILS {
        if let Some(on) = params.sent_flag(name) {
            contact.emails.insert(name, on);
        }
    }
    Ok(())
}

/// `AddContact`. Sub-account fields are answered with a warning: contacts do not sign in.
pub fn add_contact(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let client = params.id("clientid").filter(|id| store.account(*id).is_some());
    let client = client.ok_or_else(error("Client ID Not Found"))?;
    let mut contact = Contact::default();
    write_fields(&mut contact, params)?;
    contact.id = store.mint(Table::Contact, client);
    let id = contact.id;
    if let Some(account) = store.account_mut(client) {
        account.contacts.push(contact);
    }
    store.fire("ContactAdd", json!({"userid": client, "contactid": id}));
    let mut answer = json!({"contactid": id});
    if params.text("password2").is_some() || params.text("permissions").is_some() {
        answer["warning"] = "Sub-account parameters are deprecated. Use CreateClientInvite instead.".into();
    }
    Ok(answer)
}

fn target(store: &Store, call: &Call<'_>) -> Result<(u64, u64), Refusal> {
    let id = call.params.id("contactid").unwrap_or(0);
    let account = store.account_with(Table::Contact, id).ok_or_else(error("Contact ID Not Found"))?;
    if !account.contacts.iter().any(|contact| contact.id == id) {
        return refuse("Contact ID Not Found");
    }
    Ok((account.client.id, id))
}

/// `UpdateContact`.
pub fn update_contact(store: &mut Store, call: &Call<'_>) -> Reply {
    let (client, id) = target(store, call)?;
    let contacts = store.account_mut(client).map(|account| &mut account.contacts);
    let contact = contacts.into_iter().flatten().find(|contact| contact.id == id);
    write_fields(contact.ok_or_else(error("Contact ID Not Found"))?, call.params)?;
    store.fire("ContactEdit", json!({"userid": client, "contactid": id}));
    Ok(json!({"contactid": call.params.sent("contactid")}))
}

/// `DeleteContact`.
pub fn delete_contact(store: &mut Store, call: &Call<'_>) -> Reply {
    let (client, id) = target(store, call)?;
    if let Some(account) = store.account_mut(client) {
        account.contacts.retain(|contact| contact.id != id);
    }
    store.fire("ContactDelete", json!({"userid": client, "contactid": id}));
    Ok(json!({"contactid": call.params.sent("contactid")}))
}
