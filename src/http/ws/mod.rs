//! `/graphql` as a WebSocket: the protocol graphql-transport-ws.
//!
//! The engine's ready-made protocol takes any origin, waits for ever, accepts an id twice and sends reasons that
//! clients cannot read; so it is ours (requirement S7).

mod message;
mod socket;

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequestParts, WebSocketUpgrade},
    http::{
        HeaderMap, HeaderValue, Method, Response, StatusCode,
        header::{ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
        request::Parts,
    },
    response::IntoResponse,
};

use crate::http::{RequestId, State, answer::Fault, cookies::Credentials, entry, graphql, serve::Hold};

use self::{
    message::PROTOCOL,
    socket::{Handshake, Socket},
};

/// Bytes that are read at once: a socket mostly waits, and keeps them all that time.
const READ_BUFFER: usize = 1024;

/// Whether a request wants to become a socket.
pub(super) fn is_handshake(method: &Method, headers: &HeaderMap) -> bool {
    let wants = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    method == Method::GET && wants.is_some_and(|wants| wants.eq_ignore_ascii_case("websocket"))
}

/// Opens a socket, or says why not.
pub(super) async fn open<V: Clone + Send + Sync + 'static>(
    state: &Arc<State<V>>,
    mut parts: Parts,
    id: &RequestId,
) -> Result<Response<Body>, Fault> {
    if state.streams.is_none() {
        return Err(Fault::new(StatusCode::NOT_IMPLEMENTED, "NOT_IMPLEMENTED", "there are no sockets here"));
    }
    if state.stopping.is_cancelled() {
        let message = "the gateway is stopping";
        return Err(Fault::new(StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", message));
    }
    let credentials = Credentials::read(&parts.headers);
    // A page can open a socket to anywhere and the browser adds the cookies; its origin is all that tells.
    let origin = entry::whence(&parts, entry::peer(&parts), &state.proxies, *id);
    let is_page = credentials.are_ambient || parts.headers.contains_key(ORIGIN);
    if is_page && !state.origins.admits_page(&parts.headers) {
        (state.note_page)(origin, "socket").await;
        return Err(Fault::new(StatusCode::FORBIDDEN, "FORBIDDEN", "this origin may not open a socket"));
    }
    let handshake = Handshake {
        speaks: speaks_protocol(&parts.headers),
        access: credentials.access.map(str::to_owned),
        is_ambient: credentials.are_ambient,
        is_malformed: credentials.are_malformed,
        customer: graphql::customer(&parts.headers).map(str::to_owned),
        origin,
    };
    let hold = parts.extensions.remove::<Hold>();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(refused) => return Ok(refused.into_response()),
    };
    let limit = state.streams.as_ref().map_or(0, |streams| streams.limits.message_bytes);
    let mut upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(limit)
        .max_frame_size(limit);
    if handshake.speaks {
        upgrade.set_selected_protocol(HeaderValue::from_static(PROTOCOL));
    }
    let state = Arc::clone(state);
    Ok(upgrade.on_upgrade(move |socket| async move {
        let _hold = hold;
        Socket::new(socket, state, handshake).run().await;
    }))
}

/// Whether our protocol is among those that the client offers.
fn speaks_protocol(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|offer| offer.split(',')).any(|name| name.trim() == PROTOCOL)
}
