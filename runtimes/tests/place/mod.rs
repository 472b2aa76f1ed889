//! Runtimes, and contexts that they drive.

use std::fmt;

use tokio::runtime::{Builder, Runtime};
use zerohop::{Context, Reactor};

use crate::common::block_on::block_on;
use crate::common::deadline::DEADLINE;

/// Where a future is run.
pub(crate) enum Place {
    Tokio(Runtime),
    AsyncIo,
    /// An executor of which the context knows nothing: its background thread drives the sockets.
    NoReactor,
}

impl Place {
    pub(crate) fn one_thread() -> Place {
        let runtime = Builder::new_current_thread().enable_all().build();
        Place::Tokio(runtime.expect("a runtime"))
    }

    /// Those whose reactors drive the sockets.
    pub(crate) fn with_reactors() -> [Place; 3] {
        let several = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let several = several.expect("a runtime");
        [Place::one_thread(), Place::Tokio(several), Place::AsyncIo]
    }

    #[allow(dead_code, reason = "some tests are about reactors only")]
    pub(crate) fn all() -> [Place; 4] {
        let [one, several, async_io] = Place::with_reactors();
        [one, several, async_io, Place::NoReactor]
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        match self {
            Place::Tokio(runtime) => runtime.block_on(async {
                let limited = tokio::time::timeout(DEADLINE, future);
                limited.await.expect("within the deadline")
            }),
            Place::AsyncIo => async_io::block_on(async {
                let expired = async {
                    async_io::Timer::after(DEADLINE).await;
                    panic!("not within the deadline");
                };
                futures_lite::future::or(future, expired).await
            }),
            Place::NoReactor => block_on(future),
        }
    }

    pub(crate) fn context(&self) -> Context {
        match self {
            Place::Tokio(_) => {
                Context::with_reactor(self.run(async { Reactor::tokio().expect("a reactor") }))
            }
            Place::AsyncIo => Context::with_reactor(Reactor::async_io()),
            Place::NoReactor => Context::new(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tokio(runtime) => {
                let threads = runtime.metrics().num_workers();
                write!(f, "tasks of tokio, in {threads} threads")
            }
            Place::AsyncIo => f.write_str("tasks of smol"),
            Place::NoReactor => f.write_str("tasks without a reactor"),
        }
    }
}
