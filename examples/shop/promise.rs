//! What is promised of orders, and of news of them.

use std::str::FromStr;
use std::time::Duration;

use zerohop::spool::Spool;
use zerohop::{Context, Delivery, Options, Push};

use crate::{Result, endpoints};

/// The same for all processes of a day.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// Nobody keeps a copy of what has left, as everywhere in ZeroMQ.
    AtMostOnce,
    /// A message is kept until whoever has received it says that it is done.
    AtLeastOnce,
}

impl Promise {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Promise::AtMostOnce => "at-most-once",
            Promise::AtLeastOnce => "at-least-once",
        }
    }

    /// Makes a socket for messages that are to be settled, if it is promised that they are.
    pub(crate) fn options(self, options: Options) -> Options {
        match self {
            Promise::AtMostOnce => options,
            Promise::AtLeastOnce => options.delivery(delivery()),
        }
    }

    /// The same for a sender whose messages are to survive its process as well.
    pub(crate) fn spooled(self, options: Options, folder: &str) -> Options {
        match self {
            Promise::AtMostOnce => options,
            // With `Sync::Disk` they would survive the loss of power, too.
            Promise::AtLeastOnce => options.delivery(delivery().spool(Spool::at(folder))),
        }
    }

    /// By what the books are told what becomes of orders. Books are kept in full: all of it is to arrive, however long that takes.
    pub(crate) fn news(self, context: &Context, at: &str) -> Result<Push> {
        let news = Push::with_options(context, self.options(Options::new().linger(None)))?;
        news.connect(endpoints::books(at))?;
        Ok(news)
    }
}

fn delivery() -> Delivery {
    Delivery::at_least_once()
        // What a worker has read ahead waits for it, while others may be idle.
        .window(4)
        // Whoever is gone for longer does not come back: its orders go to others.
        .grace(Duration::from_millis(100))
}

impl FromStr for Promise {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Promise, String> {
        [Promise::AtMostOnce, Promise::AtLeastOnce]
            .into_iter()
            .find(|promise| promise.name() == name)
            .ok_or_else(|| format!("nobody promises {name:?}"))
    }
}
