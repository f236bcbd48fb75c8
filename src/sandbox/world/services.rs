//! What a customer has bought: contracts, and the WHMCS services that came of them.

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::sandbox::world::{Dice, LineSeed, Product};

/// A service of a customer, as WHMCS keeps it.
#[derive(Clone, Debug)]
pub struct ServiceSeed {
    /// From 1 to 99; see [`crate::sandbox::world::ids::service_id`].
    pub k: u32,
    /// WHMCS product id.
    pub pid: u32,
    /// The product.
    pub product: &'static Product,
    /// WHMCS status: `Pending`, `Active`, `Suspended`, `Terminated`, `Cancelled`, `Completed`.
    pub status: &'static str,
    /// The day it began.
    pub regdate: NaiveDate,
    /// The next due date; `None` for what is over or paid once.
    pub nextduedate: Option<NaiveDate>,
    /// The day it ended.
    pub ended_on: Option<NaiveDate>,
    /// `Monthly`, `One Time`.
    pub billing_cycle: &'static str,
    /// JPY without tax.
    pub first_payment: Decimal,
    /// JPY without tax; 0 for what is paid once.
    pub recurring: Decimal,
    /// The phone number of a line; empty otherwise.
    pub domain: String,
    /// The order it came from.
    pub order_k: Option<u32>,
    /// The opportunity it belongs to.
    pub opportunity_k: Option<u32>,
    /// The mobile line, for a SIM plan.
    pub line: Option<LineSeed>,
}

impl ServiceSeed {
    /// Whether it still runs, or will.
    pub fn is_open(&self) -> bool {
        matches!(self.status, "Pending" | "Active" | "Suspended" | "Completed")
    }

    /// Whether it is billed for the month that begins on a day.
    pub fn is_billed_on(&self, day: NaiveDate) -> bool {
        !self.product.is_onetime()
            && self.status != "Pending"
            && self.regdate <= day
            && self.ended_on.is_none_or(|end| day <= end)
    }
}

/// How far an order came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Fulfilled; services exist.
    Done(&'static str),
    /// Waiting for staff, being set up, refused: no services yet.
    Open {
        status: &'static str,
        activation: Option<&'static str>,
        error: Option<(&'static str, &'static str)>,
    },
}

/// One order with its products, before ids and dates.
#[derive(Clone, Debug)]
pub(super) struct Contract {
    pub(super) days_ago: u32,
    pub(super) order_type: &'static str,
    pub(super) outcome: Outcome,
    /// SKU, WHMCS status, days since it ended.
    pub(super) items: Vec<(&'static str, &'static str, Option<u32>)>,
    pub(super) is_esim: bool,
}

const REVIEW: Outcome = Outcome::Open { status: "Pending Review", activation: None, error: None };
const DRAFT: Outcome = Outcome::Open { status: "Draft", activation: None, error: None };
const CANCELLED: Outcome = Outcome::Open { status: "Cancelled", activation: None, error: None };
const REJECTED: Outcome = Outcome::Open { status: "Rejected", activation: None, error: None };
const STUCK: Outcome = Outcome::Open {
    status: "Approved",
    activation: Some("Failed"),
    error: Some(("SIM_ACTIVATION_ERROR", "Freebit refused the activation: 400-941")),
};
const RUNNING: Outcome = Outcome::Open { status: "Approved", activation: Some("Activating"), error: None };
const DONE: Outcome = Outcome::Done("Processed");

fn contract(
    days_ago: u32,
    order_type: &'static str,
    outcome: Outcome,
    items: &[(&'static str, &'static str, Option<u32>)],
) -> Contract {
    Contract { days_ago, order_type, outcome, items: items.to_vec(), is_esim: false }
}

/// The contracts of a customer, oldest first. The first three customers are written by hand, so that a demo shows
/// everything; the rest is drawn.
pub(super) fn contracts(n: u64, dice: &mut Dice) -> Vec<Contract> {
    match n {
        1 => rich(),
        2 => vec![
            contract(
                400,
                "Internet",
                DONE,
                &[
                    ("INTERNET-PLATINUM-HOME-1G", "Active", None),
                    ("INTERNET-INSTALL-24M", "Active", None),
                    ("INTERNET-INSTALL-WEEKEND", "Completed", None),
                ],
            ),
            Contract {
                is_esim: true,
                ..contract(
                    210,
                    "SIM",
                    DONE,
                    &[("SIM-DATA-VOICE-10GB", "Active", None), ("SIM-ACTIVATION-FEE", "Completed", None)],
                )
            },
            contract(20, "VPN", REJECTED, &[("VPN-REMOTE-ACCESS-UK-LONDON", "", None)]),
            contract(2, "SIM", RUNNING, &[("SIM-DATA-ONLY-5GB", "", None), ("SIM-ACTIVATION-FEE", "", None)]),
        ],
        3 => vec![
            contract(
                300,
                "SIM",
                DONE,
                &[
                    ("SIM-DATA-VOICE-5GB", "Suspended", None),
                    ("SIM-DATA-ONLY-25GB", "Active", None),
                    ("SIM-ACTIVATION-FEE", "Completed", None),
                ],
            ),
            contract(1, "Internet", DRAFT, &[("INTERNET-SILVER-APT-1G", "", None)]),
        ],
        _ => drawn(dice),
    }
}

/// Exactly ten services and six orders: every product kind, every order status.
fn rich() -> Vec<Contract> {
    vec![
        contract(
            790,
            "Internet",
            DONE,
            &[
                ("INTERNET-GOLD-APT-1G", "Active", None),
                ("INTERNET-INSTALL-SINGLE", "Completed", None),
                ("INTERNET-ADDON-HOME-PHONE", "Active", None),
            ],
        ),
        contract(
            520,
            "SIM",
            DONE,
            &[
                ("SIM-DATA-VOICE-50GB", "Active", None),
                ("SIM-DATA-VOICE-25GB-FAMILY", "Active", None),
                ("SIM-DATA-VOICE-10GB", "Active", None),
                ("SIM-DATA-ONLY-10GB", "Active", None),
                ("SIM-ACTIVATION-FEE", "Completed", None),
            ],
        ),
        contract(
            380,
            "VPN",
            Outcome::Done("Completed"),
            &[
                ("VPN-REMOTE-ACCESS-USA-SF", "Active", None),
                ("VPN-REMOTE-ACCESS-UK-LONDON", "Cancelled", Some(150)),
            ],
        ),
        contract(
            60,
            "VPN",
            CANCELLED,
            &[("VPN-REMOTE-ACCESS-UK-LONDON", "", None), ("VPN-ACTIVATION-FEE", "", None)],
        ),
        Contract {
            is_esim: true,
            ..contract(6, "SIM", STUCK, &[("SIM-DATA-VOICE-5GB", "", None), ("SIM-ACTIVATION-FEE", "", None)])
        },
        contract(
            1,
            "Internet",
            REVIEW,
            &[("INTERNET-PLATINUM-APT-1G", "", None), ("INTERNET-INSTALL-12M", "", None)],
        ),
    ]
}

const INTERNET: &[&str] = &[
    "INTERNET-SILVER-HOME-1G",
    "INTERNET-GOLD-HOME-1G",
    "INTERNET-PLATINUM-HOME-1G",
    "INTERNET-SILVER-APT-1G",
    "INTERNET-GOLD-APT-1G",
    "INTERNET-PLATINUM-APT-1G",
    "INTERNET-GOLD-APT-100M",
];
const SIMS: &[&str] = &[
    "SIM-DATA-ONLY-5GB",
    "SIM-DATA-ONLY-10GB",
    "SIM-DATA-ONLY-25GB",
    "SIM-DATA-VOICE-5GB",
    "SIM-DATA-VOICE-10GB",
    "SIM-DATA-VOICE-25GB",
    "SIM-DATA-VOICE-50GB",
];
const VPNS: &[&str] = &["VPN-REMOTE-ACCESS-USA-SF", "VPN-REMOTE-ACCESS-UK-LONDON"];
const OPEN: &[Outcome] = &[REVIEW, REVIEW, RUNNING, STUCK, CANCELLED, REJECTED, DRAFT];

fn drawn(dice: &mut Dice) -> Vec<Contract> {
    let mut contracts = Vec::new();
    // Three in a hundred have only just registered.
    let has_any = !dice.chance(3);
    if has_any && dice.chance(60) {
        let days_ago = 60 + dice.small(900);
        let ended = dice.chance(8).then(|| 10 + dice.small(40));
        let status = if ended.is_some() { "Cancelled" } else { "Active" };
        let mut items = vec![(*dice.pick(INTERNET), status, ended)];
        match dice.below(3) {
            0 => items.push(("INTERNET-INSTALL-24M", status, ended)),
            _ => items.push(("INTERNET-INSTALL-SINGLE", "Completed", None)),
        }
        if dice.chance(35) {
            items.push(("INTERNET-ADDON-HOME-PHONE", status, ended));
        }
        contracts.push(contract(days_ago, "Internet", DONE, &items));
    }
    if has_any && (contracts.is_empty() || dice.chance(50)) {
        let days_ago = 10 + dice.small(700);
        let mut items = Vec::new();
        for _ in 0..1 + dice.below(2) {
            let (status, ended) = match dice.below(20) {
                0 => ("Suspended", None),
                1 => ("Cancelled", Some(dice.small(days_ago.min(120)))),
                2 => ("Pending", None),
                _ => ("Active", None),
            };
            items.push((*dice.pick(SIMS), status, ended));
        }
        items.push(("SIM-ACTIVATION-FEE", "Completed", None));
        contracts.push(Contract { is_esim: dice.chance(40), ..contract(days_ago, "SIM", DONE, &items) });
    }
    if has_any && dice.chance(15) {
        let days_ago = 30 + dice.small(600);
        let items = [(*dice.pick(VPNS), "Active", None), ("VPN-ACTIVATION-FEE", "Completed", None)];
        contracts.push(contract(days_ago, "VPN", DONE, &items));
    }
    if has_any && dice.chance(25) {
        let items = [(*dice.pick(SIMS), "", None), ("SIM-ACTIVATION-FEE", "", None)];
        let outcome = *dice.pick(OPEN);
        contracts.push(Contract {
            is_esim: dice.chance(50),
            ..contract(1 + dice.small(9), "SIM", outcome, &items)
        });
    }
    contracts.sort_by_key(|contract| std::cmp::Reverse(contract.days_ago));
    contracts
}
