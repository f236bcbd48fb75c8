//! A TCP proxy that a test can break: between a replica and Redis, or between the gateway and a system.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// How the proxy treats its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything goes through.
    Open,
    /// New connections are closed at once, and so are those there are.
    Refuse,
    /// Connections are taken and kept, but nothing goes through until the mode changes.
    Hang,
}

/// What a test has ordered.
#[derive(Clone, Copy, Debug)]
struct Orders {
    mode: Mode,
    /// For connections that carry pushes; the stricter of the two modes holds.
    push_mode: Mode,
    /// How often connections that carry pushes were cut.
    push_cut: u64,
    /// How long every piece of an answer is held back.
    answer_delay: Duration,
}

/// A proxy on a port of its own; it ends with the value.
pub struct Proxy {
    address: SocketAddr,
    orders: watch::Sender<Orders>,
    server: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of an address.
    pub async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let orders =
            Orders { mode: Mode::Open, push_mode: Mode::Open, push_cut: 0, answer_delay: Duration::ZERO };
        let (orders, seen) = watch::channel(orders);
        let server = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                connections.spawn(carry(client, target, seen.clone()));
                while connections.try_join_next().is_some() {}
            }
        });
        Self { address, orders, server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how every connection is treated.
    pub fn set(&self, mode: Mode) {
        self.orders.send_modify(|orders| orders.mode = mode);
    }

    /// Changes how connections are treated that carry pushes.
    pub fn set_push(&self, mode: Mode) {
        self.orders.send_modify(|orders| orders.push_mode = mode);
    }

    /// Closes the connections that carry pushes; new ones are taken.
    pub fn cut_push(&self) {
        self.orders.send_modify(|orders| orders.push_cut += 1);
    }

    /// Holds every piece of an answer back for so long: what the server read is old by then.
    pub fn delay_answers(&self, by: Duration) {
        self.orders.send_modify(|orders| orders.answer_delay = by);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A connection carries pushes once its client has asked Redis to track keys.
type Pushes = Arc<AtomicBool>;

async fn carry(mut client: TcpStream, target: SocketAddr, mut orders: watch::Receiver<Orders>) {
    let born = *orders.borrow_and_update();
    if born.mode == Mode::Refuse {
        return;
    }
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let pushes = Pushes::default();
    let (up, down) = (orders.clone(), orders.clone());
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let is_over = async {
        loop {
            let now = *orders.borrow_and_update();
            let refused = now.mode == Mode::Refuse;
            let push_refused = now.push_mode == Mode::Refuse || now.push_cut > born.push_cut;
            if refused || (push_refused && pushes.load(Ordering::SeqCst)) {
                return;
            }
            tokio::select! {
                changed = orders.changed() => if changed.is_err() { return },
                // A connection may begin to carry pushes while they are refused.
                () = tokio::time::sleep(Duration::from_millis(20)), if push_refused => {}
            }
        }
    };
    tokio::select! {
        () = is_over => {}
        _ = pump(&mut from_client, &mut to_server, up, &pushes, true) => {}
        _ = pump(&mut from_server, &mut to_client, down, &pushes, false) => {}
    }
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    mut orders: watch::Receiver<Orders>,
    pushes: &Pushes,
    is_question: bool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        if is_question && !pushes.load(Ordering::SeqCst) {
            let asks = buffer[..read].windows(8).any(|bytes| bytes.eq_ignore_ascii_case(b"TRACKING"));
            pushes.store(asks, Ordering::SeqCst);
        }
        let hangs = |orders: &Orders| {
            orders.mode == Mode::Hang || (orders.push_mode == Mode::Hang && pushes.load(Ordering::SeqCst))
        };
        let delay = match orders.wait_for(|orders| !hangs(orders)).await {
            Ok(orders) if !is_question => orders.answer_delay,
            _ => Duration::ZERO,
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
