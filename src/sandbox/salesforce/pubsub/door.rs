//! The API's own port: connections that can be cut, with TLS or without.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::{
    Identity, Server, ServerTlsConfig,
    server::{Connected, TcpIncoming},
};

use crate::sandbox::salesforce::{
    org::Org,
    pubsub::{generated::pub_sub_server::PubSubServer, service::Service, tls::Certificates},
};

/// Serves the API on a listener until told to stop, over TLS with certificates.
pub async fn serve(
    listener: TcpListener,
    org: Arc<Org>,
    certificates: Option<Certificates>,
    stopping: CancellationToken,
) {
    let mut server = Server::builder();
    if let Some(certificates) = certificates {
        let identity = Identity::from_pem(certificates.certificate, certificates.key);
        match server.tls_config(ServerTlsConfig::new().identity(identity)) {
            Ok(secured) => server = secured,
            Err(error) => return tracing::error!(%error, "the Pub/Sub API has no certificate"),
        }
    }
    let connections = {
        let org = Arc::clone(&org);
        TcpIncoming::from(listener)
            .with_nodelay(Some(true))
            .map(move |stream| stream.map(|stream| Connection::new(stream, org.bus.connections())))
    };
    let stopped = async {
        stopping.cancelled().await;
        org.bus.drop_streams(Some("service.unavailable"));
    };
    let service = PubSubServer::new(Service::new(Arc::clone(&org)));
    if let Err(error) = server.serve_with_incoming_shutdown(service, connections, stopped).await {
        tracing::error!(%error, "the Pub/Sub API ended");
    }
}

/// A connection that can be cut from outside.
struct Connection {
    stream: TcpStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connection {
    fn new(stream: TcpStream, cut: CancellationToken) -> Self {
        Self { stream, cut: Box::pin(cut.cancelled_owned()) }
    }

    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.poll_unpin(context) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) -> Self::ConnectInfo {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        pin!(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        pin!(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(context)
    }
}
