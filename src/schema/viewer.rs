//! The customer who is signed in.

use async_graphql::{Context, ID, Object};

use super::{
    account::ActiveSessionNode,
    case::{CaseFilter, CaseList, CaseSort},
    connection::{Counted, Paged, paged},
    context::Ask,
    device::{DeviceNode, SignInNode},
    grant::{GrantNode, PartnerConsent},
    invoice::{InvoiceFilter, InvoiceList, InvoiceSort},
    node::viewer_id,
    notification::NotificationList,
    order::OrderFilter,
    passkey::PasskeyNode,
    sign_up::Language,
    subscription::{SubscriptionFilter, SubscriptionSort},
    summary::Summary,
};
use crate::{
    billing::{Invoice, InvoiceTotals, PaymentMethod, Profile, Subscription},
    crm::{Case, CaseCounts, Order},
    error::Result,
    identity::Viewer,
    money::Currency,
    notify::Notification,
    page::Page,
};

/// The customer who is signed in; everything personal hangs from here.
pub struct ViewerNode(pub(super) Viewer);

/// The customer who is signed in; everything personal hangs from here.
#[Object(name = "Viewer")]
impl ViewerNode {
    /// Names this customer in the portal. Opaque, and not found by `node`.
    async fn id(&self) -> ID {
        viewer_id(self.0.user())
    }

    /// Name, contact data and the current address. Null while billing does not answer.
    async fn profile(&self, ctx: &Context<'_>) -> Option<Result<Profile>> {
        let read = async { Ok((*ctx.see(ctx.app()?.billing.profile(&self.0).await?)).clone()) };
        Some(read.await)
    }

    /// The figures at the top of the dashboard.
    async fn summary(&self) -> Summary {
        Summary
    }

    /// The services of this customer. Null while billing does not answer.
    async fn subscriptions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which to begin.")] after: Option<String>,
        #[graphql(desc = "Which ones to show.")] filter: Option<SubscriptionFilter>,
        #[graphql(desc = "In which order.", default)] sort: SubscriptionSort,
    ) -> Option<Result<Paged<Subscription>>> {
        let read = async {
            let page = Page::read(first, after.as_deref())?;
            let all = ctx.see(ctx.app()?.billing.subscriptions(&self.0).await?);
            let filter = filter.unwrap_or_default();
            let mut list: Vec<_> = all.iter().filter(|item| filter.admits(item)).cloned().collect();
            sort.apply(&mut list);
            Ok(paged(&page, list, |item| item.key.to_string(), Counted::new))
        };
        Some(read.await)
    }

    /// The invoices of this customer. Null while billing does not answer.
    async fn invoices(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which to begin.")] after: Option<String>,
        #[graphql(desc = "Which ones to show.")] filter: Option<InvoiceFilter>,
        #[graphql(desc = "In which order.", default)] sort: InvoiceSort,
    ) -> Option<Result<Paged<Invoice, InvoiceList>>> {
        let read = async {
            let page = Page::read(first, after.as_deref())?;
            let all = ctx.see(ctx.app()?.billing.invoices(&self.0).await?);
            let filter = filter.unwrap_or_default();
            let mut list: Vec<_> = all.iter().filter(|item| filter.admits(item)).cloned().collect();
            sort.apply(&mut list);
            let totals = InvoiceTotals::of(&list, Currency::JPY);
            Ok(paged(
                &page,
                list,
                |item| item.key.to_string(),
                |total| InvoiceList { total_count: Counted::new(total).total_count, totals },
            ))
        };
        Some(read.await)
    }

    /// The orders of this customer, newest first. Null while orders are not answering.
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which to begin.")] after: Option<String>,
        #[graphql(desc = "Which ones to show.")] filter: Option<OrderFilter>,
    ) -> Option<Result<Paged<Order>>> {
        let read = async {
            let page = Page::read(first, after.as_deref())?;
            let all = ctx.see(ctx.app()?.crm.orders(&self.0).await?);
            let filter = filter.unwrap_or_default();
            let list = all.iter().filter(|item| filter.admits(item)).cloned().collect();
            Ok(paged(&page, list, |item| item.key.to_string(), Counted::new))
        };
        Some(read.await)
    }

    /// The support cases of this customer. Null while support is not answering.
    async fn cases(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which to begin.")] after: Option<String>,
        #[graphql(desc = "Which ones to show.")] filter: Option<CaseFilter>,
        #[graphql(desc = "In which order.", default)] sort: CaseSort,
    ) -> Option<Result<Paged<Case, CaseList>>> {
        let read = async {
            let page = Page::read(first, after.as_deref())?;
            let all = ctx.see(ctx.app()?.crm.cases(&self.0).await?);
            let filter = filter.unwrap_or_default();
            let mut list: Vec<_> = all.iter().filter(|item| filter.admits(item)).cloned().collect();
            sort.apply(&mut list);
            Ok(paged(
                &page,
                list,
                |item| item.key.to_string(),
                |total| CaseList {
                    total_count: Counted::new(total).total_count,
                    counts: CaseCounts::of(&all),
                },
            ))
        };
        Some(read.await)
    }

    /// The sign-ins that stand, the one that was last seen first.
    async fn sessions(&self, ctx: &Context<'_>) -> Option<Result<Vec<ActiveSessionNode>>> {
        let read = async {
            let all = ctx.app()?.identity.sessions(&self.0).await?;
            Ok(all.into_iter().map(|one| ActiveSessionNode::new(one, self.0.session())).collect())
        };
        Some(read.await)
    }

    /// The devices in which this customer signed in within the last year, the one that was last seen first.
    async fn devices(&self, ctx: &Context<'_>) -> Option<Result<Vec<DeviceNode>>> {
        let read = async {
            let identity = &ctx.app()?.identity;
            let sessions = identity.sessions(&self.0).await?;
            let current = sessions.into_iter().find(|one| one.id == self.0.session());
            let current = current.and_then(|session| session.known_device);
            let all = identity.devices(&self.0).await?;
            Ok(all.into_iter().map(|one| DeviceNode::new(one, current)).collect())
        };
        Some(read.await)
    }

    /// The sign-ins of the last year and the tries that failed, newest first; the last thousand at most.
    async fn sign_ins(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which to begin.")] after: Option<String>,
    ) -> Option<Result<Paged<SignInNode>>> {
        let read = async {
            let page = Page::read(first, after.as_deref())?;
            let all = ctx.app()?.identity.sign_ins(&self.0).await?;
            let list: Vec<_> = all.into_iter().map(SignInNode::from).collect();
            Ok(paged(&page, list, |one| one.id.to_string(), Counted::new))
        };
        Some(read.await)
    }

    /// The passkeys that sign this customer in, in the order in which they were registered.
    async fn passkeys(&self, ctx: &Context<'_>) -> Option<Result<Vec<PasskeyNode>>> {
        let read = async {
            let all = ctx.app()?.identity.passkeys(&self.0).await?;
            Ok(all.into_iter().map(PasskeyNode::from).collect())
        };
        Some(read.await)
    }

    /// What the bell shows, newest first: what was neither dismissed nor is too old.
    async fn notifications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many at most, 1 to 100; 20 when left out.")] first: Option<i32>,
        #[graphql(desc = "The cursor behind which to begin.")] after: Option<String>,
    ) -> Option<Result<Paged<Notification, NotificationList>>> {
        let read = async {
            let page = Page::read(first, after.as_deref())?;
            let all = ctx.app()?.notifications.list(&self.0).await?;
            let list = NotificationList::of(&all);
            Ok(paged(&page, all, |item| item.key.to_string(), |_| list))
        };
        Some(read.await)
    }

    /// What this customer allows partners, the latest first.
    async fn grants(&self, ctx: &Context<'_>) -> Option<Result<Vec<GrantNode>>> {
        let read = async {
            let all = ctx.app()?.identity.grants(&self.0).await?;
            Ok(all.into_iter().map(GrantNode::from).collect())
        };
        Some(read.await)
    }

    /// Who asks for something, and for what, so that this customer can decide: `grantCreate` allows it. Null when there is no
    /// such partner, or it needs no customer's word.
    async fn partner_consent(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the partner calls itself.")] client_id: String,
        #[graphql(desc = "The scopes that it asks for, by their names: `billing:read`.")] scopes: Vec<String>,
        #[graphql(desc = "In which language the scopes are described.", default)] language: Language,
    ) -> Option<Result<PartnerConsent>> {
        let read = async {
            let asked = ctx.app()?.identity.consent(&self.0, &client_id, &scopes).await?;
            Ok(asked.map(|asked| PartnerConsent::new(asked, language)))
        };
        read.await.transpose()
    }

    /// The stored cards and bank accounts. Null while billing does not answer.
    async fn payment_methods(&self, ctx: &Context<'_>) -> Option<Result<Vec<PaymentMethod>>> {
        let read = async { Ok((*ctx.see(ctx.app()?.billing.payment_methods(&self.0).await?)).clone()) };
        Some(read.await)
    }
}
