//! The doors of the graph.

use std::sync::Arc;

use async_graphql::{Context, ID, Object};
use futures::future::join_all;

use super::{
    context::{Ask, load},
    node::{Node, NodeId},
    partner::PartnerNode,
    postal,
    session::{Captcha, SignInHandOff},
    viewer::ViewerNode,
};
use crate::{
    error::{Error, Result},
    page::MAX_FIRST,
    postal::PostalAddress,
};

/// What can be asked.
pub struct Query;

/// What can be asked.
#[Object]
impl Query {
    /// The customer who is signed in. Null when nobody is.
    async fn viewer(&self, ctx: &Context<'_>) -> Option<ViewerNode> {
        ctx.viewer().ok().cloned().map(ViewerNode)
    }

    /// The partner whose program asks. It needs no `portal-customer`.
    async fn partner(&self, ctx: &Context<'_>) -> Option<Result<PartnerNode>> {
        let read = async {
            let caller = ctx.partner()?;
            let row = ctx.app()?.identity.partner(caller.partner).await?;
            Ok(PartnerNode::new(caller, row))
        };
        Some(read.await)
    }

    /// Whose account a browser may sign in to without a code, since its address was proved at sign-up minutes ago. Null when
    /// there is none. No session is needed; the browser's own cookie tells.
    async fn sign_in_hand_off(&self, ctx: &Context<'_>) -> Option<Result<SignInHandOff>> {
        let read = async {
            let Some(token) = ctx.cookies()?.hand_off() else { return Ok(None) };
            let found = ctx.app()?.identity.hand_off_of(token).await?;
            Ok(found.map(|masked_email| SignInHandOff { masked_email }))
        };
        read.await.transpose()
    }

    /// How somebody without a session shows that they are a person, where that is asked for. Null where nobody is asked.
    async fn captcha(&self, ctx: &Context<'_>) -> Option<Result<Captcha>> {
        ctx.app().map(|app| app.identity.captcha().map(Captcha::from)).transpose()
    }

    /// The object with this id. Null when there is none, or it is not the viewer's.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "An id from this graph.")] id: ID,
    ) -> Option<Result<Node>> {
        find(ctx, "id", &id).await.transpose()
    }

    /// The objects with these ids, in their order. Null stands for what does not exist or is not the viewer's.
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Ids from this graph, at most 100.")] ids: Vec<ID>,
    ) -> Option<Result<Vec<Option<Result<Node>>>>> {
        if ids.len() > MAX_FIRST {
            return Some(Err(Error::BadInput { argument: "ids", reason: "must be at most 100" }));
        }
        Some(Ok(join_all(ids.iter().map(|id| async { find(ctx, "ids", id).await.transpose() })).await))
    }

    /// The addresses that a postal code stands for, so that an address form can be filled in. Several where a code is
    /// shared: the person chooses. Empty where nothing has the code. Null while postal look-up is not answering: then the
    /// person writes the address. No session is needed; look-ups of one client are limited.
    async fn postal_lookup(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "A postal code (`150-0041`; hyphen, `〒` and full-width digits do not matter), or a digital address \
                    (`A7E-2FK2`)."
        )]
        code: String,
    ) -> Option<Result<Vec<PostalAddress>>> {
        Some(postal::look_up(ctx, &code).await)
    }
}

/// Looks an object up among what the viewer owns.
async fn find(ctx: &Context<'_>, argument: &'static str, id: &str) -> Result<Option<Node>> {
    let id = NodeId::decode(argument, id)?;
    let (app, viewer) = (ctx.app()?, ctx.viewer()?);
    // Its kind alone tells something, whatever is asked of it.
    if !viewer.may(id.scope()) {
        return Err(Error::Forbidden);
    }
    Ok(match id {
        NodeId::Subscription(key) => load(ctx, key).await?.map(Arc::unwrap_or_clone).map(Node::Subscription),
        NodeId::Invoice(key) => {
            let all = ctx.see(app.billing.invoices(viewer).await?);
            all.iter().find(|item| item.key == key).cloned().map(Node::Invoice)
        }
        NodeId::PaymentMethod(key) => {
            let all = ctx.see(app.billing.payment_methods(viewer).await?);
            all.iter().find(|item| item.key == key).cloned().map(Node::PaymentMethod)
        }
        NodeId::Order(key) => {
            let all = ctx.see(app.crm.orders(viewer).await?);
            all.iter().find(|item| item.key == key).cloned().map(Node::Order)
        }
        NodeId::Case(key) => {
            let all = ctx.see(app.crm.cases(viewer).await?);
            all.iter().find(|item| item.key == key).cloned().map(Node::Case)
        }
        NodeId::Notification(key) => app.notifications.one(viewer, key).await?.map(Node::Notification),
    })
}
