//! Tests of the store, against a map.

use std::collections::BTreeMap;

use super::*;

fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut random = seed;
    move |limit| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) % limit
    }
}

/// All memory for bytes and entries.
fn memory(store: &Store<u64>) -> usize {
    let chunks = store.chunks.iter().map(|(_, chunk)| chunk);
    let memory = chunks.chain(&store.spare).map(|chunk| {
        let places = chunk.places.as_ref().map_or(0, Vec::capacity);
        chunk.bytes.capacity() + 8 * chunk.entries.capacity() + 2 * places
    });
    memory.sum()
}

#[derive(Clone, Debug, PartialEq)]
struct Model {
    number: u64,
    bytes: Option<Vec<u8>>,
    fresh: bool,
    deliveries: u32,
    deaths: u8,
    out: bool,
    expired: bool,
}

#[test]
fn it_is_a_map_with_a_queue() {
    let mut below = random(7);
    let mut store = Store::<u64>::default();
    let mut model = BTreeMap::<usize, Model>::new();
    let mut number = 0;
    let (mut small, mut runs) = (0, 0);
    for round in 0..110_000_u64 {
        match below(16) {
            // It grows and shrinks in turn.
            0..=5 if round / 10_000 % 3 < 2 => {
                number = match below(4_000) {
                    0 => below(1 << 40),
                    1 => number + (1 << 33),
                    _ => number + 1 + below(3),
                };
                let len = match below(100) {
                    0 => below(70_000),
                    _ => below(300),
                };
                let bytes = (below(5) > 0).then(|| vec![number as u8; len as usize]);
                let fresh = below(8) > 0;
                let content = match &bytes {
                    Some(bytes) => Content::Short(bytes),
                    None => Content::Whole(number),
                };
                let key = store.insert(number, content, fresh, false);
                let held = Model {
                    number,
                    bytes,
                    fresh,
                    deliveries: 0,
                    deaths: 0,
                    out: false,
                    expired: false,
                };
                assert_eq!(model.insert(key, held), None);
            }
            6..=9 => {
                if let Some(key) = store.first_fresh() {
                    let held = model.get_mut(&key).expect("it is held");
                    assert!(std::mem::take(&mut held.fresh));
                    store.take_fresh(key);
                    store.set_sent(key);
                    store.set_out(key);
                    held.out = true;
                } else {
                    assert!(model.values().all(|held| !held.fresh));
                }
            }
            10 => {
                // A run from some message on.
                let skip = below(1 + model.len() as u64 / 4);
                let first = model.iter().nth(skip as usize).map(|(key, _)| *key);
                let Some(key) = first else { continue };
                let most = 1 + below(20) as usize;
                let mut numbers = Vec::new();
                let count = store.remove_run(key, most, |first, count| {
                    numbers.extend(first..first + count);
                });
                assert!(count == numbers.len() && count <= most);
                for (key, number) in (key..).zip(numbers) {
                    let held = model.remove(&key).expect("it is held");
                    assert!(held.out && held.bytes.is_some() && !held.expired);
                    assert_eq!((held.number, held.deliveries), (number, 0));
                    runs += 1;
                }
            }
            11..=14 => {
                // Mostly one of the oldest.
                let skip = match below(3) {
                    0 => below(1 + model.len() as u64),
                    _ => below(5),
                };
                let old = model.iter().nth(skip as usize).map(|(key, _)| *key);
                let Some(key) = old else { continue };
                let held = model.remove(&key).expect("it is held");
                let needed = below(2) == 0;
                let removed = store.remove(key, needed).expect("it is held");
                let left = match held.bytes {
                    Some(bytes) if needed => Left::Short(bytes),
                    Some(_) => Left::Nothing,
                    None => Left::Whole(held.number),
                };
                assert_eq!(removed.left, left);
                assert_eq!(removed.number, held.number);
                assert_eq!(removed.deliveries, held.deliveries);
                assert_eq!((removed.out, removed.expired), (held.out, held.expired));
                assert!(store.remove(key, true).is_none(), "it is gone");
            }
            _ => {
                let key = below(1 + 3 * ENTRIES as u64) as usize;
                let key = model.range(key..).next().map_or(key, |(key, _)| *key);
                match below(4) {
                    0 => store.add_past(key, 1, 1),
                    1 => store.set_expired(key),
                    2 => store.set_back(key),
                    _ => {}
                }
                let Some(held) = model.get_mut(&key) else {
                    assert_eq!(store.get(key), None);
                    continue;
                };
                held.deliveries = store.deliveries(key);
                held.deaths += u8::from(u32::from(held.deaths) < held.deliveries);
                held.expired = store.is_expired(key);
                held.out = store.is_out(key);
                assert_eq!(store.deaths(key), held.deaths);
                match &held.bytes {
                    Some(bytes) => assert_eq!(store.get(key), Some(Held::Short(bytes))),
                    None => assert_eq!(store.get(key), Some(Held::Whole(&held.number))),
                }
                assert!(store.is(key, held.number) && !store.is(key, held.number + 1));
            }
        }
        assert_eq!(store.len(), model.len());
        let places = |(_, chunk): (_, &Chunk)| chunk.places.is_some();
        small += usize::from(round % 100 == 0 && store.chunks.iter().any(places));
    }
    assert!(small > 10 && runs > 100, "{small}, {runs}");
    let mut keys = store.keys();
    keys.sort_unstable();
    assert!(keys.len() > 10);
    assert_eq!(keys, model.keys().copied().collect::<Vec<_>>());
    let wholes = model.values().filter(|held| held.bytes.is_none());
    let mut left: Vec<_> = store.take_wholes().collect();
    left.sort_unstable();
    let mut expected: Vec<_> = wholes.map(|held| held.number).collect();
    expected.sort_unstable();
    assert_eq!(left, expected);
    assert_eq!((store.len(), memory(&store)), (0, 0));
}

/// The first is the one that has waited for longest, also if it was queued after it was inserted.
#[test]
fn those_that_are_fresh_go_in_order() {
    let mut below = random(3);
    let mut store = Store::<u64>::default();
    let (mut next, mut expected) = (0, VecDeque::new());
    for _ in 0..50_000 {
        if below(2) == 0 {
            let key = store.insert(next, Content::Short(&[7; 50]), next % 3 == 0, false);
            if next % 3 == 1 {
                store.queue_last();
            }
            match next % 3 {
                2 => drop(store.remove(key, false)),
                _ => expected.push_back(next),
            }
            next += 1;
        } else if let Some(key) = store.first_fresh() {
            assert_eq!(store.number(key), expected.pop_front());
            store.take_fresh(key);
            store.remove(key, false);
        }
    }
    assert_eq!(store.len(), expected.len());
}

#[test]
fn a_message_takes_its_bytes_and_little_more() {
    for len in [0, 1, 20, 100, 1000, 8000] {
        let mut store = Store::<u64>::default();
        let bytes = vec![7; len];
        let messages = 100_000;
        for number in 0..messages {
            store.insert(number, Content::Short(&bytes), true, false);
        }
        let beyond = memory(&store) as f64 / messages as f64 - len as f64;
        assert!(beyond < 12.0, "{beyond} of {len}");
    }
}

/// However messages are chosen that stay, they take no more than some times their memory.
#[test]
fn what_stays_for_long_keeps_no_room_for_others() {
    for stays in [2, 10, 100, 1000, 10_000] {
        let mut store = Store::<u64>::default();
        let mut queue = VecDeque::new();
        let mut left = 0;
        for number in 0..200_000 {
            let key = store.insert(number, Content::Short(&[7; 100]), true, false);
            store.take_fresh(key);
            assert_eq!(store.first_fresh(), None);
            queue.push_back(key);
            if queue.len() > 5_000
                && let Some(key) = queue.pop_front()
            {
                match number % stays {
                    0 => left += 1,
                    _ => drop(store.remove(key, false)),
                }
            }
        }
        for key in queue {
            store.remove(key, false);
        }
        assert_eq!(store.len(), left);
        let memory = memory(&store);
        // One chunk is as it was, and there are spare ones.
        let most = left * 5 * (100 + 10) + (2 + SPARE) * 2 * CHUNK;
        assert!(memory < most, "{memory} for {left}, one of {stays}");
    }
}

#[test]
fn nothing_is_kept_for_none() {
    let mut store = Store::<u64>::default();
    for round in 0..50 {
        let keys: Vec<_> = (0..40 * round)
            .map(|number| match number % 2 {
                0 => store.insert(number, Content::Short(&[7; 100]), false, true),
                _ => store.insert(number, Content::Whole(number), false, true),
            })
            .collect();
        keys.into_iter()
            .for_each(|key| drop(store.remove(key, true)));
        assert!(memory(&store) <= 2 * EMPTY, "{}", memory(&store));
        assert!(store.wholes.capacity() <= 16);
    }
}
