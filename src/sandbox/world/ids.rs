//! Id arithmetic, both directions: from an id to its customer without a search.

use crate::id::RecordId;

/// WHMCS client id of a customer.
pub const fn client_id(n: u64) -> u64 {
    1000 + n
}

/// The customer of a WHMCS client id.
pub const fn client_n(client_id: u64) -> Option<u64> {
    client_id.checked_sub(1000)
}

/// WHMCS user id of a customer.
pub const fn user_id(n: u64) -> u64 {
    5_000_000 + n
}

/// The customer of a WHMCS user id.
pub const fn user_n(user_id: u64) -> Option<u64> {
    user_id.checked_sub(5_000_000)
}

/// WHMCS service id; `k` from 1 to 99.
pub const fn service_id(n: u64, k: u32) -> u64 {
    n * 100 + k as u64
}

/// `(n, k)` of a WHMCS service id.
pub const fn service_parse(id: u64) -> (u64, u32) {
    (id / 100, (id % 100) as u32)
}

/// WHMCS invoice id; `k` from 1 to 999.
pub const fn invoice_id(n: u64, k: u32) -> u64 {
    n * 1000 + k as u64
}

/// `(n, k)` of a WHMCS invoice id.
pub const fn invoice_parse(id: u64) -> (u64, u32) {
    (id / 1000, (id % 1000) as u32)
}

/// WHMCS invoice item id; `j` is the place of the item on its invoice, below 100.
pub const fn item_id(invoice_id: u64, j: u32) -> u64 {
    invoice_id * 100 + j as u64
}

/// `(invoice id, j)` of a WHMCS invoice item id.
pub const fn item_parse(id: u64) -> (u64, u32) {
    (id / 100, (id % 100) as u32)
}

/// WHMCS transaction id of a paid invoice.
pub const fn transaction_id(invoice_id: u64) -> u64 {
    invoice_id * 10 + 1
}

/// WHMCS pay method id; `k` from 1 to 9.
pub const fn pay_method_id(n: u64, k: u32) -> u64 {
    n * 10 + k as u64
}

/// `(n, k)` of a WHMCS pay method id.
pub const fn pay_method_parse(id: u64) -> (u64, u32) {
    (id / 10, (id % 10) as u32)
}

/// WHMCS order id; `k` from 1 to 99.
pub const fn whmcs_order_id(n: u64, k: u32) -> u64 {
    n * 100 + k as u64
}

/// `(n, k)` of a WHMCS order id.
pub const fn whmcs_order_parse(id: u64) -> (u64, u32) {
    (id / 100, (id % 100) as u32)
}

/// Customer number, `C0000001`.
pub fn customer_number(n: u64) -> String {
    format!("C{n:07}")
}

/// The customer of a customer number.
pub fn customer_number_parse(number: &str) -> Option<u64> {
    number.strip_prefix('C').filter(|digits| digits.len() >= 7)?.parse().ok()
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Key prefixes of Salesforce objects.
pub mod prefix {
    /// Account.
    pub const ACCOUNT: &str = "001";
    /// Contact.
    pub const CONTACT: &str = "003";
    /// Opportunity.
    pub const OPPORTUNITY: &str = "006";
    /// Order.
    pub const ORDER: &str = "801";
    /// OrderItem; `k` is [`super::order_item_k`].
    pub const ORDER_ITEM: &str = "802";
    /// Case.
    pub const CASE: &str = "500";
    /// CaseComment; `k` is [`super::message_k`].
    pub const CASE_COMMENT: &str = "00a";
    /// EmailMessage; `k` is [`super::message_k`].
    pub const EMAIL_MESSAGE: &str = "02s";
    /// Product2; `n` is 0, `k` the product's index.
    pub const PRODUCT: &str = "01t";
    /// PricebookEntry; `n` is 0, `k` the product's index.
    pub const PRICEBOOK_ENTRY: &str = "01u";
    /// Pricebook2; `n` is 0, `k` 1 is the portal's.
    pub const PRICEBOOK: &str = "01s";
    /// User; `n` is 0, `k` 1 is the integration user, 2 a person of the support staff.
    pub const USER: &str = "005";
    /// Organization; `n` 0, `k` 1.
    pub const ORGANIZATION: &str = "00D";
}

/// An 18-character Salesforce id: the key prefix (3 characters) and `n * 4096 + k` in base 62. `k` below 4096.
pub fn sf_id(prefix: &str, n: u64, k: u32) -> String {
    let mut id = [b'0'; 15];
    for (to, from) in id.iter_mut().zip(prefix.bytes()) {
        *to = from;
    }
    let mut rest = n * 4096 + u64::from(k);
    for digit in id[3..].iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    let short: String = id.iter().copied().map(char::from).collect();
    RecordId::parse(&short).map_or(short, |id| id.to_string())
}

/// `(prefix, n, k)` of a Salesforce id of 15 or 18 characters; `None` for what is no id of this world.
pub fn sf_parse(id: &str) -> Option<(&str, u64, u32)> {
    RecordId::parse(id)?;
    let mut rest: u64 = 0;
    for byte in id[3..15].bytes() {
        let digit = BASE62.iter().position(|digit| *digit == byte)? as u64;
        rest = rest.checked_mul(62)?.checked_add(digit)?;
    }
    Some((&id[..3], rest / 4096, (rest % 4096) as u32))
}

/// `k` of an order item: the order's `k` (below 256) and the line (below 16).
pub const fn order_item_k(order_k: u32, line: u32) -> u32 {
    order_k * 16 + line
}

/// `(order k, line)` of an order item's `k`.
pub const fn order_item_parse(k: u32) -> (u32, u32) {
    (k / 16, k % 16)
}

/// `k` of a comment or e-mail of a case: the case's `k` (below 64) and the message's place (below 64).
pub const fn message_k(case_k: u32, j: u32) -> u32 {
    case_k * 64 + j
}

/// `(case k, j)` of a comment's or e-mail's `k`.
pub const fn message_parse(k: u32) -> (u32, u32) {
    (k / 64, k % 64)
}

/// Phone numbers are spread over 070 by a multiplication modulo 10⁸ that can be undone.
const SPREAD: u64 = 61_803_399;
const UNSPREAD: u64 = inverse(SPREAD, NUMBERS);
const NUMBERS: u64 = 100_000_000;

/// The multiplicative inverse, by the extended Euclidean algorithm.
const fn inverse(a: u64, modulus: u64) -> u64 {
    let (mut r0, mut r1) = (modulus as i128, a as i128);
    let (mut t0, mut t1) = (0_i128, 1_i128);
    while r1 != 0 {
        let q = r0 / r1;
        (r0, r1) = (r1, r0 - q * r1);
        (t0, t1) = (t1, t0 - q * t1);
    }
    t0.rem_euclid(modulus as i128) as u64
}

/// The 11-digit phone number of the line of service `k` (1 to 99) of customer `n` (up to a million).
pub fn line_number(n: u64, k: u32) -> String {
    let serial = (n - 1) * 100 + u64::from(k) - 1;
    format!("070{:08}", serial * SPREAD % NUMBERS)
}

/// `(n, k)` of a phone number; `None` for what is no number of this world.
pub fn line_parse(number: &str) -> Option<(u64, u32)> {
    let digits = number.strip_prefix("070").filter(|digits| digits.len() == 8)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let serial = digits.parse::<u64>().ok()? * UNSPREAD % NUMBERS;
    (serial % 100 < 99).then_some((serial / 100 + 1, (serial % 100) as u32 + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_id_leads_back(n in 1_u64..=1_000_000, k in 1_u32..=99, wide in 0_u32..4096) {
            prop_assert_eq!(client_n(client_id(n)), Some(n));
            prop_assert_eq!(user_n(user_id(n)), Some(n));
            prop_assert_eq!(service_parse(service_id(n, k)), (n, k));
            prop_assert_eq!(invoice_parse(invoice_id(n, k)), (n, k));
            prop_assert_eq!(item_parse(item_id(invoice_id(n, k), k)), (invoice_id(n, k), k));
            prop_assert_eq!(whmcs_order_parse(whmcs_order_id(n, k)), (n, k));
            prop_assert_eq!(customer_number_parse(&customer_number(n)), Some(n));
            prop_assert_eq!(line_parse(&line_number(n, k)), Some((n, k)));
            prop_assert_eq!(line_number(n, k).len(), 11);
            let id = sf_id(prefix::ORDER_ITEM, n, wide);
            prop_assert_eq!(id.len(), 18);
            prop_assert_eq!(sf_parse(&id), Some(("802", n, wide)));
            prop_assert_eq!(sf_parse(&id[..15]), Some(("802", n, wide)));
        }

        #[test]
        fn what_is_no_id_is_refused(text in "\\PC{0,20}") {
            line_parse(&text);
            sf_parse(&text);
            customer_number_parse(&text);
        }
    }

    #[test]
    fn the_first_customer_has_known_ids() {
        assert_eq!(client_id(1), 1001);
        assert_eq!(sf_id(prefix::ACCOUNT, 1, 0).len(), 18);
        assert_eq!(sf_parse("not an id"), None);
        assert_eq!(line_parse("08012345678"), None);
    }
}
