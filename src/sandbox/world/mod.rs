//! The seeded customers and the catalogue.
//!
//! A customer is a pure function of `(seed, n)`: nothing is stored until an emulator writes to it, so a million
//! customers cost nothing. The same facts stand in all three systems: a service names its order and its opportunity, an
//! invoice item its service, a line its service. Dates are relative to the day the sandbox started, so the data is
//! always current.

pub mod billing;
pub mod cases;
pub mod catalogue;
mod dice;
pub mod ids;
pub mod lines;
pub mod orders;
pub mod people;
pub mod places;
pub mod services;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};

pub use billing::{InvoiceSeed, ItemSeed, PayMethodSeed};
pub use cases::{CaseSeed, CommentSeed, EmailSeed};
pub use catalogue::Product;
pub use lines::{Casing, LineSeed, QuotaSeed};
pub use orders::{OpportunitySeed, OrderLineSeed, OrderSeed};
pub use people::{Language, Sex};
pub use places::Address;
pub use services::ServiceSeed;

use dice::Dice;

/// Customers that are kept ready; the rest is made anew when asked for.
const READY: usize = 1024;

type Ready = Mutex<Option<Arc<Customer>>>;

/// All customers that a seed yields.
#[derive(Debug)]
pub struct World {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many there are: `n` runs from 1 to this.
    pub customers: u64,
    /// The day in Tokyo on which the sandbox started. All dates are relative to it.
    pub today: NaiveDate,
    ready: Box<[Ready]>,
}

/// One customer, as all three systems know them.
#[derive(Clone, Debug)]
pub struct Customer {
    /// The customer's number in this world; every id follows from it (see [`ids`]).
    pub n: u64,
    /// Family name, romanised.
    pub family: &'static str,
    /// Given name, romanised.
    pub given: &'static str,
    /// Family name in kanji; a foreigner's in capitals.
    pub family_kanji: String,
    /// Given name in kanji; a foreigner's in capitals.
    pub given_kanji: String,
    /// Family name in full-width katakana.
    pub family_kana: &'static str,
    /// Given name in full-width katakana.
    pub given_kana: &'static str,
    /// Unique, lower case: `given.family.n@example.jp`.
    pub email: String,
    /// Domestic form with hyphens: `090-1234-5678`.
    pub phone: String,
    /// Birth date.
    pub birth_date: NaiveDate,
    /// Sex.
    pub sex: Sex,
    /// The language the customer prefers.
    pub language: Language,
    /// Company, for some; may hold `&`, `'` or `"`.
    pub company: Option<&'static str>,
    /// Nationality, in English.
    pub nationality: &'static str,
    /// Current address.
    pub address: Address,
    /// The day the customer came.
    pub registered_on: NaiveDate,
    /// `C0000001`.
    pub customer_number: String,
    /// WHMCS client status: `Active`, `Inactive`, `Closed`.
    pub status: &'static str,
    /// Services, oldest first; `k` from 1 without gaps.
    pub services: Vec<ServiceSeed>,
    /// Invoices, oldest first; `k` from 1 without gaps.
    pub invoices: Vec<InvoiceSeed>,
    /// Payment methods; the first is the default.
    pub pay_methods: Vec<PayMethodSeed>,
    /// Orders, oldest first; `k` from 1 without gaps.
    pub orders: Vec<OrderSeed>,
    /// Support cases, oldest first; `k` from 1 without gaps.
    pub cases: Vec<CaseSeed>,
    /// Opportunities, one per service that was ever wanted; `k` from 1 without gaps.
    pub opportunities: Vec<OpportunitySeed>,
}

impl Customer {
    /// Given and family name, romanised.
    pub fn name(&self) -> String {
        format!("{} {}", self.given, self.family)
    }

    /// The service with a `k`.
    pub fn service(&self, k: u32) -> Option<&ServiceSeed> {
        self.services.get((k as usize).checked_sub(1)?)
    }

    /// The invoice with a `k`.
    pub fn invoice(&self, k: u32) -> Option<&InvoiceSeed> {
        self.invoices.get((k as usize).checked_sub(1)?)
    }

    /// The order with a `k`.
    pub fn order(&self, k: u32) -> Option<&OrderSeed> {
        self.orders.get((k as usize).checked_sub(1)?)
    }

    /// The case with a `k`.
    pub fn case(&self, k: u32) -> Option<&CaseSeed> {
        self.cases.get((k as usize).checked_sub(1)?)
    }

    /// The opportunity with a `k`.
    pub fn opportunity(&self, k: u32) -> Option<&OpportunitySeed> {
        self.opportunities.get((k as usize).checked_sub(1)?)
    }
}

impl World {
    /// The world of a seed. Costs nothing: customers are made when asked for.
    pub fn new(seed: u64, customers: u64, today: NaiveDate) -> Self {
        Self { seed, customers, today, ready: (0..READY).map(|_| Ready::default()).collect() }
    }

    /// Whether there is a customer `n`.
    pub fn has(&self, n: u64) -> bool {
        (1..=self.customers).contains(&n)
    }

    /// The customer `n`, from 1. Always the same for the same seed. Ask [`World::has`] first: beyond the last there is
    /// no end to them.
    pub fn customer(&self, n: u64) -> Arc<Customer> {
        let slot = &self.ready[n as usize % READY];
        if let Some(ready) = &*slot.lock().unwrap_or_else(PoisonError::into_inner)
            && ready.n == n
        {
            return Arc::clone(ready);
        }
        let made = Arc::new(self.make(n));
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&made));
        made
    }

    /// The customer with an e-mail address, without regard to case.
    pub fn by_email(&self, email: &str) -> Option<u64> {
        let email = email.to_ascii_lowercase();
        let n = email.strip_suffix("@example.jp")?.rsplit('.').next()?.parse().ok()?;
        (self.has(n) && self.customer(n).email == email).then_some(n)
    }

    /// The customer with a customer number.
    pub fn by_customer_number(&self, number: &str) -> Option<u64> {
        ids::customer_number_parse(number).filter(|n| self.has(*n))
    }

    /// The customer and the service that a phone number belongs to.
    pub fn by_line(&self, number: &str) -> Option<(Arc<Customer>, u32)> {
        let (n, k) = ids::line_parse(number).filter(|(n, _)| self.has(*n))?;
        let customer = self.customer(n);
        customer.service(k)?.line.as_ref()?;
        Some((customer, k))
    }

    /// The catalogue.
    pub fn catalogue(&self) -> &'static [Product] {
        catalogue::PRODUCTS
    }

    fn make(&self, n: u64) -> Customer {
        let dice = |topic| Dice::new(self.seed, n, topic);
        let person = people::make(n, &mut dice("people"));
        let address = places::make(n, &mut dice("places"));
        let contracts = services::contracts(n, &mut dice("contracts"));
        let (services, orders, opportunities) =
            orders::make(n, self.today, &contracts, &address, &mut dice("orders"), &mut dice("lines"));
        let (invoices, services) = billing::make(n, self.today, services, &mut dice("billing"));
        let pay_methods = billing::pay_methods(n, self.today, &mut dice("pay"));
        let cases = cases::make(n, self.today, &person, &services, &mut dice("cases"));
        let registered_on =
            orders.iter().map(|order| order.effective_date).min().unwrap_or(self.today) - Days::new(3);
        let is_over = !services.is_empty() && services.iter().all(|service| !service.is_open());
        Customer {
            n,
            family: person.family.roman,
            given: person.given.roman,
            family_kanji: person.family.written(),
            given_kanji: person.given.written(),
            family_kana: person.family.kana,
            given_kana: person.given.kana,
            email: people::email(&person, n),
            phone: person.phone,
            birth_date: person.birth_date,
            sex: person.given.sex,
            language: person.language,
            company: person.company,
            nationality: person.nationality,
            address,
            registered_on,
            customer_number: ids::customer_number(n),
            status: if is_over { "Inactive" } else { "Active" },
            services,
            invoices,
            pay_methods,
            orders,
            cases,
            opportunities,
        }
    }
}

/// An instant of a day in Tokyo.
fn instant(day: NaiveDate, hour: u32, minute: u32) -> DateTime<Utc> {
    local(day, hour, minute).and_utc() - TimeDelta::hours(9)
}

/// A wall-clock time of a day.
fn local(day: NaiveDate, hour: u32, minute: u32) -> NaiveDateTime {
    day.and_time(NaiveTime::from_hms_opt(hour, minute, 0).unwrap_or(NaiveTime::MIN))
}

fn months_before(day: NaiveDate, months: u32) -> NaiveDate {
    day - Months::new(months)
}
