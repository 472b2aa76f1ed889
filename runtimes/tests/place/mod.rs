//! Runtimes, and contexts that they drive.

use tokio::runtime::{Builder, Runtime};
use zerohop::{Context, Reactor};

use crate::common::deadline::DEADLINE;

/// Where a future is run.
pub(crate) enum Place {
    Tokio(Runtime),
    AsyncIo,
}

impl Place {
    pub(crate) fn one_thread() -> Place {
        let runtime = Builder::new_current_thread().enable_all().build();
        Place::Tokio(runtime.expect("a runtime"))
    }

    pub(crate) fn all() -> [Place; 3] {
        let several = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let several = several.expect("a runtime");
        [Place::one_thread(), Place::Tokio(several), Place::AsyncIo]
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
        }
    }

    pub(crate) fn context(&self) -> Context {
        Context::with_reactor(match self {
            Place::Tokio(_) => self.run(async { Reactor::tokio().expect("a reactor") }),
            Place::AsyncIo => Reactor::async_io(),
        })
    }
}
