//! A message that a peer will never take is given up, told of and counted, and what is behind it goes on: by what the
//! peer has announced, where both sides are zerohop, and by the connections that break over it, whoever the peer is.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod loopback;
    pub(crate) mod raw;
    pub(crate) mod unique;
    pub(crate) mod until;
}

#[path = "refused/attempts.rs"]
mod attempts;
#[path = "refused/limits.rs"]
mod limits;
#[path = "refused/topics.rs"]
mod topics;

use std::time::Duration;

use zerohop::{Event, Monitor, Options, RefusalCause};

use common::deadline::DEADLINE;
use common::unique;
use common::until::until;

const ANY_PORT: &str = "tcp://127.0.0.1:*";

/// What the peers that are limited take.
const LIMIT: usize = 1_000_000;

fn ipc() -> String {
    format!(
        "ipc://{}/{}",
        std::env::temp_dir().display(),
        unique::name()
    )
}

/// No wait for what cannot be delivered at the end of a failed test.
fn options() -> Options {
    Options::new()
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(Duration::from_millis(50))
        .linger(Duration::ZERO)
}

fn limited() -> Options {
    options().max_message_size(LIMIT)
}

/// The next refusal of a message: its size and the cause.
fn refusal(monitor: &Monitor) -> (usize, RefusalCause) {
    until("a refusal", || match monitor.recv_timeout(DEADLINE) {
        Ok(Event::MessageRefused { size, cause, .. }) => Some((size, cause)),
        Ok(_) => None,
        Err(error) => panic!("no refusal: {error}"),
    })
}
