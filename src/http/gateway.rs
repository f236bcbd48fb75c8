//! The door of a real application: joins the graph, the sessions and the store to the routes.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Asker, State};
use crate::{
    app::App,
    identity::{self, Principal, Viewer},
    schema::{self, PortalSchema},
};

/// How long `/health/ready` waits for the store.
const STORE_WITHIN: Duration = Duration::from_secs(2);

/// The state of the routes over a running application.
pub fn state(app: &App, schema: PortalSchema, stopping: CancellationToken) -> State<Principal> {
    let (sessions, store) = (app.identity.clone(), app.store.clone());
    let execute = move |request, asker: Asker<Principal>| {
        let schema = schema.clone();
        async move { answer(&schema, request, asker).await }
    };
    let authenticate = move |token: String| {
        let sessions = sessions.clone();
        async move { sessions.authenticate(&token).await }
    };
    let ready = move || {
        let store = store.clone();
        async move {
            match tokio::time::timeout(STORE_WITHIN, store.ping()).await {
                Ok(Ok(())) => Ok(()),
                _ => Err("the database is not answering"),
            }
        }
    };
    State {
        ready: Arc::new(move || Box::pin(ready())),
        stopping,
        ..State::new(
            Arc::new(move |request, asker| Box::pin(execute(request, asker))),
            Arc::new(move |token| Box::pin(authenticate(token))),
        )
    }
}

async fn answer(
    schema: &PortalSchema,
    request: async_graphql::Request,
    asker: Asker<Principal>,
) -> async_graphql::Response {
    let viewer = asker.viewer.map(|principal| Viewer::new(principal, asker.budget));
    let origin = identity::Context { address: asker.address, user_agent: asker.user_agent };
    let request = request.data(asker.budget).data(asker.cookies).data(origin);
    schema::execute(schema, request, viewer).await
}
