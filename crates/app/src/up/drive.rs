//! A generator of a running process, paused and resumed with its source.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater_project::Failure;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{GenerateRequest, GeneratorHandle};
use crate::generators::{Driver, DriverStatus, Until};
use crate::ingest::control::Control;
use crate::instance::Instance;
use crate::source_file::GeneratorConfig;

/// Wait after a generator panicked.
const RETRY: Duration = Duration::from_secs(1);

/// A generator of a running process, which makes nothing while its source is paused.
pub(super) struct Drive {
    config: GeneratorConfig,
    until: Until,
    status: Arc<Mutex<DriverStatus>>,
    control: Control,
    /// Made before anything runs, so that what is wrong with it is told at once.
    first: Option<Driver>,
}

impl Drive {
    pub(super) fn new(config: &GeneratorConfig, until: Until, first: Driver, handle: &GeneratorHandle) -> Self {
        let (status, control) = (Arc::clone(&handle.status), handle.control.clone());
        Self { config: config.clone(), until, status, control, first: Some(first) }
    }

    pub(super) async fn run(mut self, instance: &Instance, stop: CancellationToken) -> Result<(), Failure> {
        let mut orders = self.control.orders();
        loop {
            if orders.borrow_and_update().paused {
                self.status.lock().unwrap_or_else(PoisonError::into_inner).state = "paused";
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    _ = orders.changed() => continue,
                }
            }
            let driver = match self.first.take() {
                Some(driver) => driver,
                None => {
                    let request = GenerateRequest::default();
                    instance.driver(&self.config, &request, self.until, Arc::clone(&self.status))?.0
                }
            };
            let token = stop.child_token();
            let mut running = JoinSet::new();
            let theirs = token.clone();
            running.spawn_blocking(move || driver.run(&theirs));
            let ended = loop {
                tokio::select! {
                    ended = running.join_next() => break ended,
                    _ = orders.changed() => if orders.borrow_and_update().paused { token.cancel() },
                }
            };
            let crashed = |detail: String| Failure::internal("a generator ended unexpectedly").with_detail(detail);
            match ended {
                Some(Ok(Ok(()))) if token.is_cancelled() && !stop.is_cancelled() => {}
                // Another goes on from the last snapshot.
                Some(Err(panicked)) if panicked.is_panic() => {
                    tracing::error!(generator = %self.config.name, "a generator begins anew: {panicked}");
                    drop(tokio::time::timeout(RETRY, stop.cancelled()).await);
                }
                Some(ended) => return ended.unwrap_or_else(|error| Err(crashed(error.to_string()))),
                None => return Err(crashed(String::from("It never began."))),
            }
        }
    }
}
