//! What the async contestants share.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::child::Fallible;
use crate::child::system::{SPIN, now};

/// A runtime that does everything in the calling thread.
pub(crate) fn one_thread() -> Fallible<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// The runtime of `#[tokio::main]`.
pub(crate) fn many_threads() -> Fallible<Runtime> {
    Ok(Builder::new_multi_thread().enable_all().build()?)
}

/// Waits as precisely as a contestant that blocks, and lets the runtime work meanwhile.
pub(crate) async fn wait_until(time: u64) {
    let left = time.saturating_sub(now());
    if left > 2 * SPIN {
        tokio::time::sleep(Duration::from_nanos(left - SPIN)).await;
    }
    while now() < time {
        tokio::task::yield_now().await;
    }
}
