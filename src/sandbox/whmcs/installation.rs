//! What an operator configures: products, gateways, currencies, groups, custom fields, statuses.

use rust_decimal::Decimal;

use crate::sandbox::world::{Product, catalogue};

/// The default currency.
pub const JPY: u64 = 1;

/// Client custom field: Customer Number.
pub const CUSTOMER_NUMBER: u64 = 198;
/// Client custom field: birth date.
pub const BIRTH_DATE: u64 = 201;
/// Client custom field: gender.
pub const GENDER: u64 = 202;
/// Client custom field: nationality.
pub const NATIONALITY: u64 = 203;

/// Client custom fields: id, name, whether AddClient insists on it.
pub const CLIENT_FIELDS: &[(u64, &str, bool)] = &[
    (CUSTOMER_NUMBER, "Customer Number", true),
    (BIRTH_DATE, "Date of Birth", false),
    (GENDER, "Gender", false),
    (NATIONALITY, "Nationality", false),
];

/// Custom fields of every product.
pub const SERVICE_FIELDS: &[&str] = &["OpportunityId", "SIM Number", "Serial Number", "EID"];

/// A currency.
pub struct Currency {
    pub id: u64,
    pub code: &'static str,
    pub prefix: &'static str,
    pub suffix: &'static str,
    /// 1: 1234.56, 2: 1,234.56, 3: 1.234,56, 4: 1,234.
    pub format: u8,
    pub rate: &'static str,
}

/// Currencies; the first is the default.
pub const CURRENCIES: &[Currency] = &[
    Currency { id: JPY, code: "JPY", prefix: "¥", suffix: " JPY", format: 4, rate: "1.00000" },
    Currency { id: 2, code: "USD", prefix: "$", suffix: " USD", format: 2, rate: "0.00670" },
];

/// A payment gateway.
pub struct Gateway {
    pub module: &'static str,
    pub name: &'static str,
    /// Keeps cards at the payment provider and can charge them without the customer.
    pub captures: bool,
    /// Keeps bank accounts.
    pub banks: bool,
}

/// Gateways that are switched on, in the order in which they are listed.
pub const GATEWAYS: &[Gateway] = &[
    Gateway { module: "banktransfer", name: "Bank Transfer", captures: false, banks: false },
    Gateway { module: "directdebit", name: "Direct Debit", captures: false, banks: true },
    Gateway { module: "mailin", name: "Mail In Payment", captures: false, banks: false },
    Gateway { module: "stripe", name: "Credit Card", captures: true, banks: false },
];

/// Client groups: id, name, colour, discount.
pub const GROUPS: &[(u64, &str, &str, &str)] =
    &[(1, "Corporate", "#28C99B", "5.00"), (2, "Staff & Family", "#CCCCFF", "10.00")];

/// Order statuses beside those of the operator.
pub const ORDER_STATUSES: &[&str] = &["Pending", "Active", "Fraud", "Cancelled"];

/// The currency with an id; the default one otherwise.
pub fn currency(id: u64) -> &'static Currency {
    CURRENCIES.iter().find(|currency| currency.id == id).unwrap_or(&CURRENCIES[0])
}

/// The gateway with a system name.
pub fn gateway(module: &str) -> Option<&'static Gateway> {
    GATEWAYS.iter().find(|gateway| gateway.module == module)
}

/// The display name of a gateway.
pub fn gateway_name(module: &str) -> &str {
    gateway(module).map_or(module, |gateway| gateway.name)
}

/// The refusal of an unknown gateway, which lists those that are known.
pub fn invalid_gateway() -> String {
    let names: Vec<_> = GATEWAYS.iter().map(|gateway| gateway.module).collect();
    format!("Invalid Payment Method. Valid options include {}", names.join(", "))
}

/// The id of a product's custom field.
pub fn service_field(pid: u64, name: &str) -> u64 {
    let place = SERVICE_FIELDS.iter().position(|field| *field == name).unwrap_or(SERVICE_FIELDS.len());
    1000 + pid * 10 + place as u64 + 1
}

/// The product with an id.
pub fn product(pid: u64) -> Option<&'static Product> {
    catalogue::by_pid(u32::try_from(pid).ok()?)
}

/// The provisioning module of a product; mobile plans are provisioned, the rest is set up by hand.
pub fn module(product: &Product) -> &'static str {
    if product.is_sim_plan() { "autorelease" } else { "" }
}

/// The id of a product group, by its first appearance in the catalogue.
pub fn group_id(group: &str) -> u64 {
    let mut seen: Vec<&str> = Vec::new();
    for product in catalogue::PRODUCTS {
        if !seen.contains(&product.whmcs_group) {
            seen.push(product.whmcs_group);
        }
    }
    seen.iter().position(|name| *name == group).map_or(0, |at| at as u64 + 1)
}

/// A price of a billing cycle in a currency; `None` when the cycle is not offered.
pub fn price(product: &Product, cycle: &str, currency: u64) -> Option<Decimal> {
    let offered = match normal_cycle(cycle).as_str() {
        "monthly" => !product.is_onetime(),
        "onetime" => product.is_onetime(),
        _ => false,
    };
    offered.then(|| in_currency(product.price(), currency))
}

/// An amount of the default currency in another.
pub fn in_currency(amount: Decimal, id: u64) -> Decimal {
    let rate: Decimal = currency(id).rate.parse().unwrap_or(Decimal::ONE);
    (amount * rate).round_dp(2)
}

/// Lower case, letters only: how billing cycles are compared.
pub fn normal_cycle(cycle: &str) -> String {
    cycle.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_ascii_lowercase()
}

/// A billing cycle as answers spell it.
pub fn spelled_cycle(cycle: &str) -> Option<&'static str> {
    Some(match normal_cycle(cycle).as_str() {
        "free" | "freeaccount" => "Free Account",
        "onetime" => "One Time",
        "monthly" => "Monthly",
        "quarterly" => "Quarterly",
        "semiannually" => "Semi-Annually",
        "annually" => "Annually",
        "biennially" => "Biennially",
        "triennially" => "Triennially",
        _ => return None,
    })
}

/// The ten-digit display number of an order.
pub fn order_number(id: u64) -> u64 {
    1_000_000_000 + id.wrapping_mul(2_654_435_761) % 9_000_000_000
}

/// An amount as shown to people: prefix, formatted number, suffix.
pub fn display(amount: Decimal, currency_id: u64) -> String {
    let currency = currency(currency_id);
    let places = if currency.format == 4 { 0 } else { 2 };
    let text = format!("{:.places$}", amount.abs().round_dp(places as u32));
    let (whole, cents) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 && currency.format != 1 {
            grouped.push(if currency.format == 3 { '.' } else { ',' });
        }
        grouped.push(digit);
    }
    let cents = match (cents, currency.format) {
        ("", _) => String::new(),
        (cents, 3) => format!(",{cents}"),
        (cents, _) => format!(".{cents}"),
    };
    let sign = if amount.is_sign_negative() && !amount.is_zero() { "-" } else { "" };
    format!("{}{sign}{grouped}{cents}{}", currency.prefix, currency.suffix)
}

/// Country names by ISO code; what AddClient accepts is any two letters among these.
pub const COUNTRIES: &[(&str, &str, &str)] = &[
    ("AU", "Australia", "61"),
    ("BR", "Brazil", "55"),
    ("CA", "Canada", "1"),
    ("CN", "China", "86"),
    ("DE", "Germany", "49"),
    ("ES", "Spain", "34"),
    ("FR", "France", "33"),
    ("GB", "United Kingdom", "44"),
    ("IN", "India", "91"),
    ("IT", "Italy", "39"),
    ("JP", "Japan", "81"),
    ("KR", "Korea, Republic of", "82"),
    ("NL", "Netherlands", "31"),
    ("NZ", "New Zealand", "64"),
    ("PH", "Philippines", "63"),
    ("SG", "Singapore", "65"),
    ("TH", "Thailand", "66"),
    ("TW", "Taiwan", "886"),
    ("US", "United States", "1"),
    ("VN", "Viet Nam", "84"),
];

/// Name and dialling code of a country.
pub fn country(code: &str) -> Option<(&'static str, &'static str)> {
    COUNTRIES.iter().find(|(iso, ..)| *iso == code).map(|(_, name, dial)| (*name, *dial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_in_the_format_of_their_currency() {
        assert_eq!(display(Decimal::from(1_234_567), JPY), "¥1,234,567 JPY");
        assert_eq!(display(Decimal::new(-264_580, 2), 2), "$-2,645.80 USD");
    }
}
