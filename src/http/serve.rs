//! Listens, and stops gently.
//!
//! HTTP/1.1 without TLS: HTTP/2 and TLS are the load balancer's.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{body::Body, http::header::UPGRADE};
use http_body_util::BodyExt;
use hyper::{
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{interval, sleep, timeout},
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::{
    config::Network,
    http::{
        door::Door,
        pace::{Answering, Pace, Paced},
    },
};

/// How patient the server is.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// From the first byte of a request, or the opening of a connection, to the end of its headers.
    pub headers: Duration,
    /// Between two requests.
    pub idle: Duration,
    /// How long connections are still taken once we say that we are not ready, so that load balancers
    /// can notice.
    pub linger: Duration,
    /// How long accepted requests may then take.
    pub grace: Duration,
    /// How long a client may take nothing of an answer that is there for it.
    pub stalled: Duration,
    /// Connections of one address.
    pub connections_per_address: usize,
    /// Proxies of ours, whose connections are those of many: they are not counted.
    pub proxies: Vec<Network>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(5),
            idle: Duration::from_secs(60),
            linger: Duration::ZERO,
            grace: Duration::from_secs(20),
            stalled: Duration::from_secs(20),
            connections_per_address: 1_000,
            proxies: Vec::new(),
        }
    }
}

/// Opens the port.
///
/// # Errors
/// One sentence that names the address and, when it is taken, says so.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let kind = error.kind();
        let message = match kind {
            io::ErrorKind::AddrInUse => format!("{address} is taken by another program: choose another port"),
            io::ErrorKind::PermissionDenied => format!("{address} may not be opened by this user"),
            io::ErrorKind::AddrNotAvailable => format!("{address} is no address of this machine"),
            _ => format!("{address} cannot be opened: {error}"),
        };
        io::Error::new(kind, message)
    })
}

/// Serves until `stopping` is cancelled: then lingers, closes the port, lets accepted requests finish
/// within the grace, and returns. What is not finished by then is cut off.
pub async fn serve(
    listener: TcpListener,
    door: impl Into<Door>,
    stopping: CancellationToken,
    timeouts: Timeouts,
) {
    let (door, timeouts) = (door.into(), Arc::new(timeouts));
    let (draining, cut) = (CancellationToken::new(), CancellationToken::new());
    let connections = TaskTracker::new();
    let counts = Counts::default();
    let closing = async {
        stopping.cancelled().await;
        sleep(timeouts.linger).await;
    };
    tokio::pin!(closing);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closing => break,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, peer)) = accepted else {
            // Out of file descriptors, most likely: closing connections free some.
            sleep(Duration::from_millis(20)).await;
            continue;
        };
        let is_proxy = timeouts.proxies.iter().any(|proxy| proxy.contains(peer.ip()));
        let most = if is_proxy { usize::MAX } else { timeouts.connections_per_address };
        let Some(place) = counts.take(peer.ip(), most) else {
            metrics::counter!("connections_refused_total").increment(1);
            continue;
        };
        let (door, draining, cut, timeouts) =
            (door.clone(), draining.clone(), cut.clone(), Arc::clone(&timeouts));
        let hold = Hold(Arc::new((place, connections.token())));
        tokio::spawn(connection(stream, peer, door, timeouts, draining, cut, hold));
    }
    drop(listener);
    draining.cancel();
    connections.close();
    if timeout(timeouts.grace, connections.wait()).await.is_err() {
        tracing::warn!(cut = connections.len(), "requests were cut off by the stop");
        cut.cancel();
        connections.wait().await;
    }
}

/// Keeps a connection counted, for its address and for the stop, for as long as a clone of it lives: a socket
/// outlives the request that it began as.
#[derive(Clone)]
pub(super) struct Hold(#[expect(dead_code, reason = "held, not read")] Arc<(Place, TaskTrackerToken)>);

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    timeouts: Arc<Timeouts>,
    draining: CancellationToken,
    cut: CancellationToken,
    hold: Hold,
) {
    // Answers are written whole; waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let pace = Pace::start();
    let watched = Arc::clone(&pace);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        pace.asked();
        let mut request = request.map(Body::new);
        if request.headers().contains_key(UPGRADE) {
            request.extensions_mut().insert(hold.clone());
        }
        let (answer, pace) = (door.answer(request, peer), Arc::clone(&pace));
        async move {
            let answer = answer.await;
            // A body of no known length may take long, with nothing for the client to ask meanwhile.
            if answer.body().size_hint().exact().is_some() {
                pace.answered();
                return Ok::<_, Infallible>(answer);
            }
            let under_way = Answering(pace);
            Ok(answer.map(|body| {
                Body::new(body.map_frame(move |frame| {
                    let _ends_with_the_body = &under_way;
                    frame
                }))
            }))
        }
    });
    let stream = Paced { stream, pace: watched };
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let shortest = timeouts.headers.min(timeouts.idle).min(timeouts.stalled);
    let mut looks = interval((shortest / 4).max(Duration::from_millis(1)));
    loop {
        // How a connection ends is the client's matter.
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = draining.cancelled() => break connection.as_mut().graceful_shutdown(),
            _ = looks.tick() => {
                if pace.is_over(timeouts.headers, timeouts.idle) || pace.is_stalled_for(timeouts.stalled) {
                    return;
                }
            }
        }
    }
    tokio::select! {
        _ = connection => {}
        () = cut.cancelled() => {}
    }
}

/// Open connections by address.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// The right to one connection, given back when dropped.
struct Place(Counts, IpAddr);

impl Counts {
    fn take(&self, address: IpAddr, most: usize) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}
