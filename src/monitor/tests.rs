use std::thread;
use std::time::Duration;

use super::Event;
use super::queue::{CAPACITY, Monitors};
use crate::RecvError;
use crate::sync::{Ordering, lock};

/// Long enough for any wait that is to end, so that a lost wake-up is a failure and not a hang.
const DEADLINE: Duration = Duration::from_secs(20);

/// An event that carries a number.
fn numbered(number: usize) -> Event {
    Event::Listening {
        endpoint: number.to_string(),
    }
}

fn number(event: &Event) -> Option<usize> {
    event.endpoint()?.parse().ok()
}

#[test]
fn without_monitors_no_event_is_made() {
    let monitors = Monitors::new();
    monitors.emit(|| unreachable!("nobody listens"));
    drop(monitors.subscribe());
    monitors.emit(|| unreachable!("nobody listens any more"));
    assert!(!monitors.hub.listening.load(Ordering::Relaxed));
}

#[test]
fn every_monitor_sees_every_event_since_it_was_taken() {
    let monitors = Monitors::new();
    let first = monitors.subscribe();
    monitors.emit(|| numbered(0));
    let second = monitors.subscribe();
    monitors.emit(|| numbered(1));
    drop(monitors);
    assert!(first.map(|event| number(&event)).eq([Some(0), Some(1)]));
    assert!((&second).map(|event| number(&event)).eq([Some(1)]));
    assert_eq!(second.recv(), Err(RecvError::Closed));
}

#[test]
fn dropping_one_monitor_leaves_the_other() {
    let monitors = Monitors::new();
    let first = monitors.subscribe();
    let second = monitors.subscribe();
    drop(first);
    monitors.emit(|| numbered(0));
    assert_eq!(second.try_recv(), Ok(numbered(0)));
    assert_eq!(lock(&monitors.hub.queues).open.len(), 1);
}

#[test]
fn a_monitor_of_a_closed_socket_has_ended() {
    let monitors = Monitors::new();
    monitors.close();
    assert_eq!(monitors.subscribe().recv(), Err(RecvError::Closed));
    monitors.emit(|| unreachable!("nobody can listen"));
}

#[test]
fn waits_end() {
    let monitors = Monitors::new();
    let monitor = monitors.subscribe();
    assert_eq!(monitor.try_recv(), Err(RecvError::WouldBlock));
    assert_eq!(
        monitor.recv_timeout(Duration::ZERO),
        Err(RecvError::TimedOut)
    );
    assert_eq!(
        monitor.recv_timeout(Duration::from_millis(2)),
        Err(RecvError::TimedOut)
    );
    monitors.emit(|| numbered(0));
    assert_eq!(monitor.recv_timeout(Duration::MAX), Ok(numbered(0)));
}

#[test]
fn the_newest_events_are_lost_and_counted_in_their_place() {
    let monitors = Monitors::new();
    let monitor = monitors.subscribe();
    for i in 0..CAPACITY + 10 {
        monitors.emit(|| numbered(i));
    }
    // Room for one is not room for the count and an event.
    assert_eq!(monitor.try_recv(), Ok(numbered(0)));
    monitors.emit(|| numbered(CAPACITY + 10));
    assert_eq!(monitor.try_recv(), Ok(numbered(1)));
    monitors.emit(|| numbered(CAPACITY + 11));
    for i in 2..CAPACITY {
        assert_eq!(monitor.try_recv(), Ok(numbered(i)));
    }
    assert_eq!(monitor.try_recv(), Ok(Event::Lost(11)));
    assert_eq!(monitor.try_recv(), Ok(numbered(CAPACITY + 11)));
    assert_eq!(monitor.try_recv(), Err(RecvError::WouldBlock));
}

#[test]
fn a_loss_at_the_end_is_reported_before_the_end() {
    let monitors = Monitors::new();
    let monitor = monitors.subscribe();
    for i in 0..CAPACITY + 1 {
        monitors.emit(|| numbered(i));
    }
    drop(monitors);
    assert_eq!((&monitor).take(CAPACITY).count(), CAPACITY);
    assert_eq!(monitor.recv(), Ok(Event::Lost(1)));
    assert_eq!(monitor.recv(), Err(RecvError::Closed));
}

#[test]
fn a_waiting_reader_is_woken_by_an_event_and_by_the_end() {
    let monitors = Monitors::new();
    let (events, ends) = (monitors.subscribe(), monitors.subscribe());
    thread::scope(|scope| {
        let reader = scope.spawn(move || events.recv_timeout(DEADLINE));
        monitors.emit(|| numbered(0));
        assert_eq!(reader.join().unwrap(), Ok(numbered(0)));
        assert_eq!(ends.recv(), Ok(numbered(0)));
        let reader = scope.spawn(move || ends.recv_timeout(DEADLINE));
        monitors.close();
        assert_eq!(reader.join().unwrap(), Err(RecvError::Closed));
    });
}

/// Several threads emit while two read and others come and go: each reader gets each thread's events in order, and
/// what it got and what it lost add up.
#[test]
fn threads_lose_nothing_that_is_not_counted() {
    const EMITTERS: usize = 3;
    const EACH: usize = 20_000;
    let monitors = Monitors::new();
    let readers = [monitors.subscribe(), monitors.subscribe()];
    thread::scope(|scope| {
        let readers = readers.map(|monitor| {
            scope.spawn(move || {
                let (mut seen, mut lost) = (0, 0);
                let mut next = [0; EMITTERS];
                loop {
                    match monitor.recv_timeout(DEADLINE) {
                        Ok(Event::Lost(count)) => lost += count,
                        Ok(event) => {
                            let number = number(&event).unwrap();
                            let (emitter, count) = (number / EACH, number % EACH);
                            assert!(count >= next[emitter], "out of order");
                            next[emitter] = count + 1;
                            seen += 1;
                        }
                        Err(error) => return (error, seen + lost),
                    }
                }
            })
        });
        let emitters: Vec<_> = (0..EMITTERS)
            .map(|emitter| {
                let monitors = &monitors;
                scope.spawn(move || {
                    for count in 0..EACH {
                        monitors.emit(|| numbered(emitter * EACH + count));
                        if count % 1000 == 0 {
                            drop(monitors.subscribe());
                        }
                    }
                })
            })
            .collect();
        for emitter in emitters {
            emitter.join().unwrap();
        }
        monitors.close();
        for reader in readers {
            let all = (EMITTERS * EACH) as u64;
            assert_eq!(reader.join().unwrap(), (RecvError::Closed, all));
        }
    });
}
