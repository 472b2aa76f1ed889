//! `cargo bench --features bench-internals --bench micro`: single steps, in nanoseconds.
//!
//! For whoever works on one of them. On a machine that does other things too, `instructions` tells more.

use std::time::Duration;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use zerohop::__bench::{Subscriptions, decode, encode};
use zerohop::{Bytes, Context, Message, Options, Pub, Pull, Push, Sub};

/// Messages under way at once: below the high-water mark, so that nothing waits.
const BATCH: usize = 256;

fn main() {
    divan::main();
}

#[divan::bench(args = [8, 64, 1024])]
fn message_from_slice(bencher: Bencher<'_, '_>, size: usize) {
    let body = vec![7; size];
    bencher.bench_local(|| Message::from(black_box(&body[..])));
}

#[divan::bench]
fn message_from_shared(bencher: Bencher<'_, '_>) {
    let body = Bytes::from(vec![7; 64 * 1024]);
    bencher.bench_local(|| Message::from(black_box(body.clone())));
}

#[divan::bench(args = [8, 64, 256, 1024])]
fn encode_frames(bencher: Bencher<'_, '_>, size: usize) {
    let body = vec![7; size];
    let mut out = Vec::with_capacity(BATCH * (size + 9));
    bencher
        .counter(ItemsCount::new(BATCH))
        .counter(BytesCount::new(BATCH * size))
        .bench_local(|| {
            out.clear();
            for _ in 0..BATCH {
                encode(&mut out, black_box(&body));
            }
            out.len()
        });
}

#[divan::bench(args = [8, 64, 256, 1024])]
fn decode_frames(bencher: Bencher<'_, '_>, size: usize) {
    let mut traffic = Vec::new();
    for _ in 0..BATCH {
        encode(&mut traffic, &vec![7; size]);
    }
    bencher
        .counter(ItemsCount::new(BATCH))
        .bench_local(|| decode(black_box(&traffic)));
}

#[divan::bench(args = [1, 100, 100_000])]
fn subscription_match(bencher: Bencher<'_, '_>, topics: usize) {
    let mut subscriptions = Subscriptions::new();
    for number in 0..topics {
        subscriptions.insert(number % 8, format!("t{number:07}").as_bytes());
    }
    let message = format!("t{:07} and the rest", topics / 2);
    bencher.bench_local(|| subscriptions.matching(black_box(message.as_bytes())));
}

#[divan::bench(args = [64, 1024])]
fn inproc_send_and_recv(bencher: Bencher<'_, '_>, size: usize) {
    let context = Context::new();
    let pull = Pull::new(&context).unwrap();
    pull.bind("inproc://micro").unwrap();
    let push = Push::new(&context).unwrap();
    push.connect("inproc://micro").unwrap();
    let body = vec![7; size];
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            push.try_send(&body[..]).unwrap();
        }
        for _ in 0..BATCH {
            black_box(pull.recv().unwrap());
        }
    });
}

#[divan::bench(args = [1, 100, 10_000])]
fn inproc_publish_and_recv(bencher: Bencher<'_, '_>, topics: usize) {
    let context = Context::new();
    let publisher = Pub::with_options(&context, Options::new().pub_block(true)).unwrap();
    publisher.bind("inproc://micro").unwrap();
    let sub = Sub::new(&context).unwrap();
    for number in 0..topics {
        sub.subscribe(format!("t{number:07}")).unwrap();
    }
    sub.connect("inproc://micro").unwrap();
    let last = format!("t{:07}", topics - 1);
    let patience = Duration::from_secs(10);
    publisher.wait_for_subscribers(&last, 1, patience).unwrap();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            publisher.send(&last).unwrap();
        }
        for _ in 0..BATCH {
            black_box(sub.recv().unwrap());
        }
    });
}

/// What a stranger can make a server of CURVE do with 264 bytes: `--features bench-internals,curve`.
#[cfg(feature = "curve")]
#[divan::bench(args = [true, false])]
fn answer_hello(bencher: Bencher<'_, '_>, genuine: bool) {
    let hello = zerohop::__bench::Hello::new(genuine);
    assert_eq!(hello.answer() > 64, genuine);
    bencher.bench_local(|| black_box(&hello).answer());
}

/// Lengths of messages under CURVE.
#[cfg(feature = "curve")]
const SEALED: [usize; 5] = [64, 1024, 16_384, 65_536, 1 << 20];

/// What a message costs its sender under CURVE, beside what it costs without.
#[cfg(feature = "curve")]
#[divan::bench(args = SEALED)]
fn seal(bencher: Bencher<'_, '_>, size: usize) {
    let mut sealed = zerohop::__bench::Sealed::with_capacity(size);
    let body = vec![7; size];
    bencher.bench_local(|| sealed.seal(black_box(&body)));
}

/// The same for its receiver, with a copy to where it is opened.
#[cfg(feature = "curve")]
#[divan::bench(args = SEALED)]
fn open(bencher: Bencher<'_, '_>, size: usize) {
    let sealed = std::cell::RefCell::new(zerohop::__bench::Sealed::with_capacity(size));
    let body = vec![7; size];
    bencher
        .with_inputs(|| {
            let mut sealed = sealed.borrow_mut();
            assert!(sealed.seal(&body) > size);
            sealed.sealed()
        })
        .bench_local_refs(|message| sealed.borrow_mut().open(message));
}

/// Messages from a PUSH to a PULL over tcp, under CURVE and without, each with a thread of its own. The longer of `seal` and `open` is
/// what they would take if there were nothing but the boxes.
#[cfg(feature = "curve")]
#[divan::bench(args = SEALED, consts = [true, false])]
fn stream<const CURVE: bool>(bencher: Bencher<'_, '_>, size: usize) {
    let keys = |seed| zerohop::KeyPair::from(zerohop::SecretKey::from_bytes([seed; 32]));
    let (server, client) = match CURVE {
        true => (
            Options::new()
                .curve_server(keys(1))
                .allow([keys(2).public()]),
            Options::new().curve_client(&keys(2), keys(1).public()),
        ),
        false => (Options::new(), Options::new()),
    };
    let context = Context::new();
    let pull = Pull::with_options(&context, server).unwrap();
    let endpoint = pull.bind("tcp://127.0.0.1:*").unwrap();
    let sender = std::thread::spawn(move || {
        let push = Push::with_options(&Context::new(), client).unwrap();
        push.connect(&endpoint).unwrap();
        let body = vec![7; size];
        // Until the other end is gone.
        while push.send_timeout(&body[..], Duration::from_secs(1)).is_ok() {}
    });
    let batch = ((4 << 20) / size).clamp(4, 4096);
    let mut message = Message::new();
    pull.recv_into(&mut message).unwrap();
    bencher.counter(ItemsCount::new(batch)).bench_local(|| {
        for _ in 0..batch {
            pull.recv_into(&mut message).unwrap();
        }
    });
    drop(pull);
    sender.join().unwrap();
}
