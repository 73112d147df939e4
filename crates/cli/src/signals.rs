//! Ctrl-C and SIGTERM: the first asks for an orderly end, the second does not wait for it.

use headwater_project::Failure;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::print::Printer;

/// Listens while it lives.
pub(crate) struct Interrupt {
    pub(crate) token: CancellationToken,
    _listener: JoinSet<()>,
}

impl Interrupt {
    pub(crate) fn listen(printer: &Printer) -> Result<Self, Failure> {
        let (mut interrupt, mut terminate) = (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
        let token = CancellationToken::new();
        let (cancel, printer) = (token.clone(), printer.clone());
        let mut listener = JoinSet::new();
        listener.spawn(async move {
            either(&mut interrupt, &mut terminate).await;
            printer.words("stopping; once more to stop at once");
            cancel.cancel();
            either(&mut interrupt, &mut terminate).await;
            // What is committed is durable and what is not will be read again, so that stopping here is safe.
            std::process::exit(130);
        });
        Ok(Self { token, _listener: listener })
    }
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn handler(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::internal("signals cannot be listened to").with_detail(error.to_string()))
}
