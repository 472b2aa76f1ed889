//! Options of sockets whose messages are settled. Waits are as short as they can be: what comes again comes soon.

use std::time::Duration;

use zerohop::{Delivery, Options};

pub(crate) fn quick() -> Delivery {
    Delivery::at_least_once()
        .grace(Duration::from_millis(50))
        .backoff(Duration::from_millis(1), Duration::from_millis(20))
}

pub(crate) fn options(delivery: Delivery) -> Options {
    Options::new()
        .delivery(delivery)
        .reconnect_interval(Duration::from_millis(10))
        .reconnect_interval_max(None)
}
