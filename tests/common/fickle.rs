//! Tasks that drop their futures at random.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// The same numbers each time.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Drops its future at random: `None`. When it has just waited, when it has been woken and not looked yet, or never.
pub(crate) struct Fickle<'a, F> {
    future: Option<Pin<Box<F>>>,
    random: &'a mut Random,
    has_waited: bool,
}

pub(crate) fn fickle<'a, F: Future>(future: F, random: &'a mut Random) -> Fickle<'a, F> {
    Fickle {
        future: Some(Box::pin(future)),
        random,
        has_waited: false,
    }
}

impl<F: Future> Future for Fickle<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let gives_up = self.random.below(4) == 0;
        let gives_up = gives_up && self.has_waited;
        if !gives_up && let Some(future) = &mut self.future {
            if let Poll::Ready(result) = future.as_mut().poll(context) {
                return Poll::Ready(Some(result));
            }
            self.has_waited = true;
            if self.random.below(4) > 0 {
                return Poll::Pending;
            }
        }
        self.future = None;
        Poll::Ready(None)
    }
}

/// Lets the other tasks of the thread go first.
pub(crate) async fn give_way() {
    let mut gave_way = false;
    std::future::poll_fn(|context| {
        if std::mem::replace(&mut gave_way, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
