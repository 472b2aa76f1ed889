//! Calls as futures, for a task on any runtime.
//!
//! A future has taken nothing and sent nothing before it is ready, so it can be dropped at any time. With each poll it does what a call
//! that does not wait does. Once it has been ready it is pending for ever. What comes meanwhile the context's background thread takes in, and wakes the task.
//!
//! Where a message is always there, or always room, none of them has to wait. Now and then one [gives way](super::giving_way) all the same, so that a peer that
//! sends without end does not keep the runtime from its timers and other tasks.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::giving_way::{gives_way, looks_at_clock, note, note_ready};
use super::{Refused, Socket, send_error};
use crate::engine::{Core, Interest, Key, Net, Outgoing, TaskCall};
use crate::error::{RecvError, SendError, SendErrorKind};
use crate::message::{Message, Payload};
use crate::pattern::{Pattern, Receiving, Sending};

/// Receives what `take` takes: a message, of which each goes to one task.
pub(super) fn receive<P: Pattern, T>(
    core: &Core<P>,
    take: impl FnMut(&mut P, &mut Net) -> Option<T> + Unpin,
) -> impl Future<Output = Result<T, RecvError>> + Unpin {
    receive_as(core, take, |taken| taken)
}

/// The same, and makes something of it once nothing is locked.
pub(super) fn receive_as<P: Pattern, T, R>(
    core: &Core<P>,
    mut take: impl FnMut(&mut P, &mut Net) -> Option<T> + Unpin,
    mut make: impl FnMut(T) -> R + Unpin,
) -> impl Future<Output = Result<R, RecvError>> + Unpin {
    let mut call = TaskCall::new(core);
    let mut was_ready = false;
    poll_fn(move |context| {
        if was_ready {
            return Poll::Pending;
        }
        let received = poll_receive(core, context, call.waits(), &mut take);
        was_ready = received.is_ready();
        received.map_ok(&mut make)
    })
}

/// Makes something else of what is received.
pub(super) fn made_of<T, R>(
    mut received: impl Future<Output = Result<T, RecvError>> + Unpin,
    mut make: impl FnMut(T) -> R,
) -> impl Future<Output = Result<R, RecvError>> {
    poll_fn(move |context| Pin::new(&mut received).poll(context).map_ok(&mut make))
}

/// One poll of a task that receives. `waits` is what it has from the last time.
pub(super) fn poll_receive<P: Pattern, T>(
    core: &Core<P>,
    context: &Context<'_>,
    waits: &mut Option<Key>,
    mut take: impl FnMut(&mut P, &mut Net) -> Option<T>,
) -> Poll<Result<T, RecvError>> {
    let is_new = waits.is_none();
    if is_new {
        if gives_way(context) {
            return Poll::Pending;
        }
        if let Some(taken) = core.at_once(&mut take) {
            note_ready();
            return Poll::Ready(Ok(taken));
        }
    }
    let received = core.poll_task(context, waits, Interest::Message, take);
    note(is_new, received.map_err(RecvError::from))
}

/// Polls what `async` has made, which must not be polled again when it has been ready: then it is pending.
pub(super) fn poll_once<F: Future>(
    future: &mut Option<Pin<Box<F>>>,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    let Some(running) = future else {
        return Poll::Pending;
    };
    let output = running.as_mut().poll(context);
    if output.is_ready() {
        *future = None;
    }
    output
}

/// Sends a message as `attempt` does, which gives nothing while there is no room.
pub(super) fn send<P: Pattern, M: Payload, T, E: Into<Refused>>(
    core: &Core<P>,
    message: M,
    attempt: impl FnMut(&mut P, &mut Net, Outgoing<'_>) -> Option<Result<T, E>>,
) -> impl Future<Output = Result<T, SendError>> {
    poll_fn(sender(core, message, attempt))
}

/// What a future that sends does with each poll.
fn sender<P: Pattern, M: Payload, T, E: Into<Refused>>(
    core: &Core<P>,
    message: M,
    mut attempt: impl FnMut(&mut P, &mut Net, Outgoing<'_>) -> Option<Result<T, E>>,
) -> impl FnMut(&mut Context<'_>) -> Poll<Result<T, SendError>> {
    let mut call = TaskCall::new(core);
    let mut message = Unsent::new(message);
    move |context| poll_send(core, context, call.waits(), &mut message, &mut attempt)
}

/// One poll of a task that sends. `waits` is what it has from the last time. Nothing is left of a message that is sent, or fails.
pub(super) fn poll_send<P: Pattern, M: Payload, T, E: Into<Refused>>(
    core: &Core<P>,
    context: &Context<'_>,
    waits: &mut Option<Key>,
    message: &mut Unsent<M>,
    mut attempt: impl FnMut(&mut P, &mut Net, Outgoing<'_>) -> Option<Result<T, E>>,
) -> Poll<Result<T, SendError>> {
    let Some(outgoing) = message.outgoing() else {
        // It has been ready before.
        return Poll::Pending;
    };
    let mut attempt = |pattern: &mut P, net: &mut Net| attempt(pattern, net, outgoing);
    let is_new = waits.is_none();
    if is_new && gives_way(context) {
        return Poll::Pending;
    }
    let at_once = match is_new {
        true => core.at_once(&mut attempt),
        false => None,
    };
    let sent = match at_once {
        Some(sent) => sent.map_err(Into::into),
        None => match core.poll_task(context, waits, Interest::Own, attempt) {
            Poll::Pending => return note(is_new, Poll::Pending),
            Poll::Ready(Ok(sent)) => sent.map_err(Into::into),
            Poll::Ready(Err(shut)) => Err(SendErrorKind::from(shut).into()),
        },
    };
    let message = std::mem::replace(message, Unsent::Gone);
    let sent = Poll::Ready(sent.map_err(|refused| send_error(refused, message.into_message())));
    note(is_new, sent)
}

/// What is to be sent, until it is.
pub(crate) enum Unsent<M> {
    Payload(M),
    /// It is not best copied from where it is.
    Message(Message),
    /// It is sent, or has been given back.
    Gone,
}

impl<M: Payload> Unsent<M> {
    pub(super) fn new(payload: M) -> Self {
        match payload.as_single() {
            Some(_) => Unsent::Payload(payload),
            None => Unsent::Message(payload.into_message()),
        }
    }

    /// `None`: it is gone.
    pub(super) fn outgoing(&self) -> Option<Outgoing<'_>> {
        match self {
            Unsent::Payload(payload) => payload.as_single().map(Outgoing::Slice),
            Unsent::Message(message) => Some(Outgoing::Message(message)),
            Unsent::Gone => None,
        }
    }

    /// To give it back.
    pub(super) fn into_message(self) -> Message {
        match self {
            Unsent::Payload(payload) => payload.into_message(),
            Unsent::Message(message) => message,
            Unsent::Gone => Message::new(),
        }
    }
}

impl<P: Receiving + 'static> Socket<P> {
    pub(super) fn recv_async(&self) -> impl Future<Output = Result<Message, RecvError>> {
        let mut call = TaskCall::new(self.core());
        // Nothing once it has been ready.
        let mut socket = Some(self);
        poll_fn(move |context| {
            let Some(receiver) = socket else {
                return Poll::Pending;
            };
            if call.is_new() && !looks_at_clock() {
                let mut message = Message::new();
                let received = receiver
                    .core()
                    .at_once(|pattern, net| pattern.recv(&mut net.peers, &mut message));
                if received.is_some() {
                    socket = None;
                    note_ready();
                    return Poll::Ready(Ok(message));
                }
            }
            let received = receiver.poll_recv(&mut call, context);
            if received.is_ready() {
                socket = None;
            }
            received
        })
    }

    /// For when there is no message at once, or it may be another task's turn. A function of its own, as its place on the stack is larger by
    /// far than what it takes to receive one that is there.
    #[inline(never)]
    fn poll_recv(
        &self,
        call: &mut TaskCall<'_, P>,
        context: &Context<'_>,
    ) -> Poll<Result<Message, RecvError>> {
        poll_receive(call.core(), context, call.waits(), next_message)
    }
}

impl<P: Sending + 'static> Socket<P> {
    pub(super) fn send_async<M: Payload>(
        &self,
        message: M,
    ) -> impl Future<Output = Result<P::Sent, SendError>> {
        let mut way = Way::New(message);
        poll_fn(move |context| {
            if let Way::New(message) = &way
                && let Some(slice) = message.as_single()
                && !looks_at_clock()
                && let Some(sent) = self.send_slice_at_once(slice)
            {
                way = Way::Gone;
                note_ready();
                return Poll::Ready(Ok(sent));
            }
            if matches!(way, Way::New(_))
                && let Way::New(message) = std::mem::replace(&mut way, Way::Gone)
            {
                way = match (P::sent_stored(), self.spool()) {
                    (Some(sent), Some(spool)) => Way::Stored(Some(Box::pin(async move {
                        self.store_in_task(spool, message).await.map(|()| sent)
                    }))),
                    _ => Way::Plain(sender(self.core(), message, attempt_to_send)),
                };
            }
            match &mut way {
                Way::Plain(send) => send(context),
                Way::Stored(store) => poll_once(store, context),
                // It has been ready before.
                Way::New(_) | Way::Gone => Poll::Pending,
            }
        })
    }
}

/// How far a task is with what it sends.
enum Way<M, S, F> {
    /// It has not been polled. For most messages there is room at once, and no more is made of them than this.
    New(M),
    Plain(S),
    /// By way of a spool.
    Stored(Option<Pin<Box<F>>>),
    /// It is sent, or has been given back.
    Gone,
}

/// One attempt to receive.
pub(super) fn next_message<P: Receiving>(pattern: &mut P, net: &mut Net) -> Option<Message> {
    let mut message = Message::new();
    pattern.recv(&mut net.peers, &mut message)?;
    Some(message)
}

/// One attempt to send. `None`: there is no room.
pub(super) fn attempt_to_send<P: Sending>(
    pattern: &mut P,
    net: &mut Net,
    outgoing: Outgoing<'_>,
) -> Option<Result<P::Sent, Refused>> {
    if P::SINGLE {
        let parts = outgoing.extent().1;
        if parts > 1 {
            return Some(Err(SendErrorKind::Multipart { parts }.into()));
        }
    }
    let sent = pattern.send(&mut net.peers, outgoing);
    net.pace(pattern, outgoing, sent.is_some());
    match sent {
        Some(sent) => Some(Ok(sent)),
        None => {
            let kind = pattern.refusal(&net.peers, outgoing)?;
            Some(Err(Refused::new(kind, net.shortage())))
        }
    }
}
