//! What can be listened to.
//!
//! A hint is an id and a kind; the object behind it is read when the hint is delivered, through the ordinary
//! reads of the viewer, and only if the client asked for it. Each delivery is a request of its own: it gets
//! new loaders and a new budget (see [`super::delivery`]), since a subscription outlives every deadline.
//!
//! Nobody hears of another's: a subscription listens to the topics of its own viewer, and an id that it is
//! narrowed to must be the viewer's when it begins.

use std::{collections::HashSet, sync::Arc};

use async_graphql::{Context, Enum, ID, Object, Subscription};
use futures::{Stream, StreamExt, future::ready, stream::unfold};

use super::{context::Ask, delivery::Delivery, line::Line, node::NodeId};
use crate::{
    app::App,
    billing::Invoice,
    crm::{Case, Order},
    error::{Error, Result},
    id::{CaseId, InvoiceId, NotificationId, OrderId},
    identity::Viewer,
    notify::{Hint, Listening, Notification, Subject, Topic},
};

/// An order of the viewer changed.
pub struct OrderUpdated(Option<OrderId>);

/// An order of the viewer changed.
#[Object]
impl OrderUpdated {
    /// Which one. Null when it is not known: then read all of them again.
    async fn id(&self) -> Option<ID> {
        self.0.map(|key| NodeId::Order(key).encode())
    }

    /// The order as it is now. Null when it is not known which, or while orders are not answering.
    async fn order(&self, ctx: &Context<'_>) -> Option<Result<Order>> {
        let key = self.0?;
        let read = async {
            let all = ctx.app()?.crm.orders(ctx.viewer()?).await?;
            Ok(all.iter().find(|order| order.key == key).cloned())
        };
        read.await.transpose()
    }
}

/// An invoice of the viewer changed.
pub struct InvoiceUpdated(Option<InvoiceId>);

/// An invoice of the viewer changed.
#[Object]
impl InvoiceUpdated {
    /// Which one. Null when it is not known: then read all of them again.
    async fn id(&self) -> Option<ID> {
        self.0.map(|key| NodeId::Invoice(key).encode())
    }

    /// The invoice as it is now. Null when it is not known which, or while billing does not answer.
    async fn invoice(&self, ctx: &Context<'_>) -> Option<Result<Invoice>> {
        let key = self.0?;
        let read = async {
            let all = ctx.app()?.billing.invoices(ctx.viewer()?).await?;
            Ok(all.iter().find(|invoice| invoice.key == key).cloned())
        };
        read.await.transpose()
    }
}

/// A support case of the viewer, or what was said in it, changed.
pub struct CaseUpdated(Option<CaseId>);

/// A support case of the viewer, or what was said in it, changed.
#[Object]
impl CaseUpdated {
    /// Which one. Null when it is not known: then read all of them again.
    async fn id(&self) -> Option<ID> {
        self.0.map(|key| NodeId::Case(key).encode())
    }

    /// The case as it is now. Null when it is not known which, or while support is not answering.
    async fn case(&self, ctx: &Context<'_>) -> Option<Result<Case>> {
        let key = self.0?;
        let read = async {
            let all = ctx.app()?.crm.cases(ctx.viewer()?).await?;
            Ok(all.iter().find(|case| case.key == key).cloned())
        };
        read.await.transpose()
    }
}

/// A mobile line of the viewer changed: its state, usage or options.
pub struct LineUpdated(Option<String>);

/// A mobile line of the viewer changed: its state, usage or options.
#[Object]
impl LineUpdated {
    /// The line. Null when it is not known which: then read all of them again.
    async fn line(&self) -> Option<Line> {
        self.0.clone().map(Line::new)
    }
}

/// The viewer got a notification.
pub struct NotificationReceived(Option<NotificationId>);

/// The viewer got a notification.
#[Object]
impl NotificationReceived {
    /// Its id. Null when some may have been missed: then read the list again.
    async fn id(&self) -> Option<ID> {
        self.0.map(|key| NodeId::Notification(key).encode())
    }

    /// The notification. Null when it is not known which, or when it is gone already.
    async fn notification(&self, ctx: &Context<'_>) -> Option<Result<Notification>> {
        let key = self.0?;
        let read = async { ctx.app()?.notifications.one(ctx.viewer()?, key).await };
        read.await.transpose()
    }
}

/// What changed in an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum AccountChangeKind {
    /// Name, address or contact data.
    Profile,
    /// A subscription.
    Subscription,
    /// An invoice.
    Invoice,
    /// The stored payment methods.
    PaymentMethods,
    /// An order.
    Order,
    /// A support case, or what was said in it.
    Case,
    /// A mobile line.
    Line,
    /// Whether the customer's address can have the internet service.
    Eligibility,
    /// Whether the identity document was accepted.
    Verification,
    /// Notifications: one is new, or some were read or dismissed.
    Notifications,
    /// What is sold.
    Catalogue,
    /// Anything: updates may have been missed, so read again what is shown.
    Everything,
}

/// Something in the viewer's account changed.
pub struct AccountChanged(Arc<Hint>);

/// Something in the viewer's account changed.
#[Object]
impl AccountChanged {
    /// What it was.
    async fn kind(&self) -> AccountChangeKind {
        match self.0.subject {
            Subject::Profile => AccountChangeKind::Profile,
            Subject::Subscription(_) => AccountChangeKind::Subscription,
            Subject::Invoice(_) => AccountChangeKind::Invoice,
            Subject::PaymentMethods => AccountChangeKind::PaymentMethods,
            Subject::Order(_) => AccountChangeKind::Order,
            Subject::Case(_) => AccountChangeKind::Case,
            Subject::Line => AccountChangeKind::Line,
            Subject::Eligibility => AccountChangeKind::Eligibility,
            Subject::Verification => AccountChangeKind::Verification,
            Subject::Notification(_) | Subject::Notifications => AccountChangeKind::Notifications,
            Subject::Catalogue => AccountChangeKind::Catalogue,
            Subject::Everything => AccountChangeKind::Everything,
        }
    }

    /// The object that changed, as `node` takes it. Null when it has no id, or it is not known which.
    async fn id(&self) -> Option<ID> {
        let id = match self.0.subject {
            Subject::Subscription(key) => NodeId::Subscription(key?),
            Subject::Invoice(key) => NodeId::Invoice(key?),
            Subject::Order(key) => NodeId::Order(key?),
            Subject::Case(key) => NodeId::Case(key?),
            Subject::Notification(key) => NodeId::Notification(key),
            _ => return None,
        };
        Some(id.encode())
    }
}

/// What can be listened to, over a WebSocket or as server-sent events, by the customer who is signed in.
pub struct LiveUpdates;

/// What can be listened to, over a WebSocket or as server-sent events, by the customer who is signed in.
///
/// An update is a reason to read again: it holds ids, and the object only for who asks for it.
#[Subscription]
impl LiveUpdates {
    /// Orders that change.
    async fn order_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this order; all of the viewer's when it is left out.")] id: Option<ID>,
    ) -> Result<impl Stream<Item = OrderUpdated>> {
        let (app, viewer) = (ctx.app()?, ctx.viewer()?);
        let hints = app.live.subscribe([Topic::Account(viewer.account())]);
        let wanted = match id.map(|id| NodeId::decode("id", &id)).transpose()? {
            None => None,
            Some(NodeId::Order(key)) if app.crm.orders(viewer).await?.iter().any(|o| o.key == key) => {
                Some(key)
            }
            Some(_) => return Err(foreign()),
        };
        Ok(hints.filter_map(move |hint| {
            let Subject::Order(key) = hint.subject else {
                return ready(missed(&hint).then_some(OrderUpdated(wanted)));
            };
            ready(concerns(wanted, key).then(|| OrderUpdated(key.or(wanted))))
        }))
    }

    /// Invoices that change.
    async fn invoice_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this invoice; all of the viewer's when it is left out.")] id: Option<ID>,
    ) -> Result<impl Stream<Item = InvoiceUpdated>> {
        let (app, viewer) = (ctx.app()?, ctx.viewer()?);
        let hints = app.live.subscribe([Topic::Client(viewer.client())]);
        let wanted = match id.map(|id| NodeId::decode("id", &id)).transpose()? {
            None => None,
            Some(NodeId::Invoice(key))
                if app.billing.invoices(viewer).await?.iter().any(|i| i.key == key) =>
            {
                Some(key)
            }
            Some(_) => return Err(foreign()),
        };
        Ok(hints.filter_map(move |hint| {
            let Subject::Invoice(key) = hint.subject else {
                return ready(missed(&hint).then_some(InvoiceUpdated(wanted)));
            };
            ready(concerns(wanted, key).then(|| InvoiceUpdated(key.or(wanted))))
        }))
    }

    /// Support cases that change, or in which something is said.
    async fn case_updated(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this case; all of the viewer's when it is left out.")] id: Option<ID>,
    ) -> Result<impl Stream<Item = CaseUpdated>> {
        let (app, viewer) = (ctx.app()?, ctx.viewer()?);
        let hints = app.live.subscribe([Topic::Account(viewer.account())]);
        let wanted = match id.map(|id| NodeId::decode("id", &id)).transpose()? {
            None => None,
            Some(NodeId::Case(key)) if app.crm.cases(viewer).await?.iter().any(|c| c.key == key) => Some(key),
            Some(_) => return Err(foreign()),
        };
        Ok(hints.filter_map(move |hint| {
            let Subject::Case(key) = hint.subject else {
                return ready(missed(&hint).then_some(CaseUpdated(wanted)));
            };
            ready(concerns(wanted, key).then(|| CaseUpdated(key.or(wanted))))
        }))
    }

    /// Mobile lines that change. Lines that the viewer gets later are among them.
    async fn line_updated(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = LineUpdated>> {
        let (app, viewer) = (ctx.app()?.clone(), ctx.viewer()?);
        let delivery = ctx.data_opt::<Delivery>().cloned().ok_or(Error::Unauthenticated)?;
        let mut hints = app.live.subscribe([Topic::Client(viewer.client())]);
        let lines = listen_to_lines(&app, viewer, &mut hints).await?;
        Ok(unfold((app, delivery, hints, lines), |(app, delivery, mut hints, mut lines)| async move {
            loop {
                let hint = hints.next().await?;
                let updated = match (&hint.topic, &hint.subject) {
                    (Topic::Line(number), _) if lines.contains(&**number) => Some(number.to_string()),
                    (_, Subject::Everything) => None,
                    (_, Subject::Subscription(_)) => {
                        // While billing does not answer, the lines that were known are listened to.
                        if let Some(viewer) = delivery.viewer()
                            && let Ok(now) = listen_to_lines(&app, &viewer, &mut hints).await
                        {
                            lines = now;
                        }
                        continue;
                    }
                    _ => continue,
                };
                return Some((LineUpdated(updated), (app, delivery, hints, lines)));
            }
        }))
    }

    /// Notifications as they come.
    async fn notification_received(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = NotificationReceived>> {
        let hints = ctx.app()?.live.subscribe([Topic::User(ctx.viewer()?.user())]);
        Ok(hints.filter_map(|hint| {
            ready(match hint.subject {
                Subject::Notification(key) => Some(NotificationReceived(Some(key))),
                _ => missed(&hint).then_some(NotificationReceived(None)),
            })
        }))
    }

    /// Anything in the account that changes, with its kind and id: for pages that show a little of everything.
    async fn account_changed(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = AccountChanged>> {
        let (app, viewer) = (ctx.app()?, ctx.viewer()?);
        let topics =
            [Topic::User(viewer.user()), Topic::Client(viewer.client()), Topic::Account(viewer.account())];
        Ok(app.live.subscribe(topics).map(AccountChanged))
    }
}

/// Listens to the lines of the viewer too, and gives their numbers.
async fn listen_to_lines(app: &App, viewer: &Viewer, hints: &mut Listening) -> Result<HashSet<String>> {
    let subscriptions = app.billing.subscriptions(viewer).await?;
    let lines: HashSet<String> = subscriptions.iter().filter_map(|one| one.line.clone()).collect();
    for line in &lines {
        hints.also(Topic::Line(line.as_str().into()));
    }
    Ok(lines)
}

/// Whether a hint says that others may have been missed.
fn missed(hint: &Hint) -> bool {
    hint.subject == Subject::Everything
}

/// Whether what changed is, or may be, what is wanted.
fn concerns<K: PartialEq>(wanted: Option<K>, changed: Option<K>) -> bool {
    wanted.is_none() || changed.is_none() || wanted == changed
}

/// What is somebody else's looks like what does not exist.
const fn foreign() -> Error {
    Error::BadInput { argument: "id", reason: "names nothing of this kind that is yours" }
}
