//! Panics as failures of what panicked, so that the rest of the process goes on.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use crate::{Failure, Kind};

/// What a future comes to, or the failure that it panicked. What it worked on may be half done: whoever goes on has to begin
/// from what is committed.
pub async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    // On the heap: pipelines are large, and whoever holds this holds them.
    let mut future = Box::pin(future);
    poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
        Err(panic) => Poll::Ready(Err(failure(&*panic))),
    })
    .await
}

/// As [`caught`], for work of a thread.
pub fn caught_here<T>(work: impl FnOnce() -> T) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| failure(&*panic))
}

/// It is tried again, as the outside world's failures are: what made it panic may pass, and trying does no harm.
fn failure(panic: &(dyn Any + Send)) -> Failure {
    let words = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Failure::new(Kind::External { retry_after: None }, "a part of the process panicked")
        .with_detail(words.unwrap_or("It did not say why."))
        .with_hint("This is an error of Headwater: please report it, with the lines above.")
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn a_panic_is_a_failure_with_its_words() {
        let detail = |result: Result<u8, Failure>| result.map_err(|failure| failure.detail.unwrap_or_default());
        assert_eq!(detail(caught_here(|| 7)), Ok(7));
        assert_eq!(detail(caught_here(|| panic!("no {}", "number"))), Err("no number".to_owned()));
        let future = pin!(caught(async { std::hint::black_box(None::<u8>).expect("there is none") }));
        let Poll::Ready(result) = future.poll(&mut Context::from_waker(Waker::noop())) else { panic!("still pending") };
        assert_eq!(detail(result), Err("there is none".to_owned()));
    }
}
