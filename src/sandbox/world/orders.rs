//! Orders and opportunities, as Salesforce keeps them, and the services that came of them.

use chrono::{DateTime, Days, NaiveDate, Utc};
use rust_decimal::Decimal;

use crate::sandbox::world::{
    Address, Dice, Product, ServiceSeed, catalogue, ids, instant, lines,
    services::{Contract, Outcome},
};

/// An order.
#[derive(Clone, Debug)]
pub struct OrderSeed {
    /// From 1 to 99.
    pub k: u32,
    /// `OrderNumber`, 8 digits: unique over all customers.
    pub number: String,
    /// `Internet`, `SIM`, `VPN`.
    pub order_type: &'static str,
    /// `Draft`, `Pending Review`, `Approved`, `Processed`, `Completed`, `Rejected`, `Cancelled`.
    pub status: &'static str,
    /// `Activating`, `Activated`, `Failed`.
    pub activation_status: Option<&'static str>,
    /// `Immediate`, `Scheduled`.
    pub activation_type: &'static str,
    /// When a scheduled activation is due.
    pub activation_scheduled_at: Option<DateTime<Utc>>,
    /// Domain reference §17.5.
    pub activation_error_code: Option<&'static str>,
    /// For staff.
    pub activation_error_message: Option<&'static str>,
    /// The day it was placed, Tokyo.
    pub effective_date: NaiveDate,
    /// When it was placed.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub modified_at: DateTime<Utc>,
    /// The WHMCS order made of it.
    pub whmcs_order: Option<u64>,
    /// Its opportunity: the first line's.
    pub opportunity_k: Option<u32>,
    /// The customer's address when it was placed; the Japanese rendering is what Salesforce keeps.
    pub address: Address,
    /// The customer changed the address at checkout.
    pub address_changed: bool,
    /// Lines.
    pub lines: Vec<OrderLineSeed>,
    /// Internet: `Silver`, `Gold`, `Platinum`.
    pub plan_tier: Option<&'static str>,
    /// Internet: `Single Payment`, `12-Month`, `24-Month`.
    pub installation_type: Option<&'static str>,
    /// Internet: a technician came on a weekend.
    pub weekend_install: bool,
    /// Internet: `IPoE-BYOR`, `IPoE-HGW`, `PPPoE`.
    pub access_mode: Option<&'static str>,
    /// Internet: with a home phone.
    pub hikari_denwa: bool,
    /// SIM: `Physical SIM`, `eSIM`.
    pub sim_type: Option<&'static str>,
    /// eSIM: the device's EID.
    pub eid: Option<String>,
    /// SIM: voicemail wanted.
    pub voice_mail: bool,
    /// SIM: call waiting wanted.
    pub call_waiting: bool,
    /// VPN: `USA-SF`, `UK-London`.
    pub vpn_region: Option<&'static str>,
}

impl OrderSeed {
    /// Sum of the lines, JPY without tax.
    pub fn total(&self) -> Decimal {
        self.lines.iter().map(|line| line.unit_price * Decimal::from(line.quantity)).sum()
    }
}

/// A line of an order.
#[derive(Clone, Debug)]
pub struct OrderLineSeed {
    /// From 1 to 15; see [`ids::order_item_k`].
    pub line: u32,
    /// SKU.
    pub sku: &'static str,
    /// The product.
    pub product: &'static Product,
    /// How many.
    pub quantity: u32,
    /// JPY without tax.
    pub unit_price: Decimal,
    /// `Monthly`, `Onetime`.
    pub billing_cycle: &'static str,
    /// The WHMCS service made of it, once fulfilled.
    pub service_k: Option<u32>,
}

/// An opportunity: the life of one service from interest to cancellation.
#[derive(Clone, Debug)]
pub struct OpportunitySeed {
    /// From 1.
    pub k: u32,
    /// Name.
    pub name: String,
    /// `Introduction`, `Ready`, `Post Processing`, `Active`, `Cancelling`, `Cancelled`, `Void`.
    pub stage: &'static str,
    /// `Internet`, `SIM`, `VPN`.
    pub product_type: &'static str,
    /// Where it began.
    pub source: &'static str,
    /// The service it follows, once there is one.
    pub service_k: Option<u32>,
    /// The order that belongs to it.
    pub order_k: u32,
    /// `Application_Stage__c`.
    pub application_stage: &'static str,
    /// `CloseDate`.
    pub close_date: NaiveDate,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When the service ends or ended, if it does.
    pub cancels_on: Option<NaiveDate>,
}

type Made = (Vec<ServiceSeed>, Vec<OrderSeed>, Vec<OpportunitySeed>);

pub(super) fn make(
    n: u64,
    today: NaiveDate,
    contracts: &[Contract],
    address: &Address,
    dice: &mut Dice,
    line_dice: &mut Dice,
) -> Made {
    let (mut services, mut orders, mut opportunities) = Made::default();
    for (k, contract) in (1..).zip(contracts) {
        let placed_on = today - Days::new(u64::from(contract.days_ago));
        let created_at = instant(placed_on, 9 + dice.small(10), dice.small(60));
        let mut eid = None;
        let mut order = order(n, k, contract, placed_on, created_at, address, dice);
        for (line, &(sku, status, ended)) in (1..).zip(&contract.items) {
            let Some(product) = catalogue::by_sku(sku) else { continue };
            let mut service_k = None;
            // Fees and installations share the opportunity of the plan they came with.
            let mut opportunity_k =
                opportunities.last().map(|last: &OpportunitySeed| last.k).filter(|_| line > 1);
            let ended_on = ended.map(|days| today - Days::new(u64::from(days)));
            if matches!(contract.outcome, Outcome::Done(_)) {
                service_k = Some(services.len() as u32 + 1);
            }
            if product.item_class == "Service" {
                let opportunity =
                    opportunity(&order, opportunities.len() as u32 + 1, product, status, service_k, ended_on);
                opportunity_k = Some(opportunity.k);
                opportunities.push(opportunity);
            }
            if let Some(k) = service_k {
                // Staff need some days until the line stands.
                let regdate = (placed_on + Days::new(4)).min(today);
                let is_esim = contract.is_esim || product.plan_type == Some("DataOnly");
                let line = lines::make((n, k), product, status, regdate, today, is_esim, line_dice);
                if let Some(line) = &line {
                    eid = eid.or_else(|| line.eid.clone());
                    order.voice_mail |= line.voicemail;
                    order.call_waiting |= line.callwaiting;
                }
                services.push(ServiceSeed {
                    k,
                    pid: product.whmcs_pid,
                    product,
                    status,
                    regdate,
                    nextduedate: None,
                    ended_on,
                    billing_cycle: product.whmcs_cycle(),
                    first_payment: product.price(),
                    recurring: if product.is_onetime() { Decimal::ZERO } else { product.price() },
                    domain: line.as_ref().map(|line| line.account.clone()).unwrap_or_default(),
                    order_k: Some(order.k),
                    opportunity_k,
                    line,
                });
            }
            order.opportunity_k = order.opportunity_k.or(opportunity_k);
            order.lines.push(OrderLineSeed {
                line,
                sku,
                product,
                quantity: 1,
                unit_price: product.price(),
                billing_cycle: product.billing_cycle,
                service_k,
            });
        }
        // An order that is not fulfilled names the device that the customer gave.
        let is_esim = order.sim_type == Some("eSIM");
        order.eid = is_esim.then(|| eid.unwrap_or_else(|| lines::eid(&dice.digits(22))));
        orders.push(order);
    }
    (services, orders, opportunities)
}

fn order(
    n: u64,
    k: u32,
    contract: &Contract,
    placed_on: NaiveDate,
    created_at: DateTime<Utc>,
    address: &Address,
    dice: &mut Dice,
) -> OrderSeed {
    let (status, activation_status, error) = match contract.outcome {
        Outcome::Done(status) => (status, Some("Activated"), None),
        Outcome::Open { status, activation, error } => (status, activation, error),
    };
    let has = |sku: &str| contract.items.iter().any(|(item, ..)| *item == sku);
    let product = |category: &str| {
        contract
            .items
            .iter()
            .filter_map(|(sku, ..)| catalogue::by_sku(sku))
            .find(|product| product.category == category && product.item_class == "Service")
    };
    let is_scheduled = contract.order_type == "SIM" && dice.chance(20);
    let is_internet = contract.order_type == "Internet";
    let is_sim = contract.order_type == "SIM";
    OrderSeed {
        k,
        number: format!("{:08}", n * 8 + u64::from(k)),
        order_type: contract.order_type,
        status,
        activation_status,
        activation_type: if is_scheduled { "Scheduled" } else { "Immediate" },
        activation_scheduled_at: is_scheduled.then(|| instant(placed_on + Days::new(4), 10, 0)),
        activation_error_code: error.map(|(code, _)| code),
        activation_error_message: error.map(|(_, message)| message),
        effective_date: placed_on,
        created_at,
        modified_at: created_at + chrono::TimeDelta::minutes(i64::from(1 + dice.small(30))),
        whmcs_order: matches!(contract.outcome, Outcome::Done(_)).then(|| ids::whmcs_order_id(n, k)),
        opportunity_k: None,
        address: address.clone(),
        address_changed: is_internet && dice.chance(15),
        lines: Vec::new(),
        plan_tier: product("Internet").and_then(|product| product.tier),
        installation_type: if has("INTERNET-INSTALL-24M") {
            Some("24-Month")
        } else if has("INTERNET-INSTALL-12M") {
            Some("12-Month")
        } else {
            is_internet.then_some("Single Payment")
        },
        weekend_install: has("INTERNET-INSTALL-WEEKEND"),
        access_mode: is_internet.then(|| *dice.pick(&["IPoE-BYOR", "IPoE-HGW", "PPPoE"])),
        hikari_denwa: has("INTERNET-ADDON-HOME-PHONE"),
        sim_type: is_sim.then_some(if contract.is_esim { "eSIM" } else { "Physical SIM" }),
        eid: None,
        voice_mail: false,
        call_waiting: false,
        vpn_region: product("VPN").and_then(|product| product.region),
    }
}

fn opportunity(
    order: &OrderSeed,
    k: u32,
    product: &Product,
    status: &str,
    service_k: Option<u32>,
    ended_on: Option<NaiveDate>,
) -> OpportunitySeed {
    OpportunitySeed {
        k,
        name: format!("{} {}", product.name, order.number),
        stage: match (status, order.status) {
            ("Cancelled", _) => "Cancelled",
            ("", "Rejected" | "Cancelled") => "Void",
            ("", "Draft") => "Ready",
            ("" | "Pending", _) => "Post Processing",
            (_, _) => "Active",
        },
        product_type: order.order_type,
        source: match order.order_type {
            "Internet" => "Portal - Internet Eligibility Request",
            "SIM" => "Portal - SIM Checkout Registration",
            _ => "Portal - Order Placement",
        },
        service_k,
        order_k: order.k,
        application_stage: if order.order_type == "Internet" { "INTRO-1" } else { "N/A" },
        close_date: order.effective_date + Days::new(30),
        created_at: order.created_at,
        cancels_on: ended_on,
    }
}
