//! Customer numbers that the portal gives.
//!
//! The number is the key under which an account is created, and the CRM lets one record have it. That of a new account follows
//! from the e-mail address: whoever comes first, a guest's request or a sign-up, and whoever is killed on the way, the other
//! one meets the account there, without a lock.
//!
//! Nobody else can compute such a number, so it also tells an account that the portal made for its address from one of staff's.
//! As long as that never was a customer's, nothing in it is proved: [`is_unproven`].

use uuid::Uuid;

use crate::{
    crm::{Account, Crm},
    deadline::Budget,
    error::{Error, Result},
    identity::Identity,
};

/// So many accounts may have been made for an address and have another one by now.
const MOST: u32 = 10;

/// Who has the number of an address.
pub enum Holder {
    /// Nobody: an account may be created under this one.
    Nobody(String),
    /// An account of that address.
    Account(Box<Account>),
}

/// The `n`th number of a seed: `P` and ten digits.
pub fn number_of(identity: &Identity, seed: Uuid, n: u32) -> String {
    let name = identity.keyed("customer number", &format!("{seed}:{n}"));
    let digits = name.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("P{:010}", digits % 10_000_000_000)
}

/// The numbers of a normalised address, in the order in which they are given. The name is of the time when only accounts of
/// guests had them, and stays since these do.
fn of_address(identity: &Identity, email: &str) -> impl Iterator<Item = String> {
    let seed = uuid_of(identity.keyed("guest", email));
    (0..MOST).map(move |n| number_of(identity, seed, n))
}

/// Whether a number is one that the portal gives to accounts of an address.
pub fn is_of_address(identity: &Identity, number: &str, email: &str) -> bool {
    of_address(identity, email).any(|own| own == number)
}

/// Who has the number of an address that no account is known by. One whose account has another address since is passed over:
/// that is somebody else's.
///
/// # Errors
/// [`Error::Unavailable`] when the CRM does not answer.
pub async fn holder(identity: &Identity, crm: &Crm, budget: Budget, email: &str) -> Result<Holder> {
    for number in of_address(identity, email) {
        match crm.account_of_number(budget, &number).await? {
            None => return Ok(Holder::Nobody(number)),
            Some(account) if account.has_email(email) => return Ok(Holder::Account(Box::new(account))),
            Some(_) => {}
        }
    }
    Err(Error::internal("no customer number is free"))
}

/// Whether nothing that an account says of its person was said by a customer or by staff for one: the portal made it for the
/// address, and it never belonged to a customer. Then it says what a guest typed, or somebody whose sign-up came to nothing.
pub fn is_unproven(identity: &Identity, account: &Account, email: &str) -> bool {
    let is_ours =
        account.customer_number.as_deref().is_some_and(|number| is_of_address(identity, number, email));
    is_ours && account.has_email(email) && !account.is_customers
}

/// An id that is the same for the same name, and says nothing of it.
pub(super) fn uuid_of(name: [u8; 32]) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&name[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}
