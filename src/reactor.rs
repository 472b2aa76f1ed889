//! Reactors of runtimes, for [`Context::with_reactor`](crate::Context::with_reactor).

use std::sync::Arc;

use crate::engine::Reactor as EngineReactor;

#[cfg(feature = "async-io")]
mod async_io;
#[cfg(feature = "tokio")]
mod tokio;

/// The part of a runtime that waits in the kernel: it drives the sockets of a [`Context`](crate::Context) that tasks wait for. With the feature
/// `tokio` or `async-io`.
///
/// Without one, futures work on any runtime: the context's background thread takes in what comes, and wakes the tasks, which costs a hop from
/// thread to thread for each message that is waited for. With one, the thread of the runtime that hears of a message takes it in itself.
///
/// The futures of such a context still work everywhere, and threads may use its sockets at the same time. If the runtime ends, or nobody runs it,
/// the background thread goes on for it. So it does in a forked child for the reactor of the parent, which the child has only a copy of; that of
/// `async-io` is the parent's if sockets or anything else there have used it.
#[derive(Clone, Debug)]
pub struct Reactor(pub(crate) Arc<dyn EngineReactor>);

#[cfg(feature = "async-io")]
impl Reactor {
    /// That of the crate `async-io`, which smol and async-std have.
    ///
    /// ```
    /// use zerohop::{Context, Pull, Push, Reactor};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// async_io::block_on(async {
    ///     let context = Context::with_reactor(Reactor::async_io());
    ///     let (pull, push) = (Pull::new(&context)?, Push::new(&context)?);
    ///     push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
    ///     push.send_async("hello").await?;
    ///     assert_eq!(pull.recv_async().await?, "hello");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn async_io() -> Reactor {
        Reactor(Arc::new(async_io::AsyncIo))
    }
}

#[cfg(feature = "tokio")]
impl Reactor {
    /// That of the tokio runtime in which this is called.
    ///
    /// # Errors
    ///
    /// This is not called in a runtime, or it has no I/O (`enable_io`), or the system refused a descriptor.
    ///
    /// ```
    /// use zerohop::{Context, Pull, Push, Reactor};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    /// runtime.block_on(async {
    ///     let context = Context::with_reactor(Reactor::tokio()?);
    ///     let (pull, push) = (Pull::new(&context)?, Push::new(&context)?);
    ///     push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
    ///     push.send_async("hello").await?;
    ///     assert_eq!(pull.recv_async().await?, "hello");
    ///     Ok(())
    /// })
    /// # }
    /// ```
    pub fn tokio() -> std::io::Result<Reactor> {
        Ok(Reactor(Arc::new(tokio::Tokio::current()?)))
    }
}
