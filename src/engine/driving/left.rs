//! What a thread has left to gather on a socket, and writes by itself before it waits, or goes on to another socket.
//!
//! A thread that serves many sockets in turn leaves a few messages on each, and its next call may be for any of the others. The caretaker is told
//! of them, as of all messages that gather, and writes them if the thread does not come back. But a thread that is about to leave something
//! on another socket, or to wait, is there, and has the messages in its cache: so it writes first. Then the caretaker finds that nothing gathers, without a
//! lock.
//!
//! A thread remembers one socket. It does so only when it begins to gather, so that no other message costs anything, and only where it waits between its
//! messages ([`Tempo`](crate::engine::tempo::Tempo)): one that streams to many sockets in turn is to gather more on each before it writes.

use std::cell::RefCell;
use std::sync::Weak;

use crate::engine::tempo::Thread;

/// A socket that messages were left on.
pub(crate) trait LeftOn: Send + Sync {
    /// Writes what gathers there, if anything does. With no lock held.
    fn write_left(&self) -> bool;
}

thread_local! {
    static LAST: RefCell<Option<Weak<dyn LeftOn>>> = const { RefCell::new(None) };
}

/// This thread has begun to have messages gather on a socket: writes what it has left on the one before. With no lock held.
pub(crate) fn leave(socket: Weak<dyn LeftOn>) {
    // A thread that ends has no such memory any more.
    let last = LAST.try_with(|last| {
        let mut last = last.borrow_mut();
        let same = last.as_ref().is_some_and(|last| last.ptr_eq(&socket));
        (same, last.replace(socket))
    });
    match last {
        // Others have written what it had left.
        Ok((true, _)) => Thread::current(|thread| thread.finished(false)),
        Ok((false, last)) => write(last),
        // Nobody but the caretaker writes what this thread leaves from now on, and so is to make haste.
        Err(_) => Thread::current(|thread| thread.finished(false)),
    }
}

/// Whether this thread has left something, as far as it knows.
pub(crate) fn is_there() -> bool {
    LAST.try_with(|last| last.borrow().is_some())
        .unwrap_or(false)
}

/// This thread is about to wait: writes what it has left. With no lock held.
pub(crate) fn write_all() {
    let last = LAST.try_with(RefCell::take);
    write(last.ok().flatten());
}

fn write(last: Option<Weak<dyn LeftOn>>) {
    if let Some(last) = last.and_then(|last| last.upgrade()) {
        let written = last.write_left();
        Thread::current(|thread| thread.finished(written));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is written to.
    #[derive(Default)]
    struct Socket(AtomicUsize);

    impl LeftOn for Socket {
        fn write_left(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            true
        }
    }

    fn sockets<const N: usize>() -> [Arc<Socket>; N] {
        std::array::from_fn(|_| Arc::default())
    }

    fn leave_on(socket: &Arc<Socket>) {
        let socket = Arc::downgrade(socket);
        leave(socket as Weak<dyn LeftOn>);
    }

    fn written<const N: usize>(sockets: &[Arc<Socket>; N]) -> [usize; N] {
        std::array::from_fn(|n| sockets[n].0.load(Ordering::Relaxed))
    }

    #[test]
    fn who_goes_on_to_another_socket_writes_on_the_last() {
        let sockets = sockets::<3>();
        for socket in &sockets {
            leave_on(socket);
        }
        assert_eq!(written(&sockets), [1, 1, 0]);
        assert!(is_there());
    }

    #[test]
    fn who_waits_writes_once() {
        let sockets = sockets::<1>();
        leave_on(&sockets[0]);
        write_all();
        assert!(!is_there());
        write_all();
        assert_eq!(written(&sockets), [1]);
    }

    #[test]
    fn who_begins_again_on_the_same_socket_has_had_it_written_by_others() {
        let sockets = sockets::<1>();
        leave_on(&sockets[0]);
        leave_on(&sockets[0]);
        assert_eq!(written(&sockets), [0]);
    }

    #[test]
    fn threads_leave_each_for_themselves() {
        let sockets = sockets::<2>();
        std::thread::scope(|scope| {
            for socket in &sockets {
                scope.spawn(|| leave_on(socket));
            }
        });
        assert!(!is_there());
        assert_eq!(written(&sockets), [0, 0]);
    }

    #[test]
    fn a_socket_that_is_gone_is_forgotten() {
        let [first, second] = sockets::<2>();
        leave_on(&first);
        let gone = Arc::downgrade(&first);
        drop(first);
        assert_eq!(gone.strong_count(), 0);
        leave_on(&second);
        write_all();
        assert_eq!(written(&[second]), [1]);
    }
}
