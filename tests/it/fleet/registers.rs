//! Fields of records whose values only grow, written by the desk and read through the graph.

use std::sync::Mutex;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    Fleet,
    client::{Answer, Question},
    desk::Desk,
    history::Write,
};

/// Values begin above everything that the seeded world holds.
const FIRST: u64 = 1_000_000;

/// One field of one record, and what was written into it.
pub struct Register {
    target: Target,
    /// In order of time: one write at a time.
    turn: tokio::sync::Mutex<()>,
    writes: Mutex<Vec<Write>>,
    /// Every way to ask for it.
    pub views: Vec<View>,
}

/// Where a register stands.
#[derive(Clone, Debug)]
enum Target {
    /// The first line of an invoice.
    Invoice { invoice: u64, line: u64 },
    /// The street of an order.
    Order { record: String },
    /// The subject of a case.
    Case { record: String },
}

/// A way to ask for a register.
pub struct View {
    pub question: Question,
    /// Where the value stands in the data.
    pointer: &'static str,
    /// What is added to the value there.
    base: u64,
}

impl View {
    /// The value in an answer; that of the seeded world is less than any that is written.
    pub fn value(&self, answer: &Answer) -> u64 {
        let found = answer.body["data"].pointer(self.pointer).and_then(Value::as_str);
        let found = found.unwrap_or_else(|| panic!("nothing at {}: {}", self.pointer, answer.body));
        let number = found.rsplit(' ').next().unwrap_or_default();
        whole(number).unwrap_or(0).saturating_sub(self.base)
    }
}

impl Register {
    /// Writes the next value, and waits until the system has it.
    pub async fn write(&self, desk: &Desk, fleet: &Fleet) -> Write {
        let _turn = self.turn.lock().await;
        let value = self.newest().map_or(FIRST, |write| write.value + 1);
        let began = fleet.clock.now();
        match &self.target {
            Target::Invoice { invoice, line } => desk.set_line(*invoice, *line, value).await,
            Target::Order { record } => {
                let fields = json!({ "BillingStreet": format!("Revision {value}") });
                desk.update_record("Order", record, fields).await;
            }
            Target::Case { record } => {
                let fields = json!({ "Subject": format!("Revision {value}") });
                desk.update_record("Case", record, fields).await;
            }
        }
        let write = Write { value, began, ended: fleet.clock.now() };
        self.writes.lock().unwrap().push(write);
        write
    }

    /// What was written last.
    pub fn newest(&self) -> Option<Write> {
        self.writes.lock().unwrap().last().copied()
    }

    /// What was written, oldest first.
    pub fn writes(&self) -> Vec<Write> {
        self.writes.lock().unwrap().clone()
    }

    /// The ordering key of its events in the inbox: source and record.
    pub fn record(&self) -> (&'static str, String) {
        match &self.target {
            Target::Invoice { invoice, .. } => ("billing", format!("invoice:{invoice}")),
            Target::Order { record } => ("crm", format!("Order:{record}")),
            Target::Case { record } => ("crm", format!("Case:{record}")),
        }
    }

    fn new(target: Target, views: Vec<View>) -> Self {
        Self { target, turn: tokio::sync::Mutex::default(), writes: Mutex::default(), views }
    }
}

/// An invoice, an order and a case of each of the first customers who have one.
pub async fn registers(fleet: &Fleet, customers: u64) -> Vec<Register> {
    let mut registers = Vec::new();
    for n in 1..=customers {
        let token = fleet.sign_in(n).await;
        let lists = "{ viewer {
            invoices(first: 1) { nodes { id subtotal { amount } lines { amount { amount } } } }
            orders(first: 1) { nodes { id address { street } } }
            cases(first: 1) { nodes { id } } } }";
        let answer = fleet.ask(0, &Question::new(&token, lists, json!({}))).await;
        let first =
            |list: &str| Some(answer.data()["viewer"][list]["nodes"][0].clone()).filter(Value::is_object);
        let view = |id: &Value, selection: &str, pointer, base| View {
            question: Question::new(
                &token,
                &format!("query($id: ID!) {{ node(id: $id) {{ {selection} }} }}"),
                json!({ "id": id }),
            ),
            pointer,
            base,
        };
        if let Some(invoice) = first("invoices") {
            let id = &invoice["id"];
            let number = key(id).parse().unwrap();
            let base = yen(&invoice["subtotal"]) - yen(&invoice["lines"][0]["amount"]);
            let views = vec![
                view(id, "... on Invoice { subtotal { amount } }", "/node/subtotal/amount", base),
                view(id, "... on Invoice { lines { amount { amount } } }", "/node/lines/0/amount/amount", 0),
            ];
            // The lines of the seeded world count from 1.
            let line = portal_gateway::sandbox::world::ids::item_id(number, 1);
            registers.push(Register::new(Target::Invoice { invoice: number, line }, views));
        }
        if let Some(order) = first("orders").filter(|order| !order["address"].is_null()) {
            let views =
                vec![view(&order["id"], "... on Order { address { street } }", "/node/address/street", 0)];
            registers.push(Register::new(Target::Order { record: key(&order["id"]) }, views));
        }
        if let Some(case) = first("cases") {
            let views = vec![view(&case["id"], "... on Case { subject }", "/node/subject", 0)];
            registers.push(Register::new(Target::Case { record: key(&case["id"]) }, views));
        }
    }
    registers
}

fn yen(money: &Value) -> u64 {
    whole(money["amount"].as_str().unwrap()).unwrap()
}

/// A whole number, whatever zeros stand behind its point.
fn whole(text: &str) -> Option<u64> {
    text.split('.').next()?.parse().ok()
}

/// The system's own key in an id of the graph.
fn key(id: &Value) -> String {
    let text = BASE64_URL_SAFE_NO_PAD.decode(id.as_str().unwrap()).unwrap();
    String::from_utf8(text).unwrap().split_once(':').unwrap().1.to_owned()
}
