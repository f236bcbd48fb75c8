//! What the installation's hook file does: sends action hooks to a webhook address, signed, from a queue that tries
//! again.
//!
//! The form is the operator's own, since the vendor has none: headers `x-portal-event-id`, `x-portal-timestamp` and
//! `x-portal-signature` (HMAC-SHA256 in hexadecimal over `<id>.<timestamp>.<body>`), and a body of scalar ids.
//! Written apart from the receiver, so that it cannot agree with its mistakes.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use hmac::{Hmac, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::sandbox::{core::Core, credentials, whmcs::store::Event};

/// Posts at once.
const CONCURRENT: usize = 8;
/// The first pause after a failure; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Hooks that are noise to everybody else.
const NOISE: &[&str] = &["LogActivity", "EmailPreLog", "EmailPreSend", "UserLogin", "UserLogout"];

/// Hooks that fire before or during their change (WHMCS reference §12.1, columns B and D).
const EARLY: &[&str] = &[
    "InvoiceCreation",
    "InvoiceCreationPreEmail",
    "InvoicePaidPreEmail",
    "InvoiceUnpaid",
    "InvoiceCancelled",
    "InvoiceSplit",
    "UpdateInvoiceTotal",
    "ManualRefund",
    "PreModuleCreate",
    "PreModuleSuspend",
    "PreModuleUnsuspend",
    "PreModuleTerminate",
    "PreModuleChangePackage",
    "PreModuleChangePassword",
    "PreModuleCustom",
    "PreServiceEdit",
    "CancellationRequest",
    "AcceptOrder",
    "CancelOrder",
    "PendingOrder",
    "FraudOrder",
    "DeleteOrder",
    "CancelAndRefundOrder",
    "PreDeleteClient",
    "PreUserAdd",
];

/// Whether a hook fires before its change is visible.
pub fn is_early(hook: &str) -> bool {
    EARLY.contains(&hook)
}

/// The sender of one installation.
#[derive(Default)]
pub struct Hooks {
    target: Mutex<Option<Target>>,
    waiting: Arc<AtomicU64>,
}

struct Target {
    queue: mpsc::UnboundedSender<Outgoing>,
    early_by: Duration,
    /// Ends the sending when the target is replaced or the installation is gone.
    _sending: DropGuard,
}

/// An event that waits to be sent.
struct Outgoing {
    id: String,
    body: String,
}

impl Hooks {
    /// From now on sends every hook to an address. Hooks that fire early are sent that much before their change.
    pub fn send_to(&self, core: Arc<Core>, url: String, early_by: Duration) {
        let (queue, events) = mpsc::unbounded_channel();
        let sending = CancellationToken::new();
        let task = send_all(core, url, events, Arc::clone(&self.waiting));
        tokio::spawn(sending.clone().run_until_cancelled_owned(task));
        *self.target() = Some(Target { queue, early_by, _sending: sending.drop_guard() });
    }

    /// How long before their change early hooks are sent; `None` when it makes no difference.
    pub fn early_by(&self) -> Option<Duration> {
        self.target().as_ref().map(|target| target.early_by).filter(|early| !early.is_zero())
    }

    /// Queues an event.
    pub fn send(&self, core: &Core, event: &Event, ids: Map<String, Value>) {
        if NOISE.contains(&event.hook) {
            return;
        }
        if let Some(target) = &*self.target() {
            let id = format!("{:032x}", rand::random::<u128>());
            let body = json!({
                "id": id,
                "event": event.hook,
                "occurred_at": core.clock.now().timestamp(),
                "source": "billing.sandbox",
                "ids": ids,
            });
            self.waiting.fetch_add(1, Ordering::SeqCst);
            if target.queue.send(Outgoing { id, body: body.to_string() }).is_err() {
                self.waiting.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }

    /// Events that nobody has taken yet.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst)
    }

    fn target(&self) -> MutexGuard<'_, Option<Target>> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scalar ids among the parameters of a hook, by the names of the webhook. `client_of_upgrade` finds what the
/// parameters do not tell.
pub fn ids(event: &Event, client_of_upgrade: impl Fn(u64) -> Option<u64>) -> Map<String, Value> {
    let params = &event.params;
    let number = |names: &[&str]| {
        names.iter().find_map(|name| {
            let value = name.split('.').try_fold(params, |value, part| value.get(part))?;
            value.as_u64().filter(|id| *id > 0)
        })
    };
    let is_of_user = event.hook.starts_with("User") || event.hook == "PreUserAdd";
    let client = if is_of_user {
        None
    } else {
        number(&["client_id", "userid", "userId", "clientid", "params.userid", "toUserID"])
    };
    let client = client.or_else(|| client_of_upgrade(params.get("upgradeid")?.as_u64()?));
    let service = number(&["serviceid", "params.serviceid"]);
    let service = service.or_else(|| (event.hook == "CancellationRequest").then(|| number(&["relid"]))?);
    let found = [
        ("client", client),
        ("other_client", number(&["fromUserID"])),
        ("service", service),
        ("invoice", number(&["invoiceid", "invoiceId", "InvoiceID", "invocieid", "originalinvoiceid"])),
        ("other_invoice", number(&["newinvoiceid"])),
        ("order", number(&["orderid", "orderId", "OrderID"])),
    ];
    found.into_iter().filter_map(|(name, id)| Some((name.to_owned(), id?.into()))).collect()
}

async fn send_all(
    core: Arc<Core>,
    url: String,
    events: mpsc::UnboundedReceiver<Outgoing>,
    waiting: Arc<AtomicU64>,
) {
    let Ok(http) = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build() else {
        tracing::error!("the sandbox cannot send hooks: no HTTP client");
        return;
    };
    let queue = futures::stream::unfold(events, |mut events| async move {
        let event = events.recv().await?;
        Some((event, events))
    });
    queue
        .for_each_concurrent(CONCURRENT, |event| {
            let (http, core, url, waiting) = (&http, &core, &url, &waiting);
            async move {
                deliver(http, core, url, &event).await;
                waiting.fetch_sub(1, Ordering::SeqCst);
            }
        })
        .await;
}

/// Sends one event until it is taken or refused for good.
async fn deliver(http: &reqwest::Client, core: &Core, url: &str, event: &Outgoing) {
    let mut pause = FIRST_PAUSE;
    loop {
        // Signed anew for each try: the receiver refuses what is old.
        let timestamp = core.clock.now().timestamp().to_string();
        let request = http
            .post(url)
            .header("content-type", "application/json")
            .header("x-portal-event-id", &event.id)
            .header(
                "x-portal-signature",
                sign(credentials::WHMCS_WEBHOOK_SECRET, &event.id, &timestamp, &event.body),
            )
            .header("x-portal-timestamp", timestamp)
            .body(event.body.clone());
        match request.send().await.map(|answer| answer.status().as_u16()) {
            Ok(200..300) => return,
            Ok(status @ (400 | 404 | 409 | 413)) => {
                tracing::warn!(status, "the sandbox's hook was refused");
                return;
            }
            _ => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// The signature of a body.
pub fn sign(secret: &str, id: &str, timestamp: &str, body: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids_of(hook: &'static str, params: Value) -> Value {
        Value::Object(ids(&Event { hook, params }, |upgrade| (upgrade == 1).then_some(1001)))
    }

    #[test]
    fn ids_are_found_under_the_names_that_the_hooks_use() {
        for (hook, params, found) in [
            ("InvoicePaid", json!({"invoiceid": 31}), json!({"invoice": 31})),
            ("AddTransaction", json!({"userid": 42, "invocieid": 31}), json!({"client": 42, "invoice": 31})),
            (
                "OrderPaid",
                json!({"orderId": 5, "userId": 42, "invoiceId": 31}),
                json!({"order": 5, "client": 42, "invoice": 31}),
            ),
            (
                "AfterModuleCreate",
                json!({"params": {"serviceid": 7, "userid": 42, "serverpassword": "x"}}),
                json!({"service": 7, "client": 42}),
            ),
            ("CancellationRequest", json!({"userid": 42, "relid": 7}), json!({"client": 42, "service": 7})),
            (
                "InvoiceSplit",
                json!({"originalinvoiceid": 1, "newinvoiceid": 2}),
                json!({"invoice": 1, "other_invoice": 2}),
            ),
            ("AfterProductUpgrade", json!({"upgradeid": 1}), json!({"client": 1001})),
            ("UserChangePassword", json!({"userid": 3, "password": "x"}), json!({})),
            ("AfterCronJob", Value::Null, json!({})),
        ] {
            assert_eq!(ids_of(hook, params), found, "{hook}");
        }
    }

    #[test]
    fn a_signature_is_the_documented_one() {
        // printf '%s' 'a1.1741000000.{}' | openssl dgst -sha256 -hmac 0123456789abcdef01234567
        assert_eq!(
            sign("0123456789abcdef01234567", "a1", "1741000000", "{}"),
            "cda1ed4707e83ce5fe420a0c0776c99625b58fc1860b667d83bf8dde147e8041"
        );
    }
}
