#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::HashSet;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::*;

fn world() -> World {
    World::new(7, 1_000_000, NaiveDate::from_ymd_opt(2026, 11, 21).unwrap())
}

fn modulo_97(digits: &str) -> u32 {
    digits.bytes().fold(0, |rest, digit| (rest * 10 + u32::from(digit - b'0')) % 97)
}

fn has_luhn_check(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(i, digit)| u32::from(digit - b'0') * if i % 2 == 1 { 2 } else { 1 })
        .map(|digit| digit / 10 + digit % 10)
        .sum();
    sum.is_multiple_of(10)
}

/// What must hold of every customer in all three systems.
fn check(world: &World, customer: &Customer) {
    let start = instant(world.today, 0, 0);
    for (k, service) in (1..).zip(&customer.services) {
        assert_eq!(service.k, k);
        assert_eq!(catalogue::by_pid(service.pid), Some(service.product));
        let order = customer.order(service.order_k.unwrap()).unwrap();
        assert!(order.lines.iter().any(|line| line.service_k == Some(k) && line.sku == service.product.sku));
        assert!(order.effective_date <= service.regdate && service.regdate <= world.today);
        let opportunity = customer.opportunity(service.opportunity_k.unwrap()).unwrap();
        assert_eq!(opportunity.product_type, order.order_type);
        if service.product.item_class == "Service" {
            assert_eq!(opportunity.service_k, Some(k));
        }
        assert_eq!(service.line.is_some(), service.product.is_sim_plan());
        if let Some(line) = &service.line {
            assert_eq!(ids::line_parse(&line.account), Some((customer.n, k)));
            assert_eq!(service.domain, line.account);
            assert_eq!(line.eid.is_some(), line.size == "esim");
            assert!(has_luhn_check(&line.iccid) && line.iccid.len() == 19, "{}", line.iccid);
            assert_eq!(line.imsi.len(), 15);
            assert!(line.recent_days_kb.len() <= 30);
            if let Some(eid) = &line.eid {
                assert_eq!((eid.len(), modulo_97(eid)), (32, 1), "{eid}");
            }
            if line.product_number.is_empty() {
                assert_eq!(line.size, "esim");
            } else {
                assert_eq!(line.product_number.len(), 15);
            }
            assert!(
                line.quota_history
                    .iter()
                    .all(|quota| line.start_date <= quota.date && quota.date < quota.expire)
            );
        }
        assert_eq!(
            service.nextduedate.is_some(),
            !service.product.is_onetime() && service.is_open(),
            "{}",
            service.product.sku
        );
    }
    for (k, order) in (1..).zip(&customer.orders) {
        assert_eq!(order.k, k);
        assert!(order.created_at < start && order.lines.len() < 16);
        let is_done = order.activation_status == Some("Activated");
        assert_eq!(order.whmcs_order.is_some(), is_done);
        for line in &order.lines {
            assert_eq!(line.service_k.is_some(), is_done);
            assert_eq!(line.unit_price, line.product.price());
        }
        assert_eq!(customer.opportunity(order.opportunity_k.unwrap()).unwrap().order_k, k);
    }
    for (k, invoice) in (1..).zip(&customer.invoices) {
        assert_eq!(invoice.k, k);
        assert!(!invoice.items.is_empty() && invoice.date <= world.today && invoice.date < invoice.duedate);
        assert_eq!(invoice.total(), invoice.subtotal() + invoice.tax() - invoice.credit);
        assert_eq!(invoice.tax(), (invoice.subtotal() / Decimal::TEN).trunc());
        assert_eq!(invoice.datepaid.is_some(), !invoice.invoicenum.is_empty());
        for item in &invoice.items {
            let service = customer.service(item.service_k.unwrap()).unwrap();
            assert!(service.regdate <= invoice.date, "billed before it began");
            assert!(item.amount > Decimal::ZERO);
        }
    }
    for (k, case) in (1..).zip(&customer.cases) {
        assert_eq!(case.k, k);
        assert!(case.created_at <= case.modified_at && case.modified_at <= start);
        assert_eq!(case.closed_at.is_some(), case.status == "Closed");
        assert!(case.service_k.is_none_or(|k| customer.service(k).is_some()));
    }
    assert_eq!(world.by_email(&customer.email.to_uppercase()), Some(customer.n));
    assert_eq!(world.by_customer_number(&customer.customer_number), Some(customer.n));
    assert!(customer.registered_on <= world.today);
    assert!(customer.email.is_ascii() && !customer.email.contains([' ', '\'']));
}

proptest! {
    #[test]
    fn the_three_systems_agree_on_every_customer(n in 1_u64..=1_000_000) {
        let world = world();
        check(&world, &world.customer(n));
    }
}

#[test]
fn the_first_customers_are_consistent_and_their_addresses_unique() {
    let world = world();
    let mut emails = HashSet::new();
    let mut numbers = HashSet::new();
    for n in 1..=2_000 {
        let customer = world.customer(n);
        check(&world, &customer);
        assert!(emails.insert(customer.email.clone()));
        for order in &customer.orders {
            assert!(numbers.insert(order.number.clone()));
        }
    }
}

#[test]
fn a_seed_always_yields_the_same_customer_and_another_seed_another() {
    let world = world();
    let again = World::new(7, 10, world.today);
    let other = World::new(8, 10, world.today);
    for n in [1, 2, 3, 10] {
        assert_eq!(format!("{:?}", world.customer(n)), format!("{:?}", again.customer(n)));
        assert_ne!(format!("{:?}", world.customer(n)), format!("{:?}", other.customer(n)));
    }
    assert!(again.has(10) && !again.has(11) && !again.has(0));
}

#[test]
fn the_demo_customer_shows_everything() {
    let world = world();
    let demo = world.customer(1);
    let count = |status: &str| demo.services.iter().filter(|service| service.status == status).count();
    assert_eq!((demo.services.len(), count("Active"), count("Cancelled"), count("Completed")), (10, 7, 1, 2));
    let lines: Vec<_> = demo.services.iter().filter_map(|service| service.line.as_ref()).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines.iter().filter(|line| line.has_voice()).count(), 3);
    assert_eq!(lines.iter().filter(|line| line.size == "esim").count(), 1);

    let invoices =
        |status: &str| demo.invoices.iter().filter(|invoice| invoice.status == status).collect::<Vec<_>>();
    assert!(demo.invoices.len() >= 24, "{}", demo.invoices.len());
    assert_eq!((invoices("Cancelled").len(), invoices("Refunded").len()), (1, 1));
    let due: Vec<_> =
        invoices("Unpaid").iter().map(|invoice| (invoice.duedate - world.today).num_days()).collect();
    assert_eq!(due, [-10, 5]);

    assert_eq!(demo.orders.len(), 6);
    assert_eq!(demo.orders.iter().map(|order| order.status).collect::<HashSet<_>>().len(), 5);
    assert_eq!(demo.cases.len(), 7);
    let emails: Vec<_> = demo.cases.iter().flat_map(|case| &case.emails).collect();
    assert!(emails.iter().any(|email| email.text_body.contains("wrote:\n> ")));
    assert!(emails.iter().any(|email| email.text_body.contains("サポート窓口")));
    assert!(demo.cases.iter().any(|case| !case.subject.is_ascii()));
    assert!(demo.cases.iter().any(|case| case.subject.is_ascii()));
    assert_eq!(demo.pay_methods.len(), 3);
}
