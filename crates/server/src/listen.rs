//! The accept loop: bounded connections, a deadline for request headers, and an orderly end.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use headwater_app::{Instance, UpHandle};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::auth::{Auth, Peer, may_listen};
use crate::error::ServerError;
use crate::routes;

/// Connections served at once; more wait in the operating system's queue. A browser holds up to six: one of events, which
/// stays, and those of its last requests, which rest for a while. This many serve 600 viewers without a wait. Never more than
/// half of the files this process may open: the other half is for tables, the log and queries.
const MAX_CONNECTIONS: usize = 4_096;
/// A client that has not sent its headers by then is cut off, so that idle connections cannot use up the limit. It is also how
/// long a connection rests between requests: longer than pages usually wait, as a request that meets the end of a rest fails.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// Requests under way may take this long to finish once the server is told to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept: out of file descriptors, trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Accepts failing in a row before the server gives up.
const MAX_ACCEPT_FAILURES: u32 = 200;

/// Where to listen and for whom.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The loopback address when absent. Another one needs accounts, or the read-only mode.
    pub address: Option<IpAddr>,
    /// Zero takes any free port.
    pub port: u16,
    /// Nobody starts anything; without accounts, everybody may look.
    pub read_only: bool,
    /// Host names besides the loopback ones that requests may be addressed to.
    pub allowed_hosts: BTreeSet<String>,
}

/// A bound but not yet serving server.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    allowed_hosts: BTreeSet<String>,
    read_only: bool,
    connections: usize,
}

impl Server {
    /// Takes the port. Nothing is answered until [`Server::serve`]; clients that connect before wait.
    pub async fn bind(options: ServerOptions) -> Result<Self, ServerError> {
        let wanted = SocketAddr::from((options.address.unwrap_or(Ipv4Addr::LOCALHOST.into()), options.port));
        let bind_failed = |source| ServerError::Bind { address: wanted, source };
        let files = headwater_app::raise_open_files().and_then(|most| usize::try_from(most).ok());
        let connections = files.map_or(MAX_CONNECTIONS, |most| (most / 2).clamp(1, MAX_CONNECTIONS));
        let listener = TcpListener::bind(wanted).await.map_err(bind_failed)?;
        let address = listener.local_addr().map_err(bind_failed)?;
        let mut allowed_hosts = options.allowed_hosts;
        if !address.ip().is_unspecified() {
            allowed_hosts.insert(address.ip().to_string());
        }
        Ok(Self { listener, address, allowed_hosts, read_only: options.read_only, connections })
    }

    /// The address with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then lets requests under way finish. Runs started over HTTP are cancelled and awaited.
    pub async fn serve(self, instance: Instance, up: UpHandle, stop: CancellationToken) -> Result<(), ServerError> {
        let auth = Auth::of_instance(&instance, self.read_only);
        let has_accounts = auth.login_required().map_err(ServerError::Accounts)?;
        if !may_listen(self.address.ip(), has_accounts, self.read_only) {
            return Err(ServerError::NobodyCanLogIn { address: self.address });
        }
        let api = Arc::new(Api::new(instance, up.clone(), self.allowed_hosts, auth, stop.clone()));
        let (events, stopped) = (Arc::clone(&api.events), stop.clone());
        api.tasks.spawn(async move { events.run(up, stopped).await });
        let router = routes::router(Arc::clone(&api));
        let mut connections = JoinSet::new();
        let slots = Arc::new(Semaphore::new(self.connections));
        let outcome = accept_loop(&self.listener, &router, &slots, &mut connections, &stop).await;
        drop(self.listener);
        stop.cancel();
        let drained = tokio::time::timeout(DRAIN_TIMEOUT, drain(&mut connections)).await;
        if drained.is_err() {
            tracing::warn!(open = connections.len(), "closing connections that did not finish in time");
            connections.shutdown().await;
        }
        api.tasks.close();
        api.tasks.wait().await;
        outcome
    }
}

async fn drain(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

async fn accept_loop(
    listener: &TcpListener,
    router: &Router,
    slots: &Arc<Semaphore>,
    connections: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), ServerError> {
    let mut failures = 0;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(listener, slots) => accepted,
        };
        match accepted {
            Ok((stream, peer, slot)) => {
                failures = 0;
                let router = router.clone().layer(Extension(Peer(peer.ip())));
                connections.spawn(serve_connection(stream, slot, router, stop.clone()));
            }
            Err(error) if failures >= MAX_ACCEPT_FAILURES => return Err(ServerError::Accept(error)),
            Err(error) => {
                // Told once: it goes on failing until somebody leaves.
                if failures == 0 {
                    tracing::warn!(%error, "cannot accept a connection");
                }
                failures += 1;
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A slot first, so that a connection beyond the limit stays in the operating system's queue.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, slot))
}

async fn serve_connection(stream: TcpStream, slot: OwnedSemaphorePermit, router: Router, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended early");
    }
    drop(slot);
}
