use super::rhythm::{Gathered, Reading, Seen, WrittenBy};
use super::*;

const fn us(micros: u64) -> u64 {
    micros * MICROSECOND
}

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3_600 * SECOND;

fn later(now: Instant, nanos: u64) -> Instant {
    now + Duration::from_nanos(nanos)
}

/// One thread with its sockets, whose clock goes on only as told.
struct Sender {
    thread: Thread,
    now: Instant,
    /// What a write to all peers of a socket takes.
    write: u64,
    peers: usize,
    /// Bytes that gather for a peer with each message.
    len: usize,
    sockets: Vec<Socket>,
}

#[derive(Default)]
struct Socket {
    tempo: Tempo,
    messages: usize,
    /// Writes of a single message.
    single: usize,
    /// The messages in each write of what had gathered.
    gathered: Vec<usize>,
    /// When the caretaker was told, and with which count of writes.
    told: Vec<(Instant, u64)>,
    /// Whether the thread was trusted each time that it was to write what it left.
    left: Vec<bool>,
    looks: usize,
}

impl Sender {
    /// To one peer, to whom a write takes 5 µs.
    fn new() -> Self {
        Sender::to(1, us(5))
    }

    fn to(peers: usize, write: u64) -> Self {
        Sender {
            thread: Thread::default(),
            now: Instant::now(),
            write,
            peers,
            len: 66,
            sockets: vec![Socket::default()],
        }
    }

    /// Time goes by, and then a message is sent on this socket.
    fn send(&mut self, socket: usize, after: u64) {
        self.now = later(self.now, after);
        let socket = &mut self.sockets[socket];
        socket.messages += 1;
        if socket.tempo.just_gathers(socket.messages) {
            return;
        }
        socket.looks += 1;
        let waiting = Waiting {
            due: false,
            bytes: socket.messages * self.len,
        };
        match socket.tempo.queued(waiting, &mut self.thread, self.now) {
            Step::Gather => {}
            Step::TellCaretaker { writes } => socket.told.push((self.now, writes)),
            Step::Leave { writes, trusted } => {
                socket.told.push((self.now, writes));
                socket.left.push(trusted.is_some());
            }
            Step::Write(write) => {
                match write.gathered {
                    false => socket.single += 1,
                    true => socket.gathered.push(socket.messages),
                }
                socket.messages = 0;
                self.now = later(self.now, self.write);
                let thread = &mut self.thread;
                socket.tempo.wrote(write, self.peers, thread, self.now);
            }
        }
    }

    /// Waits for a message on the first socket.
    fn waits(&mut self) {
        self.sockets[0].tempo.waits(&mut self.thread);
    }

    /// Sends so many messages on the first socket.
    fn stream(&mut self, messages: usize, gap: u64) -> &mut Socket {
        (0..messages).for_each(|_| self.send(0, gap));
        &mut self.sockets[0]
    }

    /// For how long messages gather on the first socket.
    fn gathers_for(&self) -> u64 {
        self.sockets[0].tempo.rhythm.gathers_for()
    }
}

/// A tempo that has just begun to have messages gather.
fn gathering(sender: &mut Sender) -> &mut Tempo {
    let socket = sender.stream(20, 0);
    assert!(socket.tempo.is_gathering() && socket.gathered.is_empty());
    &mut socket.tempo
}

fn waiting(bytes: usize) -> Waiting {
    Waiting { due: false, bytes }
}

// When each message is written by itself.

#[test]
fn slow_senders_always_write_at_once() {
    assert_eq!(Sender::new().stream(1_000, us(20)).single, 1_000);
}

#[test]
fn half_of_the_time_may_go_into_writing_each_message() {
    assert_eq!(Sender::new().stream(1_000, us(5)).single, 1_000);
    let mut sender = Sender::new();
    let socket = sender.stream(1_000, us(4));
    assert!(socket.single < 50, "{}", socket.single);
}

#[test]
fn a_burst_after_a_pause_is_written_at_once() {
    let mut sender = Sender::new();
    for burst in 1..=3 {
        sender.send(0, SECOND);
        let socket = sender.stream(BURST as usize - 1, 0);
        assert_eq!(socket.single, BURST as usize * burst);
        assert!(!socket.tempo.is_gathering());
    }
    let socket = sender.stream(1, 0);
    assert_eq!(socket.single, BURST as usize * 3);
    assert!(socket.tempo.is_gathering(), "there is an end to it");
}

#[test]
fn a_burst_to_many_peers_is_of_fewer_messages() {
    let mut sender = Sender::to(16, us(80));
    assert_eq!(sender.stream(100, us(100)).single, 100, "it knows the cost");
    sender.send(0, SECOND);
    let single = sender.stream(100, 0).single - 100;
    // An average comes near to the cost and does not get there.
    assert!((3..=4).contains(&single), "{single}");
}

#[test]
fn a_stream_gathers() {
    let mut sender = Sender::new();
    let socket = sender.stream(10_000, 30);
    assert!(socket.single < 20, "{}", socket.single);
    assert!(socket.gathered.iter().all(|&messages| messages > 100));
}

/// What it takes to encode for a thousand peers is no pause.
#[test]
fn a_stream_to_many_gathers_too() {
    let mut sender = Sender::to(1_000, us(5_000));
    let socket = sender.stream(1_000, us(60));
    assert!(socket.single < 20, "{}", socket.single);
}

#[test]
fn waiting_for_room_is_no_pause() {
    let mut sender = Sender::new();
    let step = |sender: &mut Sender, held_up| {
        sender.now = later(sender.now, us(50));
        let tempo = &mut sender.sockets[0].tempo;
        if held_up {
            tempo.held_up();
        }
        let step = tempo.queued(waiting(66), &mut sender.thread, sender.now);
        match step {
            Step::Write(write) => {
                sender.now = later(sender.now, us(5));
                tempo.wrote(write, 1, &mut sender.thread, sender.now);
            }
            _ => tempo.ended(),
        }
        matches!(step, Step::Write(_))
    };
    let single = (0..1_000).filter(|_| step(&mut sender, true)).count();
    assert!(single < 20, "{single}");
    assert!(step(&mut sender, false), "it was, once");
}

#[test]
fn a_pause_after_the_message_that_had_to_wait_is_one() {
    for due in [false, true] {
        let mut sender = Sender::new();
        gathering(&mut sender).held_up();
        // There is room now, and the message gathers, or is written with the others.
        let now = sender.now;
        let (tempo, thread) = (&mut sender.sockets[0].tempo, &mut sender.thread);
        match tempo.queued(Waiting { due, bytes: 66 }, thread, now) {
            Step::Write(write) if due => tempo.wrote(write, 1, thread, now),
            step => assert_eq!((step, due), (Step::Gather, false)),
        }
        tempo.ended();
        let single = sender.sockets[0].single;
        assert_eq!(sender.stream(1, us(50)).single, single + 1, "{due}");
    }
}

#[test]
fn an_answer_in_between_is_a_pause() {
    let mut sender = Sender::new();
    let tempo = gathering(&mut sender);
    tempo.ended();
    tempo.paused();
    let single = sender.sockets[0].single;
    assert_eq!(sender.stream(1, 0).single, single + 1);
}

#[test]
fn while_a_thread_serves_its_other_sockets_it_does_not_pause() {
    let mut sender = Sender::new();
    sender.sockets = (0..16).map(|_| Socket::default()).collect();
    for _ in 0..500 {
        (0..16).for_each(|socket| sender.send(socket, 300));
    }
    for Socket { single, .. } in &sender.sockets {
        assert!(*single < 50, "{single} of 500");
    }
    let before = sender.sockets[0].single;
    sender.sockets[0].tempo.ended();
    sender.send(0, us(300));
    assert_eq!(sender.sockets[0].single, before + 1, "now it did");
}

#[test]
fn what_is_due_is_written_whatever_there_is_to_spend() {
    let mut sender = Sender::new();
    let due = Waiting {
        due: true,
        bytes: 1,
    };
    let tempo = &mut sender.sockets[0].tempo;
    tempo.credit = 0;
    for _ in 0..3 {
        let step = tempo.queued(due, &mut sender.thread, sender.now);
        let Step::Write(write) = step else {
            panic!("{step:?}");
        };
        assert!(write.gathered);
        tempo.wrote(write, 1, &mut sender.thread, later(sender.now, us(5)));
    }
    assert_eq!(tempo.credit, 0, "that is not spent on it");
    assert!(!tempo.is_gathering(), "nobody has been told");
}

// A sender that loses its core in the middle of a write.

#[test]
fn a_sender_that_lost_its_core_has_learnt_nothing() {
    let mut sender = Sender::to(1, us(4_000));
    sender.send(0, 0);
    let tempo = &sender.sockets[0].tempo;
    assert_eq!(tempo.cost, (FIRST_COST * 7 + COST_CAP) / 8);
    assert_eq!(sender.thread.spent, COST_CAP);
    assert_eq!(sender.thread.last_sent, Some(sender.now));
    gathering(&mut sender);
    sender.send(0, us(100));
    (0..MAX_STRIDE).for_each(|_| sender.send(0, 0));
    assert_eq!(sender.sockets[0].gathered.len(), 1);
    assert_eq!(sender.gathers_for(), COST_CAP);
}

#[test]
fn what_a_write_may_take_goes_by_the_number_of_peers() {
    let mut sender = Sender::to(100, us(3_000));
    sender.send(0, 0);
    assert_eq!(sender.thread.spent, us(3_000));
    let mut sender = Sender::to(100, us(6_000));
    sender.send(0, 0);
    assert_eq!(sender.thread.spent, COST_CAP * 100);
}

// For how long messages gather.

#[test]
fn messages_gather_longer_where_writing_takes_longer() {
    assert_eq!(gathers_for(us(5), us(5)), us(10));
    assert_eq!(
        gathers_for(us(25), us(25)),
        us(25),
        "one peer, and it sleeps"
    );
    assert_eq!(
        gathers_for(us(5), us(80)),
        us(305),
        "sixteen peers or sockets"
    );
    assert_eq!(gathers_for(us(5), us(1_000)), us(3_985), "two hundred");
    assert_eq!(gathers_for(us(5), us(50_000)), us(10_000), "thousands");
}

/// The part of its time that a stream to so many peers spends on writing, and for how long its messages gather.
fn share_of_writing(peers: u64) -> (f64, u64) {
    let mut sender = Sender::to(peers as usize, us(5) * peers);
    sender.len = 0;
    let gap = 30 * peers;
    sender.stream(2_000, gap);
    let (begun, spent) = (sender.now, sender.thread.spent);
    let rounds = 100_000 / peers as usize * 10;
    sender.stream(rounds, gap);
    let spent = sender.thread.spent - spent;
    let share = spent as f64 / (sender.now - begun).as_nanos() as f64;
    (share, sender.gathers_for())
}

#[test]
fn with_one_peer_writing_takes_half_of_the_time_at_most_and_with_hundreds_a_fifth() {
    let (share, gathers_for) = share_of_writing(1);
    assert!(share <= 0.5, "{share}");
    assert_eq!(gathers_for, AT_LEAST);
    let (share, gathers_for) = share_of_writing(100);
    assert!((0.15..0.25).contains(&share), "{share}");
    assert_eq!(gathers_for, us(5 + 4 * 495));
    let (share, gathers_for) = share_of_writing(1_000);
    assert!(share < 0.4, "{share}");
    assert_eq!(gathers_for, AT_MOST);
}

#[test]
fn what_a_thread_writes_for_other_sockets_counts() {
    let mut sender = Sender::new();
    sender.len = WORTH;
    let tempo = gathering(&mut sender);
    tempo.looked(us(30));
    sender.thread.spent += us(80);
    (0..MAX_STRIDE).for_each(|_| sender.send(0, us(1)));
    assert_eq!(sender.sockets[0].gathered.len(), 1);
    assert_eq!(sender.gathers_for(), us(5 + 4 * 80));
    // Nothing else is written from here on.
    sender.stream(1_000, us(1));
    assert_eq!(sender.gathers_for(), AT_LEAST);
}

#[test]
fn messages_are_written_when_the_oldest_has_waited_long_enough() {
    let mut sender = Sender::new();
    gathering(&mut sender).rhythm.wrote(us(30));
    let Sender {
        sockets,
        thread,
        now,
        ..
    } = &mut sender;
    let mut queued = |after| {
        sockets[0]
            .tempo
            .queued(waiting(WORTH), thread, later(*now, after))
    };
    assert_eq!(queued(us(30)), Step::Gather);
    assert!(matches!(
        queued(us(31)),
        Step::Write(Write { gathered: true, .. })
    ));
}

#[test]
fn a_fast_stream_of_short_messages_fills_a_write_first() {
    let mut sender = Sender::new();
    let tempo = gathering(&mut sender);
    assert!(tempo.is_long_enough(us(11), WORTH));
    assert!(!tempo.is_long_enough(us(11), WORTH - 1));
    assert!(tempo.is_long_enough(us(51), 1));
    tempo.looked(us(30));
    assert!(tempo.is_long_enough(us(11), 1), "not so fast");
}

// How often the clock is read.

#[test]
fn the_clock_is_read_as_often_as_befits_the_rate() {
    let looks = |gap: u64| {
        let mut sender = Sender::new();
        let tempo = gathering(&mut sender);
        // They go on gathering, for as long as this takes.
        tempo.rhythm.wrote(HOUR);
        let before = sender.sockets[0].looks;
        sender.stream(10_000, gap).looks - before
    };
    assert!(looks(30) < 200);
    let at_a_million_a_second = looks(us(1));
    assert!((1_000..3_000).contains(&at_a_million_a_second));
    assert!(looks(us(20)) > 9_000);
}

#[test]
fn a_stream_that_has_become_faster_has_the_clock_read_less_often() {
    let mut sender = Sender::new();
    let tempo = gathering(&mut sender);
    tempo.rhythm.wrote(HOUR);
    (0..10).for_each(|_| tempo.looked(us(30)));
    assert_eq!(tempo.stride, 1);
    let before = sender.sockets[0].looks;
    let socket = sender.stream(MAX_STRIDE * 10, 30);
    assert_eq!(socket.tempo.stride, MAX_STRIDE);
    assert!(socket.looks - before < 20, "{}", socket.looks - before);
}

#[test]
fn nothing_is_decided_without_the_clock_unless_messages_gather() {
    let mut sender = Sender::new();
    for messages in 0..200 {
        assert!(!sender.sockets[0].tempo.just_gathers(messages));
    }
    let tempo = gathering(&mut sender);
    let looks = (1..=640).filter(|&messages| !tempo.just_gathers(messages));
    assert_eq!(looks.count(), 640 / MAX_STRIDE);
}

// When the caretaker hears of a stream.

#[test]
fn the_caretaker_is_told_once_of_a_stream() {
    let mut sender = Sender::new();
    let socket = sender.stream(100_000, 100);
    let [(_, writes)] = socket.told[..] else {
        panic!("told {} times", socket.told.len());
    };
    assert_eq!(writes, 0);
    assert!(socket.gathered.len() > 100);
    let writes = socket.tempo.rhythm.read().writes;
    assert_eq!(writes, socket.gathered.len() as u64);
}

#[test]
fn the_caretaker_is_told_again_once_it_has_written() {
    let mut sender = Sender::new();
    let socket = sender.stream(1_000, 100);
    assert_eq!(socket.told.len(), 1);
    socket.tempo.ended();
    socket.messages = 0;
    let socket = sender.stream(1_000, 100);
    assert_eq!(socket.told.len(), 2);
    assert!(socket.told[1].1 > 0, "with the writes there were");
}

#[test]
fn what_is_far_between_is_not_watched_over() {
    let mut sender = Sender::new();
    let tempo = gathering(&mut sender);
    (0..10).for_each(|_| tempo.looked(us(30)));
    let socket = sender.stream(1, us(30));
    assert_eq!(socket.gathered.len(), 1);
    assert!(!socket.tempo.is_gathering());
}

// What the caretaker makes of it.

fn reading(writes: u64, gathers_for: u64) -> Reading {
    Reading {
        writes,
        gathers_for: Duration::from_nanos(gathers_for),
    }
}

#[test]
fn a_caller_that_has_written_since_messages_began_to_gather_is_left_to_it() {
    assert!(!reading(7, AT_LEAST).shows_writes_since(Seen::Started(7)));
    assert!(reading(8, AT_LEAST).shows_writes_since(Seen::Started(7)));
}

/// A millisecond of 100,000 messages per second has a write every 640 µs, which would be too long to wait.
#[test]
fn a_caller_is_left_to_it_if_it_writes_every_200_microseconds() {
    let since = |writes: u64, ago| {
        reading(100 + writes, us(10))
            .shows_writes_since(Seen::Since(100, Duration::from_nanos(ago)))
    };
    assert!(since(5, us(1_000)));
    assert!(!since(4, us(1_000)));
    assert!(!since(0, us(1)));
}

/// Where there are hundreds of peers, messages gather for milliseconds, and writes are as far apart.
#[test]
fn a_caller_with_many_peers_is_given_twice_the_time_that_its_messages_gather_for() {
    let since = |writes: u64, ago| {
        reading(writes, us(10_000)).shows_writes_since(Seen::Since(0, Duration::from_nanos(ago)))
    };
    assert!(since(1, us(20_000)));
    assert!(!since(1, us(20_001)));

    let mut sender = Sender::new();
    let begun = later(sender.now, us(5) * BURST);
    let tempo = gathering(&mut sender);
    let seen = Seen::Since(0, Duration::from_millis(1));
    let full = gathered(1_000_000, 1_000_000);
    let writer = |tempo: &Tempo, after| tempo.who_writes(seen, full, later(begun, after));
    assert_eq!(writer(tempo, us(0)), WrittenBy::Caretaker, "one peer");
    tempo.rhythm.wrote(us(10_000));
    assert_eq!(writer(tempo, us(19_999)), WrittenBy::Caller);
    assert_eq!(writer(tempo, us(20_000)), WrittenBy::Caretaker);
}

fn gathered(messages: usize, bytes: usize) -> Gathered {
    Gathered {
        messages,
        bytes,
        full_at_messages: 500,
        full_at_bytes: 100_000,
    }
}

#[test]
fn a_caller_whose_buffer_is_full_soon_is_left_to_it() {
    let mut sender = Sender::new();
    let begun = later(sender.now, us(5) * BURST);
    let tempo = gathering(&mut sender);
    let writer =
        |gathered, after| tempo.who_writes(Seen::Started(0), gathered, later(begun, after));
    // After 50 of 200 µs, a quarter of it has to be there.
    assert_eq!(writer(gathered(125, 0), us(50)), WrittenBy::Caller);
    assert_eq!(writer(gathered(124, 0), us(50)), WrittenBy::Caretaker);
    assert_eq!(writer(gathered(1, 25_000), us(50)), WrittenBy::Caller);
    assert_eq!(writer(gathered(1, 24_999), us(50)), WrittenBy::Caretaker);
    let no_mark = Gathered {
        full_at_messages: usize::MAX,
        ..gathered(250, 0)
    };
    assert_eq!(writer(no_mark, us(50)), WrittenBy::Caller);
}

#[test]
fn the_caretaker_writes_nothing_where_nothing_gathers() {
    let mut sender = Sender::new();
    gathering(&mut sender).ended();
    let tempo = &sender.sockets[0].tempo;
    for seen in [Seen::Started(0), Seen::Since(0, Duration::from_millis(1))] {
        assert_eq!(
            tempo.who_writes(seen, gathered(1, 1), sender.now),
            WrittenBy::Nobody
        );
    }
}

#[test]
fn connections_that_take_no_bytes_are_counted() {
    let tempo = Tempo::default();
    let rhythm = tempo.rhythm();
    assert!(!rhythm.is_held_up());
    rhythm.writable(true, false);
    rhythm.writable(true, false);
    rhythm.writable(false, true);
    assert!(rhythm.is_held_up());
    rhythm.writable(false, false);
    rhythm.writable(false, true);
    assert!(!rhythm.is_held_up());
}

#[test]
fn the_caretaker_sees_whether_anything_gathers() {
    let mut sender = Sender::new();
    let tempo = gathering(&mut sender);
    assert!(tempo.rhythm().gathers().is_set());
    tempo.ended();
    assert!(!tempo.rhythm().gathers().is_set());
    // A stream goes on to gather when it has been written.
    let socket = sender.stream(10_000, 100);
    assert!(!socket.gathered.is_empty());
    let gathers = socket.tempo.rhythm().gathers().is_set();
    assert_eq!(gathers, socket.tempo.is_gathering());
}

// What a thread remembers.

#[test]
fn a_thread_that_writes_what_it_leaves_is_trusted() {
    let mut sender = Sender::new();
    sender.stream(20, 0).tempo.ended();
    let mut leaves = |by_itself| {
        sender.waits();
        sender.stream(20, 0).tempo.ended();
        sender.thread.finished(by_itself);
        sender.sockets[0].left.pop()
    };
    for _ in 0..TRUSTED {
        assert_eq!(leaves(true), Some(false));
    }
    assert_eq!(leaves(false), Some(true));
    // Once it was not there.
    assert_eq!(leaves(true), Some(false));
}

#[test]
fn a_thread_that_does_not_wait_in_between_leaves_nothing() {
    let mut sender = Sender::new();
    let mut begins = |wait: fn(&mut Sender)| {
        wait(&mut sender);
        let socket = sender.stream(20, 0);
        socket.tempo.ended();
        (socket.told.len(), socket.left.len())
    };
    assert_eq!(begins(Sender::waits), (1, 0), "the first time");
    assert_eq!(begins(|_| {}), (2, 0), "a stream");
    // For room.
    let held_up = |sender: &mut Sender| {
        sender.sockets[0].tempo.held_up();
        sender.waits();
    };
    assert_eq!(begins(held_up), (3, 0));
    assert_eq!(begins(Sender::waits), (4, 1));
    assert_eq!(begins(|_| {}), (5, 1), "a stream again");
}

#[test]
fn a_thread_that_goes_from_socket_to_socket_writes_once_on_each() {
    let mut sender = Sender::new();
    sender.sockets.resize_with(16, Socket::default);
    let round = |sender: &mut Sender| {
        sender.now = later(sender.now, us(3));
        sender.waits();
        for socket in 0..16 {
            (0..8).for_each(|_| sender.send(socket, 200));
            // It writes what it has left before it leaves any on the next.
            sender.sockets[socket].tempo.ended();
            sender.sockets[socket].messages = 0;
            sender.now = later(sender.now, sender.write);
            sender.thread.sends(sender.now);
        }
        let sockets = sender.sockets.iter_mut();
        sockets
            .map(|socket| std::mem::take(&mut socket.single))
            .collect::<Vec<usize>>()
    };
    (0..100).for_each(|_| drop(round(&mut sender)));
    for _ in 0..100 {
        // A short pause has come before the first.
        assert_eq!(round(&mut sender)[1..], [0; 15]);
    }
    // A real pause on the way counts.
    sender.waits();
    (0..8).for_each(|_| sender.send(1, 200));
    sender.send(2, us(50));
    assert_eq!(sender.sockets[2].single, 1);
}

#[test]
fn every_thread_has_a_memory_of_its_own() {
    let spent = |took| {
        Thread::current(|thread| {
            thread.spent += took;
            thread.spent
        })
    };
    let other = std::thread::scope(|scope| {
        spent(us(1));
        scope.spawn(|| spent(us(5))).join()
    });
    assert_eq!(other.ok(), Some(us(5)));
    assert!(spent(us(1)) >= us(2));
}
