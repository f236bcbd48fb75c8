//! Clients: writes.

use serde_json::json;

use crate::sandbox::whmcs::account::{Account, Client};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::clients::{FLAGS, PREFERENCES};
use crate::sandbox::whmcs::installation::{self, CLIENT_FIELDS, CURRENCIES};
use crate::sandbox::whmcs::login::is_email;
use crate::sandbox::whmcs::params::{Params, key_id};
use crate::sandbox::whmcs::php::Key;
use crate::sandbox::whmcs::reply::{Refusal, Reply, error, refuse};
use crate::sandbox::whmcs::store::{Store, Table};
use crate::sandbox::whmcs::user_edit::TAKEN;
use crate::sandbox::whmcs::users::User;

const REQUIRED: &[(&str, &str)] = &[
    ("firstname", "first name"),
    ("lastname", "last name"),
    ("email", "email address"),
    ("address1", " address line 1"),
    ("city", "city"),
    ("state", "state"),
    ("postcode", "postcode"),
    ("phonenumber", "phone number"),
];

fn is_phone(text: &str) -> bool {
    text.chars().filter(char::is_ascii_digit).count() >= 6
        && text.chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | ' ' | '(' | ')'))
}

/// Validates a new client; the first failure is the message.
fn validate_new(params: &Params) -> Result<(), Refusal> {
    let skip = params.flag("skipvalidation");
    for (name, what) in REQUIRED.iter().filter(|(name, _)| !skip || *name == "email") {
        if params.text(name).is_none() {
            return refuse(format!("You did not enter your {what}"));
        }
    }
    if !params.text("email").is_some_and(is_email) {
        return refuse("The email address you entered was not valid");
    }
    if skip {
        return Ok(());
    }
    if !params.text("country").is_some_and(|code| installation::country(code).is_some()) {
        return refuse("Valid country required");
    }
    if !params.text("phonenumber").is_some_and(is_phone) {
        return refuse("Invalid telephone phone number");
    }
    let given = params.serialized("customfields");
    for (id, name, _) in CLIENT_FIELDS.iter().filter(|(.., required)| *required) {
        if !given.iter().any(|(key, value)| key_id(key) == Some(*id) && !value.trim().is_empty()) {
            return refuse(format!("You did not provide required custom field value for {name}"));
        }
    }
    Ok(())
}

/// `AddClient`: a client, and unless an owner is named also its user.
pub fn add_client(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let owner = params.id("owner_user_id");
    if params.text("owner_user_id").is_some() && owner.is_none_or(|id| store.user(id).is_none()) {
        return refuse("Invalid Owner User ID");
    }
    validate_new(params)?;
    let email = params.text("email").unwrap_or_default().to_owned();
    if is_blocked(&email) {
        return refuse("The email address entered is not available for use.");
    }
    let text = |name: &str| params.text(name).unwrap_or_default().to_owned();
    let owner = match owner {
        Some(owner) => owner,
        None => {
            let password =
                params.text("password2").ok_or_else(error("You did not enter a password"))?.to_owned();
            if store.user_by_email(&email).is_some() {
                return refuse(TAKEN);
            }
            store.create_user(User {
                firstname: text("firstname"),
                lastname: text("lastname"),
                email: email.clone(),
                password,
                language: params.text("language").unwrap_or("english").to_owned(),
                ..User::default()
            })
        }
    };
    let id = store.mint(Table::Client, 0);
    let mut client = Client {
        id,
        owner_user_id: owner,
        country: text("country"),
        language: params.text("language").unwrap_or("english").to_owned(),
        currency: installation::JPY,
        status: "Active".to_owned(),
        created: Some(store.today()),
        allow_sso: true,
        ..Client::default()
    };
    write_fields(&mut client, params);
    let groupid = client.groupid;
    store.insert_account(Account { client, ..Account::default() });
    if !params.flag("noemail") {
        store.mail(id, "Client Signup Email", "Thank you for signing up with us.");
    }
    store.fire("ClientAdd", json!({"client_id": id, "user_id": owner, "userid": id, "groupid": groupid}));
    let mut answer = json!({"clientid": id, "owner_id": owner});
    if ["cardtype", "cardnum", "expdate", "cvv"].into_iter().any(|name| params.text(name).is_some()) {
        answer["warning"] = "Credit card parameters are deprecated. Use AddPayMethod instead.".into();
    }
    Ok(answer)
}

/// Addresses that the operator has banned.
fn is_blocked(email: &str) -> bool {
    email.to_ascii_lowercase().ends_with("@blocked.example")
}

/// Writes what was sent; everything else stays.
fn write_fields(client: &mut Client, params: &Params) {
    for (name, field) in [
        ("firstname", &mut client.firstname),
        ("lastname", &mut client.lastname),
        ("companyname", &mut client.companyname),
        ("email", &mut client.email),
        ("address1", &mut client.address1),
        ("address2", &mut client.address2),
        ("city", &mut client.city),
        ("state", &mut client.state),
        ("postcode", &mut client.postcode),
        ("country", &mut client.country),
        ("phonenumber", &mut client.phonenumber),
        ("tax_id", &mut client.tax_id),
        ("notes", &mut client.notes),
        ("language", &mut client.language),
        ("status", &mut client.status),
        ("paymentmethod", &mut client.defaultgateway),
    ] {
        if let Some(text) = params.sent(name) {
            text.trim().clone_into(field);
        }
    }
    if let Some(id) = params.id("currency").filter(|id| CURRENCIES.iter().any(|currency| currency.id == *id))
    {
        client.currency = id;
    }
    if let Some(id) = params.number("groupid") {
        client.groupid = id;
    }
    if let Some(on) = params.sent_flag("marketingoptin") {
        client.marketing = on;
    }
    for flag in FLAGS {
        if let Some(on) = params.sent_flag(flag) {
            client.flags.insert(flag, on);
        }
    }
    for name in PREFERENCES {
        if let Some(text) = params.at("email_preferences", &Key::new(name)) {
            client.email_preferences.insert(name, params.is_true(&text));
        }
    }
    for (key, value) in params.serialized("customfields") {
        let known = key_id(&key).filter(|id| CLIENT_FIELDS.iter().any(|(field, ..)| field == id));
        if let Some(id) = known {
            client.customfields.insert(id, value);
        }
    }
}

/// `UpdateClient`. The user's login address does not change with the client's.
pub fn update_client(store: &mut Store, call: &Call<'_>) -> Reply {
    let params = call.params;
    let named = params.id("clientid").or_else(|| {
        params.text("clientemail").and_then(|email| store.clients_by_email(email).first().copied())
    });
    let not_found = error("Client ID Not Found");
    let id = named.filter(|id| store.account(*id).is_some()).ok_or_else(not_found)?;
    if let Some(email) = params.text("email") {
        if !params.flag("skipvalidation") && !is_email(email) {
            return refuse("The email address entered is not valid");
        }
        if store.clients_by_email(email).into_iter().any(|other| other != id) {
            return refuse("Duplicate Email Address");
        }
    }
    if PREFERENCES.contains(&"domain")
        && params.at("email_preferences", &Key::new("domain")).is_some_and(|text| !params.is_true(&text))
        && !store.account(id).is_some_and(|account| receives_domain_mail(&account))
    {
        return refuse(
            "You must have at least one email address enabled to receive domain related notifications as required by ICANN. To disable domain notifications, please create a contact to receive the domain notifications first.",
        );
    }
    if params.text("cardnum").is_some() && count_methods(store, id, "CreditCard") > 1 {
        return refuse("Multiple Credit Card Pay Methods Found");
    }
    if params.text("bankacct").is_some() && count_methods(store, id, "BankAccount") > 1 {
        return refuse("Multiple Bank Account Pay Methods Found");
    }
    let account = store.account_mut(id).ok_or_else(error("Client ID Not Found"))?;
    let status_before = account.client.status.clone();
    write_fields(&mut account.client, params);
    if !matches!(account.client.status.as_str(), "Active" | "Inactive" | "Closed") {
        account.client.status = status_before;
    }
    if params.flag("clearcreditcard") {
        account.pay_methods.retain(|method| !method.kind.ends_with("CreditCard"));
    }
    let status = account.client.status.clone();
    store.fire("ClientEdit", json!({"userid": id, "status": status}));
    let echo = params.sent("clientid").map_or_else(|| json!(id), |text| json!(text));
    Ok(json!({"clientid": echo}))
}

fn receives_domain_mail(account: &Account) -> bool {
    account.contacts.iter().any(|contact| contact.emails.get("domainemails").copied().unwrap_or(false))
}

fn count_methods(store: &Store, client: u64, kind: &str) -> usize {
    store
        .account(client)
        .map_or(0, |account| account.pay_methods.iter().filter(|method| method.kind.ends_with(kind)).count())
}

/// `CloseClient`: closes the client, cancels open invoices, ends services.
pub fn close_client(store: &mut Store, call: &Call<'_>) -> Reply {
    let id = call.params.id("clientid").unwrap_or(0);
    let (now, today) = (store.now(), store.today());
    let account = store.account_mut(id).ok_or_else(error("Client ID Not Found"))?;
    "Closed".clone_into(&mut account.client.status);
    let mut cancelled = Vec::new();
    for invoice in account.invoices.iter_mut().filter(|row| matches!(row.status.as_str(), "Unpaid" | "Draft"))
    {
        "Cancelled".clone_into(&mut invoice.status);
        invoice.date_cancelled = Some(now);
        cancelled.push(invoice.id);
    }
    for service in &mut account.services {
        let status = match service.status.as_str() {
            "Pending" => "Cancelled",
            "Active" | "Suspended" => "Terminated",
            _ => continue,
        };
        status.clone_into(&mut service.status);
        service.terminationdate = Some(today);
    }
    store.fire("ClientClose", json!({"userid": id}));
    for invoice in cancelled {
        store.fire("InvoiceCancelled", json!({"invoiceid": invoice}));
    }
    Ok(json!({"clientid": call.params.sent("clientid")}))
}

/// `DeleteClient`.
pub fn delete_client(store: &mut Store, call: &Call<'_>) -> Reply {
    let id = call.params.id("clientid").unwrap_or(0);
    let account = store.account(id).ok_or_else(error("Client ID Not Found"))?;
    let owner = account.client.owner_user_id;
    let kept = if call.params.flag("deletetransactions") { Vec::new() } else { account.transactions.clone() };
    drop(account);
    store.fire("PreDeleteClient", json!({"userid": id}));
    store.delete_account(id);
    store.loose_transactions.extend(kept);
    if call.params.flag("deleteusers") && store.owned_by(owner).is_empty() {
        store.delete_user(owner);
    }
    Ok(json!({"clientid": call.params.sent("clientid")}))
}
