//! Services that a customer owns.

use async_graphql::{Enum, SimpleObject};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{
    id::SubscriptionId,
    money::{Currency, Money},
    upstream::whmcs,
};

/// A service that the customer has, had, or has ordered: an Internet line, a SIM, a VPN router, a fee.
#[derive(Clone, Debug, Deserialize, Serialize, SimpleObject)]
#[graphql(complex)]
pub struct Subscription {
    /// Its number in billing.
    #[graphql(skip)]
    pub key: SubscriptionId,
    /// Name of the product.
    pub name: String,
    /// Name of the group that the product belongs to. Null when it has none.
    pub group: Option<String>,
    /// What kind of service it is.
    pub kind: SubscriptionKind,
    /// Where it stands in its life.
    pub status: SubscriptionStatus,
    /// What each billing cycle costs, tax excluded; zero for a one-time product.
    pub amount: Money,
    /// What the first payment was, tax excluded.
    pub first_payment: Money,
    /// How often it is billed.
    pub billing_cycle: BillingCycle,
    /// Day of registration, Tokyo. Null when it was not recorded.
    pub registered_on: Option<NaiveDate>,
    /// Day on which the next payment falls due, Tokyo. Null for what is free, one-time or ended.
    pub next_due_on: Option<NaiveDate>,
    /// The phone number of a mobile line.
    #[graphql(skip)]
    pub line: Option<String>,
}

/// The kind of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum SubscriptionKind {
    /// A fibre line.
    Internet,
    /// A mobile line.
    Sim,
    /// A VPN router.
    Vpn,
    /// Fees, add-ons and everything else.
    Other,
}

/// The status of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum SubscriptionStatus {
    /// Ordered, not yet running.
    Pending,
    /// Running.
    Active,
    /// Stopped for the time being, usually for an unpaid invoice.
    Suspended,
    /// Ended at the customer's wish.
    Cancelled,
    /// Ended by the operator.
    Terminated,
    /// A one-time service that was delivered.
    Completed,
    /// Refused as fraudulent.
    Fraud,
    /// A status that this gateway does not know.
    Unknown,
}

/// How often something is billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, Enum)]
pub enum BillingCycle {
    /// Never.
    Free,
    /// Once.
    OneTime,
    /// Each month.
    Monthly,
    /// Every three months.
    Quarterly,
    /// Every six months.
    SemiAnnually,
    /// Each year.
    Annually,
    /// Every two years.
    Biennially,
    /// Every three years.
    Triennially,
    /// A cycle that this gateway does not know.
    Unknown,
}

impl BillingCycle {
    /// Reads any spelling of a cycle: letters only, case ignored (WHMCS reference §2.2).
    fn read(text: &str) -> Self {
        let letters: String =
            text.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect();
        match letters.as_str() {
            "free" | "freeaccount" => Self::Free,
            "onetime" => Self::OneTime,
            "monthly" => Self::Monthly,
            "quarterly" => Self::Quarterly,
            "semiannually" => Self::SemiAnnually,
            "annually" => Self::Annually,
            "biennially" => Self::Biennially,
            "triennially" => Self::Triennially,
            _ => Self::Unknown,
        }
    }

    /// Whether another payment follows.
    pub fn recurs(self) -> bool {
        !matches!(self, Self::Free | Self::OneTime | Self::Unknown)
    }
}

impl SubscriptionStatus {
    fn read(text: &str) -> Self {
        match text {
            "Pending" => Self::Pending,
            "Active" => Self::Active,
            "Suspended" => Self::Suspended,
            "Cancelled" => Self::Cancelled,
            "Terminated" => Self::Terminated,
            "Completed" => Self::Completed,
            "Fraud" => Self::Fraud,
            _ => Self::Unknown,
        }
    }
}

impl SubscriptionKind {
    /// Judges by the names of product and group (domain reference §10, §20). Fees, installation and
    /// add-ons name the service they belong to, yet are none themselves: they are billed once, or
    /// stand in a group of their own.
    fn read(name: &str, group: &str, line: bool, cycle: BillingCycle) -> Self {
        let text = format!("{name} {group}").to_lowercase();
        let has = |word: &str| text.contains(word);
        if line {
            return Self::Sim;
        }
        if !cycle.recurs() || has("add-on") || has("addon") || has("home phone") || has("fee") {
            return Self::Other;
        }
        if has("vpn") {
            Self::Vpn
        } else if has("sim") {
            Self::Sim
        } else if has("internet") || (has("ntt") && has("fiber")) {
            Self::Internet
        } else {
            Self::Other
        }
    }
}

impl Subscription {
    /// From a row of the client's products. The row carries no currency.
    pub(super) fn new(row: whmcs::Product, currency: Currency) -> Self {
        let line = row
            .customfields
            .iter()
            .find(|(name, _)| name == "SIM Number")
            .map(|(_, value)| value.chars().filter(char::is_ascii_digit).collect::<String>())
            .filter(|number| !number.is_empty());
        let billing_cycle = BillingCycle::read(&row.billingcycle);
        let status = SubscriptionStatus::read(&row.status);
        let lives = matches!(
            status,
            SubscriptionStatus::Pending | SubscriptionStatus::Active | SubscriptionStatus::Suspended
        );
        Self {
            key: SubscriptionId(row.id),
            kind: SubscriptionKind::read(&row.name, &row.groupname, line.is_some(), billing_cycle),
            name: row.name,
            group: Some(row.groupname).filter(|name| !name.is_empty()),
            status,
            amount: Money::new(row.recurringamount, currency),
            first_payment: Money::new(row.firstpaymentamount, currency),
            billing_cycle,
            registered_on: row.regdate,
            next_due_on: row.nextduedate.filter(|_| lives && billing_cycle.recurs()),
            line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_cycle_is_read() {
        for (text, cycle) in [
            ("Free Account", BillingCycle::Free),
            ("One Time", BillingCycle::OneTime),
            ("One-Time", BillingCycle::OneTime),
            ("Semi-Annually", BillingCycle::SemiAnnually),
            ("monthly", BillingCycle::Monthly),
            ("Fortnightly", BillingCycle::Unknown),
        ] {
            assert_eq!(BillingCycle::read(text), cycle, "{text}");
        }
    }

    #[test]
    fn a_kind_is_judged_by_product_and_group() {
        let kind = |name, group, cycle| SubscriptionKind::read(name, group, false, cycle);
        let monthly = BillingCycle::Monthly;
        assert_eq!(kind("Internet Gold (Home 1G)", "Internet", monthly), SubscriptionKind::Internet);
        assert_eq!(kind("Gold", "NTT Fiber", monthly), SubscriptionKind::Internet);
        assert_eq!(kind("Data + Voice 50GB", "SIM", monthly), SubscriptionKind::Sim);
        assert_eq!(kind("VPN USA (SF)", "VPN", monthly), SubscriptionKind::Vpn);
        assert_eq!(kind("Internet Installation", "Internet", BillingCycle::OneTime), SubscriptionKind::Other);
        assert_eq!(SubscriptionKind::read("Plan", "", true, monthly), SubscriptionKind::Sim);
    }
}
