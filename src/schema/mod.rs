//! The graph: what clients ask.
//!
//! Everything personal hangs from `viewer`, so what cannot be reached cannot leak; `node` and `nodes`
//! ask the same viewer. A field that reaches an upstream is nullable and returns `Option<Result<T>>`,
//! so an outage costs only its own fields. Two domains meet here and nowhere else.

mod account;
mod availability;
mod case;
mod connection;
mod context;
pub mod cookies;
mod delivery;
mod device;
mod email_change;
mod erasure;
mod error;
mod export;
mod grant;
mod invoice;
mod line;
mod live;
mod loaders;
mod mutation;
mod node;
mod notification;
mod order;
mod partner;
mod passkey;
mod password_reset;
mod payment_method;
pub mod policy;
mod postal;
mod profile;
mod query;
mod refusal;
mod session;
mod sign_up;
mod step_up;
mod subscription;
mod summary;
mod totp;
mod viewer;

use std::any::TypeId;

use async_graphql::{Request, Response, Schema, SchemaBuilder};
use futures::{
    StreamExt,
    stream::{BoxStream, once},
};
use rust_decimal::Decimal;

use self::{
    case::CaseList, connection::Paged, device::SignInNode, invoice::InvoiceList, loaders::Loaders,
    notification::NotificationList, partner::PartnerCustomer,
};
pub use self::{
    delivery::Delivery,
    error::{mask, refuse, refused_path},
    live::LiveUpdates,
    mutation::Mutation,
    node::customer_of,
    query::Query,
};
use crate::{
    app::App,
    billing::{Invoice, Subscription},
    crm::{Case, Order},
    error::Error,
    identity::{self, Caller, Viewer},
    notify::Notification,
};

/// The whole graph.
pub type PortalSchema = Schema<Query, Mutation, LiveUpdates>;

fn builder() -> SchemaBuilder<Query, Mutation, LiveUpdates> {
    // Depth, size and cost are judged before this engine sees a document, by the guard in `http`.
    Schema::build(Query, Mutation::default(), LiveUpdates)
        .disable_suggestions()
        // Otherwise 32, below the guard's nesting; this is the most that the guard's can be set to.
        .limit_recursive_depth(200)
        // Types of the engine that come without a word.
        .override_output_type_description::<serde_json::Value>(
            "Any JSON value, as another specification defines it: that of WebAuthn, for passkeys.",
        )
        .override_output_type_description::<Decimal>(
            "A decimal number as a string, never rounded: `\"1200\"`.",
        )
        .override_output_type_description::<Paged<Subscription>>("A page of subscriptions.")
        .override_output_type_description::<Paged<Invoice, InvoiceList>>("A page of invoices.")
        .override_output_type_description::<Paged<Order>>("A page of orders.")
        .override_output_type_description::<Paged<Case, CaseList>>("A page of support cases.")
        .override_output_type_description::<Paged<SignInNode>>("A page of sign-ins.")
        .override_output_type_description::<Paged<PartnerCustomer>>(
            "A page of customers who allowed something.",
        )
        .override_output_type_description::<Paged<Notification, NotificationList>>("A page of notifications.")
}

/// The graph over a running application.
pub fn build(app: App) -> PortalSchema {
    policy::prepare();
    builder().data(app).finish()
}

/// The same graph for [`subscribe`]: built once more, for what only deliveries need.
pub fn build_live(app: App) -> PortalSchema {
    builder().data(app).extension(delivery::Anew).finish()
}

/// The schema as text, the contract in `schema.graphql`.
pub fn sdl() -> String {
    builder().finish().sdl()
}

/// Answers one request and masks what failed. `caller` is who asks, `viewer` the customer whom it is about; `None` for nobody.
/// What its asker may not have is refused before anything runs.
pub async fn execute(
    schema: &PortalSchema,
    mut request: Request,
    caller: Option<Caller>,
    viewer: Option<Viewer>,
) -> Response {
    if let Some(refused) = policy::refuse(&mut request, asker(caller.as_ref())) {
        note_refusal(schema, caller.as_ref(), viewer.as_ref(), &origin_of(&request), &refused).await;
        return refused;
    }
    let request = match schema.data::<App>() {
        Some(app) => {
            request.data(Loaders::new(app.clone(), viewer.clone())).data(viewer.clone()).data(caller)
        }
        None => request,
    };
    let mut response = schema.execute(request).await;
    if let (Some(app), Some(viewer)) = (schema.data::<App>(), &viewer)
        && let Some(path) = refused_path(&response)
    {
        // One event a request, however many fields of it were refused.
        let (from, code) = (viewer.context(), Error::Forbidden.code());
        app.identity.note_refusal(caller.as_ref(), Some(viewer), from, code, &path).await;
    }
    mask(&mut response);
    response
}

/// Begins a subscription of the graph that [`build_live`] gave, and masks what fails in a delivery. A stream that
/// ends after it delivered something could not keep up.
pub fn subscribe(
    schema: &PortalSchema,
    mut request: Request,
    delivery: Option<Delivery>,
) -> BoxStream<'static, Response> {
    let caller = delivery.as_ref().map(|delivery| delivery.caller);
    let viewer = delivery.as_ref().and_then(Delivery::viewer);
    let viewer = viewer.map(|viewer| viewer.from(origin_of(&request)));
    if let Some(refused) = policy::refuse(&mut request, asker(caller.as_ref())) {
        let (schema, from) = (schema.clone(), origin_of(&request));
        let noted = async move {
            note_refusal(&schema, caller.as_ref(), viewer.as_ref(), &from, &refused).await;
            refused
        };
        return once(noted).boxed();
    }
    let mut request = match schema.data::<App>() {
        Some(app) => request.data(Loaders::new(app.clone(), viewer.clone())).data(viewer).data(caller),
        None => request,
    };
    if let Some(delivery) = delivery {
        request = request.data(delivery);
    }
    let answers = schema.execute_stream(request).map(|mut response| {
        mask(&mut response);
        response
    });
    answers.boxed()
}

/// Where a request comes from.
fn origin_of(request: &Request) -> identity::Context {
    let known = request.data.get(&TypeId::of::<identity::Context>());
    known.and_then(|known| known.downcast_ref()).cloned().unwrap_or_default()
}

/// Notes that a policy refused a request.
async fn note_refusal(
    schema: &PortalSchema,
    caller: Option<&Caller>,
    viewer: Option<&Viewer>,
    from: &identity::Context,
    refused: &Response,
) {
    let (Some(app), Some(field)) = (schema.data::<App>(), policy::refused_field(refused)) else { return };
    let why = if caller.is_some() { Error::Forbidden } else { Error::Unauthenticated };
    app.identity.note_refusal(caller, viewer, from, why.code(), &field).await;
}

fn asker(caller: Option<&Caller>) -> policy::Asker {
    match caller {
        None => policy::Asker::Nobody,
        Some(Caller::Customer(_)) => policy::Asker::Customer,
        Some(Caller::Partner(partner)) => {
            policy::Asker::Partner { scopes: partner.scopes, for_customer: partner.customer.is_some() }
        }
    }
}
