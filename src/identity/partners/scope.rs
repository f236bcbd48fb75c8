//! Scopes: what of a customer a partner may see.

use std::fmt;

/// One thing that a partner may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Scope {
    /// Name, contact data and address.
    ProfileRead,
    /// The services that a customer has.
    ServicesRead,
    /// Invoices and stored payment methods.
    BillingRead,
    /// Mobile lines: their state, and how much data they used.
    LinesRead,
    /// Orders.
    OrdersRead,
    /// Support cases, and what was said in them.
    CasesRead,
    /// What the bell shows.
    NotificationsRead,
}

impl Scope {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::ProfileRead,
        Self::ServicesRead,
        Self::BillingRead,
        Self::LinesRead,
        Self::OrdersRead,
        Self::CasesRead,
        Self::NotificationsRead,
    ];

    /// Its name, as OAuth writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProfileRead => "profile:read",
            Self::ServicesRead => "services:read",
            Self::BillingRead => "billing:read",
            Self::LinesRead => "lines:read",
            Self::OrdersRead => "orders:read",
            Self::CasesRead => "cases:read",
            Self::NotificationsRead => "notifications:read",
        }
    }

    /// The scope of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }

    /// What it lets a partner do, as the customer reads it who is asked for it, in English and in Japanese.
    pub const fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::ProfileRead => {
                ("See your name, contact data and address", "お名前、ご連絡先、ご住所の閲覧")
            }
            Self::ServicesRead => ("See the services that you have", "ご契約中のサービスの閲覧"),
            Self::BillingRead => {
                ("See your invoices and stored payment methods", "ご請求書と登録済みのお支払い方法の閲覧")
            }
            Self::LinesRead => (
                "See your mobile lines and how much data they used",
                "モバイル回線の状態とデータ使用量の閲覧",
            ),
            Self::OrdersRead => ("See your orders", "ご注文の閲覧"),
            Self::CasesRead => {
                ("See your support cases and what was said in them", "お問い合わせとそのやり取りの閲覧")
            }
            Self::NotificationsRead => ("See your notifications", "お知らせの閲覧"),
        }
    }

    const fn bit(self) -> u32 {
        1 << self as u8
    }
}

/// Several scopes. As text, their names with spaces between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u32);

impl Scopes {
    /// None.
    pub const NONE: Self = Self(0);

    /// Reads names with spaces between.
    ///
    /// # Errors
    /// The first that is none, shortened.
    pub fn parse(names: &str) -> Result<Self, String> {
        names.split_ascii_whitespace().try_fold(Self::NONE, |scopes, name| match Scope::parse(name) {
            Some(scope) => Ok(scopes.with(scope)),
            None => Err(name.chars().take(64).collect()),
        })
    }

    /// Reads what was stored. A name that this release does not know allows nothing.
    pub(crate) fn stored(names: &str) -> Self {
        names.split_ascii_whitespace().filter_map(Scope::parse).collect()
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, scope: Scope) -> Self {
        Self(self.0 | scope.bit())
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether one is among them.
    pub const fn has(self, scope: Scope) -> bool {
        self.0 & scope.bit() != 0
    }

    /// Whether all of these are among the others.
    pub const fn is_within(self, others: Self) -> bool {
        self.0 & !others.0 == 0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are there, in their order.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }

    /// A number that no other set has.
    pub const fn bits(self) -> u32 {
        self.0
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written_and_in_any_order() {
        let all: Scopes = Scope::ALL.into_iter().collect();
        assert_eq!(Scopes::parse(&all.to_string()), Ok(all));
        let some = Scopes::parse(" orders:read  billing:read orders:read ").unwrap();
        assert_eq!(some.to_string(), "billing:read orders:read");
        assert_eq!(Scopes::parse(""), Ok(Scopes::NONE));
        for wrong in ["billing", "billing:write", "BILLING:READ", "billing:read,orders:read", "*"] {
            assert_eq!(Scopes::parse(wrong), Err(wrong.to_owned()));
        }
        assert_eq!(Scopes::stored("billing:read of:tomorrow"), Scopes::NONE.with(Scope::BillingRead));
    }

    #[test]
    fn a_set_is_compared_as_a_set() {
        let (read, more) =
            (Scopes::parse("billing:read").unwrap(), Scopes::parse("billing:read cases:read").unwrap());
        assert!(read.is_within(more) && !more.is_within(read) && Scopes::NONE.is_within(read));
        assert_eq!(more.and(read), read);
        assert!(read.has(Scope::BillingRead) && !read.has(Scope::CasesRead));
    }
}
