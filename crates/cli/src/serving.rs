//! A live process: everything the project names, and HTTP beside it. What `up` and `demo` share.

use std::pin::Pin;
use std::time::Duration;

use headwater_app::view::Status;
use headwater_app::{Announcement, Instance, Up, UpHandle, UpOptions};
use headwater_project::Failure;
use headwater_server::{Server, ServerError, ServerOptions};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::args::AccessOptions;
use crate::commands::Stop;
use crate::print::Printer;
use crate::signals::Interrupt;

/// How often a live process says how it is doing.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// Longer than any process lives, and short enough for a timer.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// What [`Serving::until_end`] calls every few seconds.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(crate) struct ServingOptions {
    /// The project's own port when absent.
    pub(crate) port: Option<u16>,
    pub(crate) for_duration: Option<Duration>,
    pub(crate) access: AccessOptions,
    /// Nothing but the pages when absent.
    pub(crate) up: Option<UpOptions>,
    /// The page to begin at.
    pub(crate) page: &'static str,
}

pub(crate) struct Serving {
    printer: Printer,
    up: Up,
    handle: UpHandle,
    stop: CancellationToken,
    server: JoinSet<Result<(), ServerError>>,
    for_duration: Option<Duration>,
    /// For commands on this machine, while it is there.
    _announcement: Option<Announcement>,
}

impl Serving {
    /// Takes the port first: when somebody else has it, nothing is started.
    pub(crate) async fn start(printer: &Printer, instance: Instance, options: ServingOptions) -> Result<Self, Stop> {
        let port = options.port.unwrap_or_else(|| instance.project().default_port());
        let access = options.access;
        let bound = Server::bind(ServerOptions {
            address: access.listen,
            port,
            read_only: access.read_only,
            allowed_hosts: access.allowed_hosts.into_iter().map(|name| name.to_ascii_lowercase()).collect(),
        })
        .await?;
        let address = bound.address();
        let (up, announcement) = match options.up {
            Some(options) => (instance.up(options).await?, Some(instance.announce(address)?)),
            None => (instance.at_rest(), None),
        };
        let (handle, stop) = (up.handle(), CancellationToken::new());
        let mut server = JoinSet::new();
        server.spawn(bound.serve(instance, handle.clone(), stop.clone()));
        printer.words(&format!("Listening on http://{address}{}", options.page));
        let (printer, for_duration) = (printer.clone(), options.for_duration);
        Ok(Self { printer, up, handle, stop, server, for_duration, _announcement: announcement })
    }

    /// Goes on until a signal, the end of the given time, or a fatal failure; then stops everything in order.
    /// `report` is called every few seconds.
    pub(crate) async fn until_end<'a, F>(mut self, interrupt: &Interrupt, report: F) -> Result<(), Stop>
    where
        F: Fn(Status) -> BoxFuture<'a, Result<(), Stop>>,
    {
        let mut first = self.watch(interrupt, report).await.err();
        self.stop.cancel();
        while let Some(ended) = self.server.join_next().await {
            first = first.or(served(Some(ended)).err());
        }
        first = first.or(self.up.shutdown().await.err().map(Stop::from));
        self.printer.words("Stopped.");
        first.map_or(Ok(()), Err)
    }

    async fn watch<'a, F>(&mut self, interrupt: &Interrupt, report: F) -> Result<(), Stop>
    where
        F: Fn(Status) -> BoxFuture<'a, Result<(), Stop>>,
    {
        let mut ticks = tokio::time::interval_at(Instant::now() + REPORT_EVERY, REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = tokio::time::sleep(self.for_duration.unwrap_or(FOREVER));
        let mut end = std::pin::pin!(end);
        loop {
            tokio::select! {
                () = interrupt.token.cancelled() => return Ok(()),
                () = &mut end => return Ok(()),
                failure = self.up.failed() => return Err(failure.into()),
                ended = self.server.join_next() => return served(ended),
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = interrupt.token.cancelled() => return Ok(()),
                reported = report(self.handle.status()) => reported?,
            }
        }
    }
}

/// How the server's task ended, when it ended by itself.
fn served(ended: Option<Result<Result<(), ServerError>, JoinError>>) -> Result<(), Stop> {
    match ended {
        None | Some(Ok(Ok(()))) => Ok(()),
        Some(Ok(Err(error))) => Err(error.into()),
        Some(Err(error)) => {
            Err(Failure::internal("the HTTP server ended unexpectedly").with_detail(error.to_string()).into())
        }
    }
}
