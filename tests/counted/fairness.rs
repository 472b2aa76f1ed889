//! Eight pushers of very different speed, and one PULL that hears each of them alike.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Context, Options, Pull, Push};

use crate::common::deadline::DEADLINE;

const PUSHERS: usize = 8;
const MESSAGES: usize = 40_000;

/// So often all eight are to have messages, at least.
const WINDOWS: usize = 100;

/// A pusher sends one message each time so many have been received in all: from as fast as there is room, to a
/// third of its share.
const STRIDES: [usize; PUSHERS] = [0, 0, 1, 3, 5, 7, 8, 24];

/// Whenever every pusher has messages waiting, the next eight messages are one of each.
#[test]
fn alternates_strictly_while_all_have_messages() {
    let context = Context::new();
    let options = Options::new().linger(Duration::ZERO);
    let pull = Pull::new(&context).expect("a PULL");
    let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let pushers: Vec<(Push, usize)> = STRIDES
        .iter()
        .map(|stride| {
            let push = Push::with_options(&context, options.clone()).expect("a PUSH");
            push.connect(&endpoint).expect("connected");
            (push, *stride)
        })
        .collect();
    pull.wait_for_peers(PUSHERS, DEADLINE).expect("all pushers");
    thread::scope(|scope| {
        let mut cues = Vec::new();
        for (name, (push, stride)) in pushers.iter().enumerate() {
            let (cue, cued) = sync_channel(64);
            if *stride > 0 {
                cues.push((*stride, cue));
            }
            scope.spawn(move || {
                // Something to begin with, so that all have messages waiting now and then.
                let mut credit = 100_u32;
                // Ends when the receiver hangs up, be it the cue or, for the fast, the socket.
                loop {
                    if *stride > 0 && credit == 0 {
                        match cued.recv() {
                            Ok(()) => credit += 1,
                            Err(_) => return,
                        }
                    }
                    if push.send([name as u8]).is_err() {
                        return;
                    }
                    credit = credit.saturating_sub(1);
                }
            });
        }
        let (windows, shares) = receive(&pull, &cues);
        context.shutdown();
        drop(cues);
        println!("{windows} windows of eight, shares {shares:?}");
        assert!(
            windows > WINDOWS,
            "only {windows} times had all eight messages"
        );
        // Nobody is starved, neither the slow by the fast nor the fast by each other.
        assert!(all_have_had(&shares), "{shares:?}");
    });
}

/// Whether each has had a quarter of what is due to it of so many messages, at least.
fn all_have_had(shares: &[usize; PUSHERS]) -> bool {
    let mut shares = shares.iter().zip(STRIDES);
    shares.all(|(share, stride)| *share >= MESSAGES / stride.max(PUSHERS) / 4)
}

/// Receives, cueing the slower ones; gives how often all had messages for eight messages in a row, and each one's share. Goes on while a pusher is behind,
/// which on a machine that is busy may only begin when others have sent thousands.
fn receive(pull: &Pull, cues: &[(usize, SyncSender<()>)]) -> (usize, [usize; PUSHERS]) {
    let mut shares = [0; PUSHERS];
    let (mut windows, mut streak) = (0, Vec::new());
    let begun = Instant::now();
    let mut received = 0;
    while received < MESSAGES
        || (windows <= WINDOWS || !all_have_had(&shares)) && begun.elapsed() < DEADLINE
    {
        received += 1;
        let peers = pull.stats().peers;
        let all = peers.iter().filter(|peer| peer.queued_in > 0).count() == PUSHERS;
        if !all {
            streak.clear();
        }
        let message = pull.recv_timeout(DEADLINE).expect("a message");
        let name = usize::from(message.first()[0]);
        shares[name] += 1;
        if all {
            streak.push(name);
        }
        if let Some(eight) = streak.last_chunk::<PUSHERS>() {
            let mut names = *eight;
            names.sort_unstable();
            assert_eq!(names, [0, 1, 2, 3, 4, 5, 6, 7], "in turn: {eight:?}");
            windows += 1;
        }
        for (stride, cue) in cues {
            if received % stride == 0 {
                // A pusher that is behind has enough to do.
                let _ = cue.try_send(());
            }
        }
    }
    (windows, shares)
}
