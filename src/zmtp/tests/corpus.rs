//! The fuzzers' seed corpus and mutations of it, replayed as ordinary tests. A published package has no
//! `fuzz` directory; there the tests mutate the seeds below instead.

use std::fs;
use std::path::Path;

use super::{Random, SocketType, greeting, ready};
use crate::fuzzing;

const MUTATIONS: usize = 4_000;
const SEEDS_PER_TARGET: usize = 12;

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        let session = [
            &[8],
            &greeting(3, 1, "NULL")[..],
            &ready(SocketType::Pull),
            b"\0\x01x",
        ];
        return vec![
            session.concat(),
            b"\xff\xff\x01\x01a\0\x01b".to_vec(),
            b"\x04PING\0\0".to_vec(),
            [
                &[8],
                &greeting(3, 1, "PLAIN")[..],
                b"\x04\x0b\x05HELLO\x01a\x02bc",
            ]
            .concat(),
        ];
    }
    let mut paths: Vec<_> = fs::read_dir(fuzz.join("corpus").join(target))
        .expect("each target has a corpus")
        .map(|entry| entry.expect("the corpus can be listed").path())
        .collect();
    // The order of a directory is no order; the mutations are to be the same everywhere.
    paths.sort();
    assert!(
        paths.len() >= SEEDS_PER_TARGET,
        "{target} has {} seeds",
        paths.len()
    );
    paths
        .iter()
        .map(|path| fs::read(path).expect("a seed can be read"))
        .collect()
}

/// Changes one thing, in one of the ways that break parsers.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let some = 1 + random.below(9);
    match (random.below(7), at < bytes.len()) {
        (0, true) => bytes[at] ^= 1 << random.below(8),
        (1, true) => bytes[at] = [0, 1, 2, 4, 0x7f, 0x80, 0xff][random.below(7)],
        (2, true) => bytes[at] = random.byte(),
        (3, true) => drop(bytes.drain(at..(at + some).min(bytes.len()))),
        (4, true) => bytes.truncate(at),
        (5, true) => {
            let copied = bytes[at..(at + some).min(bytes.len())].to_vec();
            bytes.splice(at..at, copied);
        }
        _ => {
            let inserted: Vec<u8> = (0..some).map(|_| random.byte()).collect();
            bytes.splice(at..at, inserted);
        }
    }
}

/// The assertions are in the target: it panics when a promise is broken.
fn replay(name: &str, target: fn(&[u8])) {
    let seeds = seeds(name);
    seeds.iter().for_each(|seed| target(seed));
    let mut random = Random(0x5eed_0000_0000_0001 + name.len() as u64);
    for n in 0..MUTATIONS {
        let mut bytes = seeds[n % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &mut random);
        }
        target(&bytes);
    }
}

#[test]
fn greeting_corpus() {
    replay("greeting", fuzzing::greeting);
}

#[test]
fn frames_corpus() {
    replay("frames", fuzzing::frames);
}

#[test]
fn commands_corpus() {
    replay("commands", fuzzing::commands);
}

#[test]
fn session_corpus() {
    replay("session", fuzzing::session);
}

#[test]
fn plain_corpus() {
    replay("plain", fuzzing::plain);
}

#[test]
fn delivery_corpus() {
    replay("delivery", fuzzing::delivery);
}

#[test]
fn replay_corpus() {
    replay("replay", fuzzing::replay);
}
