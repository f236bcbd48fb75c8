//! The hooks of the billing system: what each means for what the portal serves.
//!
//! The vendor has no webhooks; `deploy/whmcs/portal_gateway.php` sends its action hooks in a form of our own:
//! `{"id":…,"event":<hook>,"occurred_at":<Unix seconds>,"source":…,"ids":{"invoice":31,"client":42}}`.
//! Source of the table: WHMCS reference §12.1.

use serde::{Deserialize, Serialize};

use crate::{
    events::Change,
    id::{ClientId, InvoiceId, SubscriptionId},
};

/// Longest id of an event.
const ID_LENGTH: usize = 64;

/// An action hook of the vendor.
#[derive(Debug, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: &'static str,
    /// Whether it may fire before its change is visible: then one look is not enough.
    pub is_early: bool,
    touches: &'static [Touch],
}

/// What a hook changes of what the portal serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    Profile,
    Subscription,
    Invoice,
    PaymentMethods,
    Client,
    Catalogue,
    /// Nobody says what: only a comparison finds out.
    Anything,
}
use Touch::{Anything, Catalogue, Client, Invoice, PaymentMethods, Profile, Subscription};

impl Hook {
    /// The hook with a name; `None` when it is none that we know.
    pub fn find(name: &str) -> Option<&'static Self> {
        HOOKS.iter().find(|hook| hook.name == name)
    }

    /// All that we know.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        HOOKS.iter()
    }

    /// Whether anything that the portal serves changes with it.
    pub fn has_effect(&self) -> bool {
        !self.touches.is_empty()
    }

    /// Whether a client has to be known to say what changed.
    pub fn needs_client(&self) -> bool {
        self.touches.iter().any(|touch| !matches!(touch, Catalogue | Anything))
    }

    /// Whether what is served has to be compared with billing.
    pub fn asks_comparison(&self) -> bool {
        self.touches.contains(&Anything)
    }

    /// What changed. Nothing, when a client is needed and there is none.
    pub fn changes(&self, ids: &Ids, client: Option<ClientId>) -> Vec<Change> {
        let mut changes = Vec::new();
        for touch in self.touches {
            let Some(client) = client else {
                changes.extend((*touch == Catalogue).then_some(Change::Catalogue));
                continue;
            };
            match touch {
                Profile => changes.push(Change::Profile { client }),
                Subscription => {
                    let subscription = ids.service.map(SubscriptionId);
                    changes.push(Change::Subscription { client, subscription });
                }
                Invoice => {
                    changes.push(Change::Invoice { client, invoice: ids.invoice.map(InvoiceId) });
                    let other =
                        ids.other_invoice.map(|id| Change::Invoice { client, invoice: Some(InvoiceId(id)) });
                    changes.extend(other);
                }
                PaymentMethods => changes.push(Change::PaymentMethods { client }),
                Client => {
                    changes.push(Change::Client { client });
                    changes.extend(ids.other_client.map(|id| Change::Client { client: ClientId(id) }));
                }
                Catalogue => changes.push(Change::Catalogue),
                Anything => {}
            }
        }
        changes
    }
}

/// Ids that a hook brings, all in the vendor's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// The client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u64>,
    /// The client that was merged into the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_client: Option<u64>,
    /// The service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<u64>,
    /// The invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice: Option<u64>,
    /// The invoice that was split off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_invoice: Option<u64>,
    /// The order in billing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
}

/// A hook as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The sender's id of the event.
    pub id: String,
    /// What happened.
    pub hook: &'static Hook,
    /// When, in Unix seconds.
    pub occurred_at: i64,
    /// To what.
    pub ids: Ids,
}

/// What a body turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Something that changes what we serve.
    Notice(Notice),
    /// Well-formed, but nothing that we serve changes with it.
    NoEffect,
    /// Not what we agreed on; the sentence says why.
    Malformed(&'static str),
}

impl Reading {
    /// Reads a body. `id` is the id in the header, which has to be the body's own.
    pub fn of(body: &[u8], id: &str) -> Self {
        #[derive(Deserialize)]
        struct Body {
            id: String,
            event: String,
            occurred_at: i64,
            #[serde(default)]
            ids: Ids,
        }
        let Ok(body) = serde_json::from_slice::<Body>(body) else {
            return Self::Malformed("the body is not the event that was agreed on");
        };
        if body.id != id {
            return Self::Malformed("the body and the header name two ids");
        }
        match Hook::find(&body.event).filter(|hook| hook.has_effect()) {
            None => Self::NoEffect,
            Some(hook) => {
                Self::Notice(Notice { id: body.id, hook, occurred_at: body.occurred_at, ids: body.ids })
            }
        }
    }
}

impl Notice {
    /// Notices of one record are applied in order.
    pub(super) fn record(&self) -> String {
        let Ids { client, service, invoice, order, .. } = self.ids;
        let named = [("invoice", invoice), ("service", service), ("order", order), ("client", client)];
        match named.iter().find_map(|(name, id)| id.map(|id| format!("{name}:{id}"))) {
            Some(record) => record,
            None => format!("hook:{}", self.hook.name),
        }
    }

    /// What is kept of it.
    pub(super) fn payload(&self) -> String {
        // Numbers always become JSON.
        serde_json::to_string(&self.ids).unwrap_or_default()
    }
}

/// Whether a text can be the id of an event: 1 to 64 letters, digits, `-`, `_`.
pub fn is_event_id(text: &str) -> bool {
    (1..=ID_LENGTH).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Fires after the change.
const fn after(name: &'static str, touches: &'static [Touch]) -> Hook {
    Hook { name, is_early: false, touches }
}

/// Fires before or during the change.
const fn early(name: &'static str, touches: &'static [Touch]) -> Hook {
    Hook { name, is_early: true, touches }
}

/// Nothing that we serve.
const NOTHING: &[Touch] = &[];

/// Every hook of the reference. What is not served yet (contacts, users, mails, add-ons by themselves) has no effect.
static HOOKS: &[Hook] = &[
    // Totals are not final: InvoiceCreated follows.
    early("InvoiceCreation", NOTHING),
    early("InvoiceCreationPreEmail", NOTHING),
    after("InvoiceCreated", &[Invoice]),
    early("InvoicePaidPreEmail", NOTHING),
    // What is paid may be activated, renewed or unsuspended.
    after("InvoicePaid", &[Invoice, Subscription]),
    early("InvoiceUnpaid", &[Invoice]),
    early("InvoiceCancelled", &[Invoice]),
    after("InvoiceRefunded", &[Invoice]),
    after("InvoiceChangeGateway", &[Invoice]),
    early("InvoiceSplit", &[Invoice]),
    early("UpdateInvoiceTotal", &[Invoice]),
    after("AddInvoiceLateFee", &[Invoice]),
    after("InvoicePaymentReminder", NOTHING),
    after("AddInvoicePayment", &[Invoice]),
    after("AddTransaction", &[Invoice]),
    early("ManualRefund", &[Invoice]),
    after("OrderPaid", &[Invoice, Subscription]),
    early("PreModuleCreate", NOTHING),
    early("PreModuleSuspend", NOTHING),
    early("PreModuleUnsuspend", NOTHING),
    early("PreModuleTerminate", NOTHING),
    early("PreModuleChangePackage", NOTHING),
    early("PreModuleChangePassword", NOTHING),
    early("PreModuleCustom", NOTHING),
    early("PreModuleRenew", NOTHING),
    after("AfterModuleCreate", &[Subscription]),
    after("AfterModuleSuspend", &[Subscription]),
    after("AfterModuleUnsuspend", &[Subscription]),
    after("AfterModuleTerminate", &[Subscription]),
    after("AfterModuleChangePackage", &[Subscription]),
    after("AfterModuleCustom", &[Subscription]),
    after("AfterModuleRenew", &[Subscription]),
    after("AfterModuleChangePassword", &[Subscription]),
    after("AfterModuleCreateFailed", NOTHING),
    after("AfterModuleSuspendFailed", NOTHING),
    after("AfterModuleUnsuspendFailed", NOTHING),
    after("AfterModuleTerminateFailed", NOTHING),
    after("AfterModuleChangePackageFailed", NOTHING),
    after("AfterModuleChangePasswordFailed", NOTHING),
    after("AfterModuleCustomFailed", NOTHING),
    after("AfterModuleRenewFailed", NOTHING),
    after("ServiceEdit", &[Subscription]),
    early("PreServiceEdit", NOTHING),
    after("ServiceDelete", &[Subscription]),
    after("ServiceRecurringCompleted", &[Subscription]),
    early("CancellationRequest", &[Subscription]),
    after("AfterProductUpgrade", &[Subscription]),
    after("AfterConfigOptionsUpgrade", &[Subscription]),
    after("AfterAddonUpgrade", &[Subscription]),
    after("AddonAdd", &[Subscription]),
    after("AddonEdit", &[Subscription]),
    after("AddonActivated", &[Subscription]),
    after("AddonActivation", &[Subscription]),
    after("AddonSuspended", &[Subscription]),
    after("AddonUnsuspended", &[Subscription]),
    after("AddonCancelled", &[Subscription]),
    after("AddonTerminated", &[Subscription]),
    after("AddonFraud", &[Subscription]),
    after("AddonDeleted", &[Subscription]),
    early("AcceptOrder", &[Subscription, Invoice]),
    early("CancelOrder", &[Subscription, Invoice]),
    early("PendingOrder", &[Subscription, Invoice]),
    early("FraudOrder", &[Subscription, Invoice]),
    early("DeleteOrder", &[Subscription, Invoice]),
    early("CancelAndRefundOrder", &[Subscription, Invoice]),
    after("AfterShoppingCartCheckout", &[Subscription, Invoice]),
    after("ClientAdd", &[Profile]),
    after("ClientEdit", &[Profile]),
    after("ClientChangePassword", NOTHING),
    after("ClientClose", &[Client]),
    early("PreDeleteClient", &[Client]),
    after("AfterClientMerge", &[Client]),
    after("UserAdd", NOTHING),
    early("PreUserAdd", NOTHING),
    after("UserEdit", NOTHING),
    after("UserChangePassword", NOTHING),
    after("UserEmailVerificationComplete", NOTHING),
    after("UserLogin", NOTHING),
    after("UserLogout", NOTHING),
    after("ContactAdd", NOTHING),
    after("ContactEdit", NOTHING),
    after("ContactDelete", NOTHING),
    after("CCUpdate", &[PaymentMethods]),
    early("PayMethodMigration", &[PaymentMethods]),
    early("ProductEdit", &[Catalogue]),
    early("ProductDelete", &[Catalogue]),
    early("EmailPreLog", NOTHING),
    after("LogActivity", NOTHING),
    after("DailyCronJob", &[Anything]),
    after("AfterCronJob", &[Anything]),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the reference (§12.1): hooks, whether they fire before or during the change, and what becomes old:
    /// `i`nvoices, `s`ubscriptions, `p`rofile, payment `m`ethods, `c`lient (all of it), cata`l`ogue; `?` is what a
    /// comparison finds.
    const REFERENCE: &[(&str, bool, &str)] = &[
        ("InvoiceCreation InvoiceCreationPreEmail InvoicePaidPreEmail", true, ""),
        ("InvoiceCreated InvoiceRefunded InvoiceChangeGateway AddInvoiceLateFee", false, "i"),
        ("AddInvoicePayment AddTransaction", false, "i"),
        ("InvoicePaid OrderPaid AfterShoppingCartCheckout", false, "is"),
        ("InvoiceUnpaid InvoiceCancelled InvoiceSplit UpdateInvoiceTotal ManualRefund", true, "i"),
        ("InvoicePaymentReminder", false, ""),
        ("PreModuleCreate PreModuleSuspend PreModuleUnsuspend PreModuleTerminate", true, ""),
        ("PreModuleChangePackage PreModuleChangePassword PreModuleCustom PreModuleRenew", true, ""),
        ("AfterModuleCreate AfterModuleSuspend AfterModuleUnsuspend AfterModuleTerminate", false, "s"),
        ("AfterModuleChangePackage AfterModuleCustom AfterModuleChangePassword", false, "s"),
        ("AfterModuleRenew", false, "s"),
        ("AfterModuleCreateFailed AfterModuleSuspendFailed AfterModuleUnsuspendFailed", false, ""),
        ("AfterModuleTerminateFailed AfterModuleChangePackageFailed AfterModuleCustomFailed", false, ""),
        ("AfterModuleChangePasswordFailed AfterModuleRenewFailed", false, ""),
        ("ServiceEdit ServiceDelete ServiceRecurringCompleted", false, "s"),
        ("PreServiceEdit", true, ""),
        ("CancellationRequest", true, "s"),
        ("AfterProductUpgrade AfterConfigOptionsUpgrade AfterAddonUpgrade", false, "s"),
        ("AddonAdd AddonEdit AddonActivated AddonSuspended AddonUnsuspended AddonCancelled", false, "s"),
        ("AddonTerminated AddonFraud AddonActivation AddonDeleted", false, "s"),
        ("AcceptOrder CancelOrder PendingOrder FraudOrder DeleteOrder CancelAndRefundOrder", true, "is"),
        ("ClientAdd ClientEdit", false, "p"),
        ("ClientChangePassword", false, ""),
        ("ClientClose AfterClientMerge", false, "c"),
        ("PreDeleteClient", true, "c"),
        ("UserAdd UserEdit UserChangePassword UserEmailVerificationComplete UserLogin UserLogout", false, ""),
        ("PreUserAdd EmailPreLog", true, ""),
        ("ContactAdd ContactEdit ContactDelete", false, ""),
        ("CCUpdate", false, "m"),
        ("PayMethodMigration", true, "m"),
        ("ProductEdit ProductDelete", true, "l"),
        ("LogActivity", false, ""),
        ("DailyCronJob AfterCronJob", false, "?"),
    ];

    fn letter(change: &Change) -> char {
        match change {
            Change::Invoice { .. } => 'i',
            Change::Subscription { .. } => 's',
            Change::Profile { .. } => 'p',
            Change::PaymentMethods { .. } => 'm',
            Change::Client { .. } => 'c',
            Change::Catalogue => 'l',
            other => panic!("billing does not change {other:?}"),
        }
    }

    #[test]
    fn every_hook_of_the_reference_means_what_it_says_there() {
        let mut seen = 0;
        for (names, is_early, touched) in REFERENCE {
            for name in names.split(' ') {
                let Some(hook) = Hook::find(name) else { panic!("{name} is not known") };
                assert_eq!(hook.is_early, *is_early, "{name}");
                let mut letters: Vec<_> =
                    hook.changes(&Ids::default(), Some(ClientId(42))).iter().map(letter).collect();
                letters.extend(hook.asks_comparison().then_some('?'));
                letters.sort_unstable();
                assert_eq!(letters.iter().collect::<String>(), *touched, "{name}");
                assert_eq!(hook.has_effect(), !touched.is_empty(), "{name}");
                seen += 1;
            }
        }
        assert_eq!(seen, HOOKS.len(), "a hook that the reference does not have, or one twice");
    }

    #[test]
    fn a_change_names_what_the_hook_names() {
        let ids = Ids { invoice: Some(31), other_invoice: Some(32), service: Some(7), ..Ids::default() };
        let changes = |name: &str, client| Hook::find(name).map(|hook| hook.changes(&ids, client));
        let client = ClientId(42);
        assert_eq!(
            changes("InvoiceSplit", Some(client)),
            Some(vec![
                Change::Invoice { client, invoice: Some(InvoiceId(31)) },
                Change::Invoice { client, invoice: Some(InvoiceId(32)) },
            ])
        );
        let subscription = Some(SubscriptionId(7));
        assert_eq!(
            changes("ServiceEdit", Some(client)),
            Some(vec![Change::Subscription { client, subscription }])
        );
        assert_eq!(changes("ServiceEdit", None), Some(vec![]));
        assert_eq!(changes("ProductEdit", None), Some(vec![Change::Catalogue]));
        let merged = Ids { other_client: Some(43), ..Ids::default() };
        assert_eq!(
            Hook::find("AfterClientMerge").map(|hook| hook.changes(&merged, Some(client))),
            Some(vec![Change::Client { client }, Change::Client { client: ClientId(43) }])
        );
    }

    #[test]
    fn a_body_is_read_or_told_from_one_that_is_none() {
        let body = br#"{"id":"a1","event":"InvoicePaid","occurred_at":1741000000,"source":"x",
            "ids":{"invoice":31,"client":42,"colour":3},"firstname":"Taro"}"#;
        let Reading::Notice(notice) = Reading::of(body, "a1") else { panic!("it is a notice") };
        assert_eq!((notice.hook.name, notice.record().as_str()), ("InvoicePaid", "invoice:31"));
        assert_eq!(notice.payload(), r#"{"client":42,"invoice":31}"#, "ids that we know, and nothing else");
        assert!(matches!(Reading::of(body, "a2"), Reading::Malformed(_)));
        for text in [
            "",
            "1",
            "{}",
            "[]",
            r#"{"id":"a1","event":"InvoicePaid"}"#,
            r#"{"id":"a1","event":"InvoicePaid","occurred_at":1,"ids":{"invoice":"31; DROP"}}"#,
            r#"{"id":"a1","event":"InvoicePaid","occurred_at":1,"ids":"31"}"#,
        ] {
            assert!(matches!(Reading::of(text.as_bytes(), "a1"), Reading::Malformed(_)), "{text}");
        }
        for event in ["NoSuchHook", "LogActivity"] {
            let text = format!(r#"{{"id":"a1","event":"{event}","occurred_at":1}}"#);
            assert_eq!(Reading::of(text.as_bytes(), "a1"), Reading::NoEffect, "{event}");
        }
        assert!(is_event_id("5b1f7c0e9a7d4f0d8a3b6c2e1f908d77") && is_event_id("a"));
        assert!(!is_event_id("") && !is_event_id("a b") && !is_event_id(&"a".repeat(65)));
    }
}
