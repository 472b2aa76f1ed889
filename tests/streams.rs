//! Sockets as streams and sinks.

mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
}

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};
use std::thread;
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use futures_sink::Sink;
use zerohop::{
    Context, Dealer, Message, Options, Payload, Pull, Push, RecvSocket, RecvStream, Router,
    SendError, SendErrorKind, SendSink, SendSocket,
};

use common::block_on::block_on;
use common::deadline::DEADLINE;

fn pair(options: Options) -> (Push, Pull) {
    let options = options.linger(Duration::ZERO);
    let context = Context::new();
    let push = Push::with_options(&context, options.clone()).expect("a PUSH");
    let pull = Pull::with_options(&context, options).expect("a PULL");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    (push, pull)
}

async fn next<S: std::ops::Deref<Target: RecvSocket>>(
    stream: &mut RecvStream<S>,
) -> Option<Message> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

/// What `SinkExt::feed` does.
async fn feed<S, M: Payload>(sink: &mut SendSink<S, M>, message: M) -> Result<(), SendError>
where
    S: std::ops::Deref<Target: SendSocket>,
{
    poll_fn(|context| Pin::new(&mut *sink).poll_ready(context)).await?;
    Pin::new(sink).start_send(message)
}

async fn flush<S, M: Payload>(sink: &mut SendSink<S, M>) -> Result<(), SendError>
where
    S: std::ops::Deref<Target: SendSocket>,
{
    poll_fn(|context| Pin::new(&mut *sink).poll_flush(context)).await
}

/// Whether it is ready when it is looked at once, by nobody whom it could wake.
fn once<T>(look: impl FnOnce(&mut TaskContext<'_>) -> Poll<T>) -> Poll<T> {
    look(&mut TaskContext::from_waker(Waker::noop()))
}

/// At low marks, so that both wait again and again; the sockets belong to their streams.
#[test]
fn carries_from_sink_to_stream() {
    const COUNT: u32 = 5_000;
    let (push, pull) = pair(Options::new().send_hwm(20).recv_hwm(20));
    let pull = Arc::new(pull);
    let receiver = {
        let mut stream = RecvStream::new(Arc::clone(&pull));
        thread::spawn(move || {
            block_on(async {
                for number in 0..COUNT {
                    let message = next(&mut stream).await.expect("a message");
                    assert_eq!(message, number.to_be_bytes());
                }
            });
        })
    };
    let mut sink = SendSink::new(Box::new(push));
    block_on(async {
        for number in 0..COUNT {
            feed(&mut sink, number.to_be_bytes()).await.expect("taken");
        }
        flush(&mut sink).await.expect("sent");
    });
    receiver.join().expect("received");
    assert!(sink.take_unsent().is_none());
}

#[test]
fn a_stream_ends_with_its_socket() {
    let (push, pull) = pair(Options::new());
    let mut stream = RecvStream::new(&pull);
    push.send("1").expect("sent");
    assert_eq!(block_on(next(&mut stream)).expect("a message"), "1");
    thread::scope(|scope| {
        scope.spawn(|| pull.shutdown());
        assert_eq!(block_on(next(&mut stream)), None);
    });
    assert!(stream.is_terminated());
    assert_eq!(block_on(next(&mut stream)), None);
}

/// A stream that is dropped while it waits, or when it has been woken, takes nothing along.
#[test]
fn a_dropped_stream_passes_its_wake_up_on() {
    let (push, pull) = pair(Options::new());
    for number in 0..200_u32 {
        let mut dropped = RecvStream::new(&pull);
        assert!(once(|context| Pin::new(&mut dropped).poll_next(context)).is_pending());
        thread::scope(|scope| {
            let other = scope.spawn(|| block_on(next(&mut RecvStream::new(&pull))));
            push.send(number.to_be_bytes()).expect("sent");
            drop(dropped);
            let message = other.join().expect("received").expect("a message");
            assert_eq!(message, number.to_be_bytes());
        });
    }
}

/// A sink whose peer has no room holds the one message, and gives it back.
#[test]
fn a_sink_without_room_gives_its_message_back() {
    let push = Push::new(&Context::new()).expect("a PUSH");
    let mut sink = SendSink::new(&push);
    block_on(feed(&mut sink, "kept")).expect("taken");
    assert!(once(|context| Pin::new(&mut sink).poll_ready(context)).is_pending());
    assert!(once(|context| Pin::new(&mut sink).poll_close(context)).is_pending());
    assert_eq!(sink.take_unsent().expect("a message"), "kept");
    assert!(once(|context| Pin::new(&mut sink).poll_close(context)).is_ready());
    block_on(feed(&mut sink, "back")).expect("taken");
    push.shutdown();
    let error = block_on(flush(&mut sink)).expect_err("it is closed");
    assert_eq!(error.kind(), SendErrorKind::Closed);
    assert_eq!(error.into_message(), "back");
}

/// ROUTER in libzmq's form.
#[test]
fn routes_by_stream_and_sink() {
    let context = Context::new();
    let router = Router::new(&context).expect("a ROUTER");
    let dealer = Dealer::new(&context).expect("a DEALER");
    dealer
        .connect(router.bind("inproc://streams").expect("bound"))
        .expect("connected");
    dealer.send("ask").expect("sent");
    let (mut asked, mut answers) = (RecvStream::new(&router), SendSink::new(&router));
    block_on(async {
        let mut message = next(&mut asked).await.expect("a message");
        assert_eq!(message.parts(), 2);
        message.push_back("more");
        feed(&mut answers, message).await.expect("taken");
        flush(&mut answers).await.expect("sent");
    });
    let answer = dealer.recv_timeout(DEADLINE).expect("an answer");
    assert_eq!(answer, ["ask", "more"]);
}
