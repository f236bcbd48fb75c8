//! The generated customer as this system keeps it.

use std::collections::BTreeMap;

use chrono::{NaiveDateTime, NaiveTime, TimeDelta};
use rust_decimal::Decimal;

use crate::clock::TOKYO;
use crate::sandbox::credentials::DEMO_PASSWORD;
use crate::sandbox::whmcs::account::{
    Account, Client, CreditEntry, Email, Invoice, Item, Order, PayMethod, Service, Transaction,
};
use crate::sandbox::whmcs::emails::letter;
use crate::sandbox::whmcs::installation::{self, CUSTOMER_NUMBER};
use crate::sandbox::whmcs::users::User;
use crate::sandbox::world::{
    Customer, InvoiceSeed, Language, OrderSeed, PayMethodSeed, ServiceSeed, Sex, ids,
};

/// The customer whose user has a second factor.
pub const SECOND_FACTOR: [u64; 2] = [2, 19];

/// All rows of a customer.
pub fn account(customer: &Customer) -> Account {
    let n = customer.n;
    let invoices: Vec<Invoice> = customer.invoices.iter().map(|seed| invoice(n, seed)).collect();
    Account {
        client: client(customer),
        services: customer.services.iter().map(|seed| service(customer, seed)).collect(),
        transactions: customer.invoices.iter().zip(&invoices).flat_map(transactions).collect(),
        credits: invoices.iter().filter(|invoice| !invoice.credit.is_zero()).map(applied_credit).collect(),
        emails: invoices.iter().rev().take(5).map(|invoice| email(customer, invoice)).collect(),
        invoices,
        orders: customer.orders.iter().filter_map(|seed| order(customer, seed)).collect(),
        pay_methods: customer.pay_methods.iter().map(|seed| pay_method(customer, seed)).collect(),
        contacts: Vec::new(),
        cancellations: Vec::new(),
    }
}

/// The login identity of a customer.
pub fn user(customer: &Customer) -> User {
    User {
        id: ids::user_id(customer.n),
        firstname: customer.given.to_owned(),
        lastname: customer.family.to_owned(),
        email: customer.email.clone(),
        language: language(customer).to_owned(),
        created: Some(customer.registered_on.and_time(NaiveTime::MIN) + TimeDelta::hours(10)),
        password: DEMO_PASSWORD.to_owned(),
        second_factor: SECOND_FACTOR.contains(&customer.n),
        last_login: None,
    }
}

fn language(customer: &Customer) -> &'static str {
    match customer.language {
        Language::English => "english",
        Language::Japanese => "japanese",
    }
}

fn client(customer: &Customer) -> Client {
    let address = &customer.address;
    let sex = match customer.sex {
        Sex::M => "Male",
        Sex::F => "Female",
    };
    Client {
        id: ids::client_id(customer.n),
        owner_user_id: ids::user_id(customer.n),
        firstname: customer.given.to_owned(),
        lastname: customer.family.to_owned(),
        companyname: customer.company.unwrap_or_default().to_owned(),
        email: customer.email.clone(),
        address1: address.address1(),
        address2: address.address2(),
        city: address.city.to_string(),
        state: address.prefecture.to_string(),
        postcode: address.postal_code.to_string(),
        country: "JP".to_owned(),
        phonenumber: customer.phone.clone(),
        language: language(customer).to_owned(),
        currency: installation::JPY,
        status: customer.status.to_owned(),
        created: Some(customer.registered_on),
        allow_sso: true,
        email_verified: true,
        customfields: BTreeMap::from([
            (CUSTOMER_NUMBER, customer.customer_number.clone()),
            (installation::BIRTH_DATE, customer.birth_date.to_string()),
            (installation::GENDER, sex.to_owned()),
            (installation::NATIONALITY, customer.nationality.to_owned()),
        ]),
        ..Client::default()
    }
}

fn service(customer: &Customer, seed: &ServiceSeed) -> Service {
    let order = seed.order_k.and_then(|k| customer.order(k)).and_then(|order| order.whmcs_order);
    let mut customfields = BTreeMap::new();
    if let Some(k) = seed.opportunity_k {
        let id = ids::sf_id(ids::prefix::OPPORTUNITY, customer.n, k);
        customfields.insert(installation::service_field(u64::from(seed.pid), "OpportunityId"), id);
    }
    if let Some(line) = &seed.line {
        let pid = u64::from(seed.pid);
        customfields.insert(installation::service_field(pid, "SIM Number"), line.account.clone());
        customfields.insert(installation::service_field(pid, "Serial Number"), line.product_number.clone());
        customfields.insert(installation::service_field(pid, "EID"), line.eid.clone().unwrap_or_default());
    }
    Service {
        id: ids::service_id(customer.n, seed.k),
        qty: 1,
        orderid: order.unwrap_or(0),
        pid: u64::from(seed.pid),
        regdate: Some(seed.regdate),
        nextduedate: seed.nextduedate,
        terminationdate: seed.ended_on,
        domain: seed.domain.clone(),
        firstpaymentamount: seed.first_payment,
        recurringamount: seed.recurring,
        paymentmethod: gateway(customer).to_owned(),
        billingcycle: seed.billing_cycle.to_owned(),
        status: seed.status.to_owned(),
        username: format!("svc{}", ids::service_id(customer.n, seed.k)),
        password: format!("pw-{:x}", ids::service_id(customer.n, seed.k).wrapping_mul(2_654_435_761)),
        customfields,
        ..Service::default()
    }
}

fn gateway(customer: &Customer) -> &'static str {
    customer.invoices.last().map_or("banktransfer", |invoice| invoice.paymentmethod)
}

fn invoice(n: u64, seed: &InvoiceSeed) -> Invoice {
    let id = ids::invoice_id(n, seed.k);
    let created = seed.date.and_time(NaiveTime::MIN) + TimeDelta::hours(3);
    let items = (1..).zip(&seed.items).map(|(j, item)| Item {
        id: ids::item_id(id, j),
        kind: item.kind.to_owned(),
        relid: item.service_k.map_or(0, |k| ids::service_id(n, k)),
        description: item.description.clone(),
        amount: item.amount,
        taxed: item.taxed,
    });
    let due = seed.duedate.and_time(NaiveTime::MIN) + TimeDelta::hours(9);
    let when = |status: &str, at: NaiveDateTime| (seed.status == status).then_some(at);
    Invoice {
        id,
        invoicenum: seed.invoicenum.clone(),
        date: Some(seed.date),
        duedate: Some(seed.duedate),
        datepaid: seed.datepaid,
        date_refunded: when("Refunded", due + TimeDelta::days(3)),
        date_cancelled: when("Cancelled", due + TimeDelta::days(1)),
        created_at: Some(created),
        updated_at: Some(seed.datepaid.unwrap_or(created)),
        items: items.collect(),
        credit: seed.credit,
        taxrate: seed.taxrate,
        status: seed.status.to_owned(),
        paymentmethod: seed.paymentmethod.to_owned(),
        ..Invoice::default()
    }
}

/// The payment of a paid invoice, and the refund of a refunded one.
fn transactions((seed, invoice): (&InvoiceSeed, &Invoice)) -> Vec<Transaction> {
    let Some(paid) = seed.datepaid else { return Vec::new() };
    let payment = Transaction {
        id: ids::transaction_id(invoice.id),
        gateway: invoice.paymentmethod.clone(),
        date: Some(paid),
        description: "Invoice Payment".to_owned(),
        amountin: invoice.totals().total,
        rate: Decimal::ONE,
        transid: format!("ch_sandbox_{}", invoice.id),
        invoiceid: invoice.id,
        ..Transaction::default()
    };
    let refund = (seed.status == "Refunded").then(|| Transaction {
        id: payment.id + 1,
        date: invoice.date_refunded,
        description: "Refund".to_owned(),
        amountin: Decimal::ZERO,
        amountout: payment.amountin,
        transid: format!("re_sandbox_{}", invoice.id),
        refundid: payment.id,
        ..payment.clone()
    });
    std::iter::once(payment).chain(refund).collect()
}

fn applied_credit(invoice: &Invoice) -> CreditEntry {
    CreditEntry {
        id: invoice.id,
        date: invoice.date,
        description: format!("Credit Applied to Invoice #{}", invoice.id),
        amount: -invoice.credit,
        relid: invoice.id,
    }
}

fn email(customer: &Customer, invoice: &Invoice) -> Email {
    Email {
        id: invoice.id,
        subject: "Invoice Created".to_owned(),
        message: letter(&customer.name(), &format!("Invoice #{} has been created.", invoice.id)),
        date: invoice.created_at,
        to: format!("{} <{}>", customer.name(), customer.email),
    }
}

fn order(customer: &Customer, seed: &OrderSeed) -> Option<Order> {
    let id = seed.whmcs_order?;
    let services: Vec<&ServiceSeed> =
        customer.services.iter().filter(|service| service.order_k == Some(seed.k)).collect();
    let invoice = customer.invoices.iter().find(|invoice| {
        invoice.items.iter().any(|item| item.service_k.is_some_and(|k| services.iter().any(|s| s.k == k)))
    });
    let is_pending = services.iter().any(|service| service.status == "Pending");
    Some(Order {
        id,
        ordernum: installation::order_number(id),
        requestor_id: ids::user_id(customer.n),
        date: Some(seed.created_at.with_timezone(&TOKYO).naive_local()),
        amount: services.iter().map(|service| service.first_payment).sum(),
        paymentmethod: gateway(customer).to_owned(),
        invoiceid: invoice.map_or(0, |invoice| ids::invoice_id(customer.n, invoice.k)),
        status: if is_pending { "Pending" } else { "Active" }.to_owned(),
        notes: format!("sfOrderId={}", ids::sf_id(ids::prefix::ORDER, customer.n, seed.k)),
        service_ids: services.iter().map(|service| ids::service_id(customer.n, service.k)).collect(),
        ..Order::default()
    })
}

fn pay_method(customer: &Customer, seed: &PayMethodSeed) -> PayMethod {
    let is_card = seed.kind.ends_with("CreditCard");
    PayMethod {
        id: ids::pay_method_id(customer.n, seed.k),
        kind: seed.kind.to_owned(),
        description: seed.description.to_owned(),
        gateway: seed.gateway.to_owned(),
        last_four: seed.last_four.clone(),
        expiry: seed.expiry.clone(),
        card_type: seed.card_type.to_owned(),
        bank_name: seed.bank_name.to_owned(),
        remote_token: if is_card { "{}".to_owned() } else { String::new() },
        is_default: seed.k == 1,
        updated: Some(customer.registered_on.and_time(NaiveTime::MIN) + TimeDelta::hours(10)),
        ..PayMethod::default()
    }
}
