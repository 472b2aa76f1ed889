//! Futures of all kinds are dropped at random, by tasks in several threads at low marks: each message that a future said was sent arrives,
//! once, and no other. `futures.rs` has what a single future does.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod fickle;
    pub(crate) mod run_all;
    pub(crate) mod unique;
}

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use zerohop::spool::{Spool, Sync};
use zerohop::{
    AnySocket, Channel, Client, Context, Dealer, Delivery, Dish, Gather, Job, Message, Options,
    Peer, Pull, Push, Radio, Receipt, RecvError, Routed, Router, Scatter, SendError, Server,
    Upstream, Xpub, Xsub,
};

use common::deadline::DEADLINE;
use common::fickle::{Random, fickle, give_way};
use common::run_all::{Task, run_all};
use common::unique;

const THREADS: usize = 2;
const TASKS: usize = 4;

/// So low that nearly everybody has to wait.
fn low() -> Options {
    Options::new()
        .send_hwm(2)
        .recv_hwm(2)
        .linger(Duration::ZERO)
}

/// Two sockets that are connected.
fn two<A: AnySocket, B: AnySocket>(sending: Options, receiving: Options) -> (A, B) {
    let context = Context::new();
    let from = A::with_options(&context, sending).expect("a socket");
    let to = B::with_options(&context, receiving).expect("a socket");
    let endpoint = to.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    from.connect(&endpoint).expect("connected");
    from.wait_for_peers(1, DEADLINE).expect("a peer");
    to.wait_for_peers(1, DEADLINE).expect("a peer");
    (from, to)
}

/// Sends so many messages in each of several tasks, and receives them in as many others, all of which drop their futures at random.
///
/// `send` gives what is known of a message that is sent, `None` if it is not sent; `then` is what its task does next.
/// `receive` gives the number of a message. `end` ends all calls of those who receive.
fn play<T, S, N, R>(
    each: usize,
    send: impl Fn([u8; 4]) -> S + std::marker::Sync,
    then: impl Fn(T, Random) -> N + std::marker::Sync,
    receive: impl Fn() -> R + std::marker::Sync,
    end: impl Fn() + std::marker::Sync,
) where
    T: Send,
    S: Future<Output = Result<Option<T>, SendError>> + Send,
    N: Future<Output = ()> + Send,
    R: Future<Output = Result<u32, RecvError>> + Send,
{
    let count = THREADS * TASKS * each;
    let (seen, dropped) = (&Mutex::new(Vec::new()), &AtomicUsize::new(0));
    let all_sent = &AtomicUsize::new(0);
    let (send, then, receive, end) = (&send, &then, &receive, &end);
    let receiver = |number: usize| -> Task<'_> {
        let mut random = Random::new(0x8000 | number as u64);
        Box::pin(async move {
            loop {
                match fickle(receive(), &mut random).await {
                    None => {
                        dropped.fetch_add(1, Ordering::Relaxed);
                        for _ in 0..random.below(3) {
                            give_way().await;
                        }
                    }
                    Some(Ok(number)) => {
                        let mut seen = seen.lock().expect("the numbers");
                        seen.push(number);
                        if seen.len() == count {
                            end();
                        }
                    }
                    Some(Err(error)) => return assert_eq!(error, RecvError::Closed),
                }
            }
        })
    };
    let sender = |task: usize| -> Task<'_> {
        let mut random = Random::new(task as u64);
        Box::pin(async move {
            for number in task * each..(task + 1) * each {
                let sent = loop {
                    match fickle(send((number as u32).to_be_bytes()), &mut random).await {
                        Some(Ok(Some(sent))) => break sent,
                        Some(Ok(None)) => {}
                        Some(Err(error)) => panic!("{error}"),
                        None => drop(dropped.fetch_add(1, Ordering::Relaxed)),
                    }
                    give_way().await;
                };
                then(sent, random.clone()).await;
                let sent = all_sent.fetch_add(1, Ordering::Relaxed) + 1;
                if random.below(8) == 0 {
                    // Until those who receive have nothing to do, and wait.
                    while seen.lock().expect("the numbers").len() < sent {
                        give_way().await;
                    }
                }
            }
        })
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let tasks = thread * TASKS..(thread + 1) * TASKS;
            let (senders, receivers) = (tasks.clone(), tasks);
            scope.spawn(move || run_all(senders.map(sender).collect()));
            scope.spawn(move || run_all(receivers.map(receiver).collect()));
        }
    });
    let mut seen = seen.lock().expect("the numbers");
    seen.sort_unstable();
    let all: Vec<u32> = (0..count as u32).collect();
    assert!(*seen == all, "lost or doubled: {} of {count}", seen.len());
    let dropped = dropped.load(Ordering::Relaxed);
    assert!(dropped > 10, "only {dropped} were dropped");
}

/// For those who do nothing with what they are told.
async fn nothing<T>(_: T, _: Random) {}

fn number(message: &Message) -> u32 {
    let number = message.first().as_slice().try_into();
    u32::from_be_bytes(number.expect("four bytes"))
}

/// The job's work is to be counted.
fn work(job: Job) -> u32 {
    let number = number(job.message());
    job.settle().expect("settled");
    number
}

/// Where a spool is, until it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        Folder(std::env::temp_dir().join(unique::name()))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A PUSH with a spool, and a PULL that takes its jobs.
fn stored(folder: &Folder, sync: Sync) -> (Push, Pull) {
    let delivery = Delivery::at_least_once().window(4);
    let spool = Spool::at(&folder.0).sync(sync);
    let sending = low().delivery(delivery.clone().spool(spool));
    two(sending, low().delivery(delivery))
}

#[test]
fn of_sends_by_way_of_a_spool() {
    for (sync, each) in [(Sync::Os, 100), (Sync::Disk, 25)] {
        let folder = Folder::new();
        let (push, pull) = stored(&folder, sync);
        play(
            each,
            async |bytes| push.send_async(bytes).await.map(Some),
            nothing,
            async || pull.recv_job_async().await.map(work),
            || pull.shutdown(),
        );
    }
}

#[test]
fn of_receipts_that_wait_until_a_message_is_safe() {
    for (sync, each) in [(Sync::Os, 100), (Sync::Disk, 25)] {
        let folder = Folder::new();
        let (push, pull) = stored(&folder, sync);
        let wait = async |receipt: Receipt, mut random: Random| {
            while fickle(receipt.durable_async(), &mut random)
                .await
                .map(|safe| safe.expect("safe"))
                .is_none()
            {
                give_way().await;
            }
        };
        play(
            each,
            async |bytes| push.send_later_async(bytes).await.map(Some),
            wait,
            async || {
                let job = pull.recv_job_from_async().await;
                job.map(|(job, _)| work(job))
            },
            || pull.shutdown(),
        );
    }
}

const EACH: usize = 300;

#[test]
fn of_sends_to_one_peer_of_several() {
    let (dealer, router) = two::<Dealer, Router>(low().routing_id("dealer"), low());
    play(
        EACH,
        async |bytes| {
            // Where it waits for nobody, it says that it is dropped.
            let routed = router.send_to_async("dealer", bytes).await?;
            Ok((routed == Routed::Queued).then_some(()))
        },
        nothing,
        async || dealer.recv_async().await.map(|message| number(&message)),
        || dealer.shutdown(),
    );

    let (client, server) = two::<Client, Server>(low(), low());
    let peer = server.peers()[0];
    play(
        EACH,
        async |bytes| server.send_to_async(peer, bytes).await.map(Some),
        nothing,
        async || client.recv_async().await.map(|message| number(&message)),
        || client.shutdown(),
    );

    let (here, there) = two::<Peer, Peer>(low(), low());
    let peer = here.peers()[0];
    play(
        EACH,
        async |bytes| here.send_to_async(peer, bytes).await.map(Some),
        nothing,
        async || there.recv_async().await.map(|it| number(&it.message)),
        || there.shutdown(),
    );
}

#[test]
fn of_receives_that_tell_who_has_sent() {
    let (dealer, router) = two::<Dealer, Router>(low(), low());
    play(
        EACH,
        async |bytes| dealer.send_async(bytes).await.map(Some),
        nothing,
        async || router.recv_async().await.map(|it| number(&it.message)),
        || router.shutdown(),
    );

    let (client, server) = two::<Client, Server>(low(), low());
    play(
        EACH,
        async |bytes| client.send_async(bytes).await.map(Some),
        nothing,
        async || {
            let received = server.recv_from_async().await;
            received.map(|(it, _)| number(&it.message))
        },
        || server.shutdown(),
    );

    let (push, pull) = two::<Push, Pull>(low(), low());
    play(
        EACH,
        async |bytes| push.send_async(bytes).await.map(Some),
        nothing,
        async || {
            let received = pull.recv_from_async().await;
            received.map(|(message, _)| number(&message))
        },
        || pull.shutdown(),
    );
}

#[test]
fn of_draft_types() {
    let (scatter, gather) = two::<Scatter, Gather>(low(), low());
    play(
        EACH,
        async |bytes| scatter.send_async(bytes).await.map(Some),
        nothing,
        async || gather.recv_async().await.map(|message| number(&message)),
        || gather.shutdown(),
    );

    let (here, there) = two::<Channel, Channel>(low(), low());
    play(
        EACH,
        async |bytes| here.send_async(bytes).await.map(Some),
        nothing,
        async || there.recv_async().await.map(|message| number(&message)),
        || there.shutdown(),
    );

    let (radio, dish) = two::<Radio, Dish>(low().pub_block(true), low());
    dish.join("group").expect("joined");
    radio
        .wait_for_members("group", 1, DEADLINE)
        .expect("a member");
    play(
        EACH,
        async |bytes| radio.send_async("group", bytes).await.map(Some),
        nothing,
        async || dish.recv_async().await.map(|it| number(&it.message)),
        || dish.shutdown(),
    );
}

/// What subscribers send upstream is dropped where there is no room: there are no marks.
#[test]
fn of_receives_from_upstream() {
    let options = low().send_hwm(0).recv_hwm(0);
    let (xsub, xpub) = two::<Xsub, Xpub>(options.clone(), options);
    play(
        EACH,
        async |bytes: [u8; 4]| {
            // Those who receive find nothing for a while.
            give_way().await;
            // Not one, nor zero: that is a subscription.
            let message = [&b"upstream"[..], &bytes];
            xsub.send(message).map(Some)
        },
        nothing,
        async || match xpub.recv_upstream_async().await? {
            Upstream::Message(message) => {
                let bytes = message.get(1).expect("the number").as_slice();
                Ok(u32::from_be_bytes(bytes.try_into().expect("four bytes")))
            }
            other => panic!("{other:?}"),
        },
        || xpub.shutdown(),
    );
}
