//! What must not be done under a lock, because code of the application runs in it: to drop what it owns, to wake its tasks, to log,
//! and to have it decide who is let in, or who gets how much.
//!
//! The `Drop` of the owner of a [`Bytes`], a task's [`Waker`], or the application's logger, may use the very socket, or block, or panic. So
//! whoever holds a lock puts such things here, by way of the pool that all buffers have at hand, and they are done when
//! the state lock has been released. Each by itself: a panic, of which the panic hook has told already, ends neither the others nor the
//! thread, which may be the caretaker.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

use bytes::Bytes;
use log::Level;

use crate::auth::Ask;
use crate::engine::inproc::{link::InprocLink, names::Offer};
use crate::engine::peer::listen::Listening;
use crate::engine::peer::shares::AskShare;
use crate::message::Message;
use crate::transport::Unwanted;

/// See the module.
#[derive(Default)]
pub(crate) struct Later {
    tasks: Vec<Task>,
}

/// What is dropped, woken or logged.
enum Task {
    Nothing,
    Wake(Waker),
    Waker(Waker),
    Bytes(Bytes),
    Message(Message),
    /// With the messages in its channels.
    Link(Box<InprocLink>),
    Offer(Box<Offer>),
    /// Its file is removed, of which it may log.
    Listener(Box<Listening>),
    /// With what was left for sockets that are gone.
    Lookups(Unwanted),
    /// Whether a peer is let in.
    Ask(Box<Ask>),
    /// How much a peer is to get.
    AskShare(Box<AskShare>),
    /// The level, which part of the library says it, and the text.
    Log(Level, &'static str, String),
}

impl Later {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.tasks.len()
    }

    pub(crate) fn append(&mut self, other: &mut Later) {
        self.tasks.append(&mut other.tasks);
    }

    /// Drops what nobody else holds and is memory of the allocator at once, and anything else later.
    pub(crate) fn drop_bytes(&mut self, bytes: Bytes) {
        if !bytes.is_unique() {
            self.tasks.push(Task::Bytes(bytes));
        }
    }

    /// The same for all frames of a message.
    pub(crate) fn drop_message(&mut self, message: Message) {
        if message.frames().any(crate::Frame::is_foreign) {
            self.tasks.push(Task::Message(message));
        }
    }

    /// Whoever releases the lock is to see to what there is to do, which is to tell those who wait.
    pub(crate) fn prompt(&mut self) {
        self.tasks.push(Task::Nothing);
    }

    pub(crate) fn wake(&mut self, waker: Waker) {
        self.tasks.push(Task::Wake(waker));
    }

    pub(crate) fn drop_waker(&mut self, waker: Waker) {
        self.tasks.push(Task::Waker(waker));
    }

    pub(crate) fn drop_link(&mut self, link: Box<InprocLink>) {
        self.tasks.push(Task::Link(link));
    }

    pub(crate) fn drop_offer(&mut self, offer: Box<Offer>) {
        self.tasks.push(Task::Offer(offer));
    }

    pub(crate) fn ask(&mut self, ask: Ask) {
        self.tasks.push(Task::Ask(Box::new(ask)));
    }

    pub(crate) fn ask_share(&mut self, ask: AskShare) {
        self.tasks.push(Task::AskShare(Box::new(ask)));
    }

    pub(crate) fn drop_listener(&mut self, listener: Listening) {
        self.tasks.push(Task::Listener(Box::new(listener)));
    }

    pub(crate) fn drop_lookups(&mut self, lookups: Unwanted) {
        if !lookups.is_empty() {
            self.tasks.push(Task::Lookups(lookups));
        }
    }

    /// Whether the logger wants it is not asked before either.
    pub(crate) fn log(&mut self, level: Level, text: fmt::Arguments<'_>) {
        self.log_of("zerohop::engine", level, text);
    }

    /// The same for an event, which whoever has a monitor hears of otherwise, too.
    pub(crate) fn log_event(&mut self, level: Level, text: fmt::Arguments<'_>) {
        self.log_of("zerohop::monitor", level, text);
    }

    fn log_of(&mut self, module: &'static str, level: Level, text: fmt::Arguments<'_>) {
        if level <= log::max_level() {
            self.tasks.push(Task::Log(level, module, text.to_string()));
        }
    }

    /// Does all of it. With no lock held.
    pub(crate) fn run(self) {
        for task in self.tasks {
            contain(|| match task {
                Task::Log(level, module, text) => log_line(level, module, &text),
                Task::Nothing => {}
                Task::Wake(waker) => waker.wake(),
                Task::Waker(waker) => drop(waker),
                Task::Bytes(bytes) => drop(bytes),
                Task::Message(message) => drop(message),
                Task::Link(link) => drop(link),
                Task::Offer(offer) => drop(offer),
                Task::Listener(listener) => drop(listener),
                Task::Lookups(lookups) => drop(lookups),
                Task::Ask(ask) => ask.start(),
                Task::AskShare(ask) => ask.run(),
            });
        }
    }
}

impl fmt::Debug for Later {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Later").finish_non_exhaustive()
    }
}

/// Hands a line to the application's logger, under the one target of this library.
fn log_line(level: Level, module: &'static str, text: &str) {
    let mut record = log::Record::builder();
    record
        .level(level)
        .target("zerohop")
        .module_path_static(Some(module));
    log::logger().log(&record.args(format_args!("{text}")).build());
}

/// Runs code of the application, and lets no panic of it through.
pub(crate) fn contain(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        // Its own `Drop` could panic, too.
        std::mem::forget(payload);
    }
}
