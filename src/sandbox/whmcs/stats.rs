//! Figures: of one client, and of the whole installation.

use chrono::{Datelike as _, Days, NaiveDate};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use crate::sandbox::whmcs::account::{Account, Invoice};
use crate::sandbox::whmcs::action::Call;
use crate::sandbox::whmcs::installation::{self, JPY};
use crate::sandbox::whmcs::reply::{Reply, extend, money};
use crate::sandbox::whmcs::store::Store;

/// `stats` of GetClientsDetails: counts are numbers, balances are formatted text.
pub fn client_stats(store: &Store, account: &Account) -> Value {
    let currency = account.client.currency;
    let show = |amount: Decimal| installation::display(amount, currency);
    let today = store.today();
    let of = |wanted: &dyn Fn(&Invoice) -> bool| -> (usize, Decimal) {
        let rows: Vec<_> = account.invoices.iter().filter(|row| wanted(row)).collect();
        (rows.len(), rows.iter().map(|row| row.totals().total).sum())
    };
    let due: Vec<_> = account.invoices.iter().filter(|row| row.status == "Unpaid").collect();
    let due_balance: Decimal = due.iter().map(|row| account.balance(row)).sum();
    let overdue: Vec<_> = due.iter().filter(|row| row.is_overdue(today)).collect();
    let overdue_balance: Decimal = overdue.iter().map(|row| account.balance(row)).sum();
    let income: Decimal = account.transactions.iter().map(|row| row.amountin).sum();
    let expenses: Decimal = account.transactions.iter().map(|row| row.fees + row.amountout).sum();
    let active = account.services.iter().filter(|service| service.status == "Active").count();
    let total = account.services.len();
    let mut stats = json!({
        "numdueinvoices": due.len(), "dueinvoicesbalance": show(due_balance),
        "incredit": account.client.credit > Decimal::ZERO, "creditbalance": show(account.client.credit),
        "grossRevenue": show(income), "expenses": show(expenses), "income": show(income - expenses),
        "numoverdueinvoices": overdue.len(), "overdueinvoicesbalance": show(overdue_balance),
        "productsnumactivehosting": 0, "productsnumhosting": 0, "productsnumactivereseller": 0,
        "productsnumreseller": 0, "productsnumactiveservers": 0, "productsnumservers": 0,
        "productsnumactiveother": active, "productsnumother": total, "productsnumactive": active,
        "productsnumtotal": total, "numactivedomains": 0, "numdomains": 0, "numacceptedquotes": 0, "numquotes": 0,
        "numtickets": 0, "numactivetickets": 0, "numaffiliatesignups": 0, "isAffiliate": false,
    });
    for (count, amount, status) in [
        ("numDraftInvoices", "draftInvoicesBalance", "Draft"),
        ("numunpaidinvoices", "unpaidinvoicesamount", "Unpaid"),
        ("numpaidinvoices", "paidinvoicesamount", "Paid"),
        ("numcancelledinvoices", "cancelledinvoicesamount", "Cancelled"),
        ("numrefundedinvoices", "refundedinvoicesamount", "Refunded"),
        ("numcollectionsinvoices", "collectionsinvoicesamount", "Collections"),
        ("numpaymentpendinginvoices", "paymentpendinginvoicesamount", "Payment Pending"),
    ] {
        let (number, sum) = of(&|row| row.status == status);
        extend(&mut stats, json!({count: number, amount: show(sum)}));
    }
    stats
}

/// Sums over a span of days.
#[derive(Default)]
struct Sums {
    income: [Decimal; 4],
    today: [u64; 4],
    yesterday: [u64; 4],
    pending: u64,
    month: u64,
    year: u64,
    requests: u64,
}

const STATUSES: [&str; 4] = ["Cancelled", "Pending", "Fraud", "Active"];

/// `GetStats`. Reads every account.
pub fn get_stats(store: &Store, call: &Call<'_>) -> Reply {
    let today = store.today();
    let days = call.params.id("timeline_days").map(|days| days.min(90));
    let from = days.map(|days| today - Days::new(days - 1));
    let mut sums = Sums::default();
    let mut timeline: Vec<(NaiveDate, [u64; 2], [Decimal; 2])> = from
        .into_iter()
        .flat_map(|from| from.iter_days().take_while(|day| *day <= today))
        .map(|day| (day, [0; 2], [Decimal::ZERO; 2]))
        .collect();
    for account in store.client_ids().filter_map(|id| store.account(id)) {
        add(&mut sums, &account, today);
        for order in &account.orders {
            let day = order.date.map(|at| at.date());
            if let Some(slot) = timeline.iter_mut().find(|(at, ..)| Some(*at) == day) {
                slot.1[0] += 1;
                slot.1[1] += u64::from(order.status == "Active");
            }
        }
        for row in &account.transactions {
            let day = row.date.map(|at| at.date());
            if let Some(slot) = timeline.iter_mut().find(|(at, ..)| Some(*at) == day) {
                slot.2[0] += row.amountin;
                slot.2[1] += row.fees + row.amountout;
            }
        }
    }
    let show = |amount: Decimal| installation::display(amount, JPY);
    let mut answer = json!({
        "income_today": show(sums.income[0]), "income_thismonth": show(sums.income[1]),
        "income_thisyear": show(sums.income[2]), "income_alltime": show(sums.income[3]),
        "orders_pending": sums.pending, "orders_today_total": sums.today.iter().sum::<u64>(),
        "orders_yesterday_total": sums.yesterday.iter().sum::<u64>(), "orders_thismonth_total": sums.month,
        "orders_thisyear_total": sums.year, "tickets_allactive": 0, "tickets_awaitingreply": 0,
        "tickets_flaggedtickets": 0, "tickets_open": 0, "tickets_answered": 0, "tickets_customerreply": 0,
        "tickets_closed": 0, "tickets_onhold": 0, "tickets_inprogress": 0, "cancellations_pending": sums.requests,
        "todoitems_due": 0, "networkissues_open": 0, "billableitems_uninvoiced": 0, "quotes_valid": 0,
        "staff_online": 1,
    });
    for (at, status) in STATUSES.iter().enumerate() {
        let status = status.to_ascii_lowercase();
        extend(
            &mut answer,
            json!({
                format!("orders_today_{status}"): sums.today[at], format!("orders_yesterday_{status}"): sums.yesterday[at],
            }),
        );
    }
    if days.is_some() {
        extend(&mut answer, json!({"timeline_data": timeline_data(&timeline)}));
    }
    Ok(answer)
}

fn add(sums: &mut Sums, account: &Account, today: NaiveDate) {
    for row in &account.transactions {
        let Some(day) = row.date.map(|at| at.date()) else { continue };
        let net = row.amountin - row.fees - row.amountout;
        let spans = [day == today, same_month(day, today), day.year() == today.year(), true];
        for (sum, _) in sums.income.iter_mut().zip(spans).filter(|(_, inside)| *inside) {
            *sum += net;
        }
    }
    for order in &account.orders {
        sums.pending += u64::from(order.status == "Pending");
        let Some(day) = order.date.map(|at| at.date()) else { continue };
        sums.month += u64::from(same_month(day, today));
        sums.year += u64::from(day.year() == today.year());
        let Some(at) = STATUSES.iter().position(|status| *status == order.status) else { continue };
        sums.today[at] += u64::from(day == today);
        sums.yesterday[at] += u64::from(Some(day) == today.pred_opt());
    }
    sums.requests += account.cancellations.len() as u64;
}

fn same_month(a: NaiveDate, b: NaiveDate) -> bool {
    (a.year(), a.month()) == (b.year(), b.month())
}

fn timeline_data(timeline: &[(NaiveDate, [u64; 2], [Decimal; 2])]) -> Value {
    let map = |value: &dyn Fn(&([u64; 2], [Decimal; 2])) -> Value| -> Value {
        let days = timeline.iter().map(|(day, counts, sums)| (day.to_string(), value(&(*counts, *sums))));
        Value::Object(days.collect::<Map<_, _>>())
    };
    json!({
        "new_orders": map(&|(counts, _)| counts[0].into()), "accepted_orders": map(&|(counts, _)| counts[1].into()),
        "income": map(&|(_, sums)| money(sums[0]).into()), "expenditure": map(&|(_, sums)| money(sums[1]).into()),
        "new_tickets": map(&|_| 0.into()),
    })
}
