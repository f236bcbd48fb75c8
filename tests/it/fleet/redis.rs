//! A Redis of a test's own, so that it can be killed, emptied and started again beside other tests.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// Longer than a start takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server without a file; it ends with the value.
pub struct Redis {
    address: SocketAddr,
    server: Child,
}

impl Redis {
    /// Starts a server on a free port.
    pub async fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        Self { address, server: run(address).await }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the server; its port refuses connections from now on.
    pub async fn kill(&mut self) {
        self.server.kill().await.unwrap();
    }

    /// Starts it again on the same port, with nothing in it.
    pub async fn restart_empty(&mut self) {
        self.kill().await;
        self.server = run(self.address).await;
    }

    /// Runs one command.
    pub async fn command(&self, words: &[&str]) -> redis::Value {
        let client = redis::Client::open(format!("redis://{}", self.address)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query_async(&mut connection).await.unwrap()
    }
}

async fn run(address: SocketAddr) -> Child {
    let port = address.port().to_string();
    let mut server = Command::new("redis-server")
        .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("redis-server is there: scripts/test installs it");
    let answers = async {
        loop {
            if TcpStream::connect(address).await.is_ok() {
                return;
            }
            assert!(server.try_wait().unwrap().is_none(), "redis-server ended at once");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answers).await.expect("Redis starts");
    server
}
