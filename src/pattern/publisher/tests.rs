use super::*;

/// A publisher at the other end: says no by ending the connection.
struct Other<'a> {
    takes: &'a dyn Fn(&[u8], usize) -> bool,
    held: BTreeSet<Vec<u8>>,
}

const NO_LIMITS: TopicLimits = TopicLimits {
    length: u64::MAX,
    count: u64::MAX,
};

fn topics(count: usize, len: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| format!("{n:0len$}").into_bytes())
        .collect()
}

impl Other<'_> {
    /// Reads what it is told; `None` if it has ended the connection, otherwise the last PING.
    fn reads(&mut self, told: Vec<Said>) -> Option<Option<u64>> {
        let mut asked = None;
        for said in told {
            match said {
                Said::Subscribe(topic) => {
                    if !(self.takes)(&topic, self.held.len()) {
                        return None;
                    }
                    assert!(self.held.insert(topic), "told twice");
                }
                Said::Cancel(topic) => assert!(self.held.remove(&topic), "never told"),
                Said::Ping(number) => asked = Some(number),
                Said::Withheld(..) => {}
            }
        }
        Some(asked)
    }
}

/// What was told, to keep.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Subscribe(Vec<u8>),
    Cancel(Vec<u8>),
    Ping(u64),
    Withheld(Vec<u8>, RefusalCause),
}

fn said(call: impl FnOnce(&mut dyn FnMut(Tell<'_>))) -> Vec<Said> {
    let mut all = Vec::new();
    call(&mut |tell| {
        all.push(match tell {
            Tell::Subscribe(topic) => Said::Subscribe(topic.to_vec()),
            Tell::Cancel(topic) => Said::Cancel(topic.to_vec()),
            Tell::Ping(number) => Said::Ping(number),
            Tell::Withheld(topic, cause) => Said::Withheld(topic.to_vec(), cause),
        });
    });
    all
}

/// One connection, until it ends or all has been said; says whether it stays.
fn connect(publisher: &mut Publisher, topics: &[Vec<u8>], other: &mut Other<'_>) -> bool {
    other.held.clear();
    let mut told =
        said(|tell| publisher.established(NO_LIMITS, topics.iter().cloned(), &mut |t| tell(t)));
    loop {
        let Some(asked) = other.reads(told) else {
            publisher.ended_in_doubt();
            publisher.lost();
            return false;
        };
        if asked.is_none() || !publisher.answered() {
            return true;
        }
        told = said(|tell| publisher.go_on(&mut |t| tell(t)));
    }
}

/// Connections until one stays.
fn connections(publisher: &mut Publisher, topics: &[Vec<u8>], other: &mut Other<'_>) -> usize {
    (1..=1000)
        .find(|_| connect(publisher, topics, other))
        .expect("an end")
}

#[test]
fn exactly_the_topics_that_are_too_long_are_withheld() {
    for (short, long) in [(0, 1), (1, 1), (7, 1), (100, 1), (100, 3), (3000, 1)] {
        let mut all = topics(short, 10);
        all.extend(topics(long, 5000));
        let mut other = Other {
            takes: &|topic, _| topic.len() < 1000,
            held: BTreeSet::new(),
        };
        let mut publisher = Publisher::new(Some(2));
        let count = connections(&mut publisher, &all, &mut other);
        assert!(
            count <= 6 + 4 * long,
            "{count} connections for {short} and {long}"
        );
        assert_eq!(other.held.len(), short, "all others are told");
        assert_eq!(publisher.refused.len(), long);
        // It stays so, and the next connection is told the same at once.
        assert!(connect(&mut publisher, &all, &mut other));
        assert_eq!(other.held.len(), short);
    }
}

/// Where a publisher takes none of many, finding that out does not take as many connections.
#[test]
fn many_topics_that_are_refused_take_few_connections() {
    let mut all = topics(20, 10);
    all.extend(topics(1000, 5000));
    let mut other = Other {
        takes: &|topic, _| topic.len() < 1000,
        held: BTreeSet::new(),
    };
    let mut publisher = Publisher::new(Some(2));
    let count = connections(&mut publisher, &all, &mut other);
    assert!(count < 40, "{count} connections");
    assert_eq!((other.held.len(), publisher.refused.len()), (20, 1000));
}

#[test]
fn a_publisher_with_a_limit_of_their_number_is_told_as_many() {
    let all = topics(300, 10);
    let mut other = Other {
        takes: &|_, held| held < 100,
        held: BTreeSet::new(),
    };
    let mut publisher = Publisher::new(Some(2));
    let count = connections(&mut publisher, &all, &mut other);
    assert!(count < 40, "{count} connections");
    assert_eq!((other.held.len(), publisher.refused.len()), (100, 200));
}

/// One that is merely restarted, whenever that is, loses nothing.
#[test]
fn who_answers_before_its_end_is_told_all_again() {
    let all = topics(50, 10);
    let mut other = Other {
        takes: &|_, _| true,
        held: BTreeSet::new(),
    };
    let mut publisher = Publisher::new(Some(2));
    for _ in 0..50 {
        assert!(connect(&mut publisher, &all, &mut other));
        assert_eq!(other.held.len(), 50);
        publisher.ended_in_doubt();
        publisher.lost();
    }
    assert!(publisher.refused.is_empty());
}

/// Ends at any moment are counted against nothing but the topic that was sent alone, and only in a row.
#[test]
fn breaks_in_a_row_over_the_same_topic_count() {
    let all = topics(1, 10);
    let mut publisher = Publisher::new(Some(3));
    let connect = |publisher: &mut Publisher| {
        said(|tell| publisher.established(NO_LIMITS, all.iter().cloned(), &mut |t| tell(t)))
    };
    let end = |publisher: &mut Publisher| {
        publisher.ended_in_doubt();
        publisher.lost();
    };
    assert_eq!(connect(&mut publisher), [Said::Subscribe(all[0].clone())]);
    end(&mut publisher);
    for _ in 0..3 {
        for number in 1..=2 {
            let expected = [Said::Subscribe(all[0].clone()), Said::Ping(number)];
            assert_eq!(connect(&mut publisher), expected);
            end(&mut publisher);
        }
        connect(&mut publisher);
        assert!(!publisher.answered(), "there is no more to say");
        publisher.lost();
        connect(&mut publisher);
        end(&mut publisher);
    }
    for _ in 0..3 {
        connect(&mut publisher);
        end(&mut publisher);
    }
    let cause = RefusalCause::BrokeConnections { count: 3 };
    assert_eq!(
        connect(&mut publisher),
        [Said::Withheld(all[0].clone(), cause)]
    );
    // Who subscribes again has it tried again.
    assert_eq!(
        said(|tell| publisher.unsubscribe(&all[0], &mut |t| tell(t))),
        []
    );
    assert_eq!(
        said(|tell| publisher.subscribe(&all[0], &mut |t| tell(t)))[0],
        Said::Subscribe(all[0].clone())
    );
}

#[test]
fn without_a_limit_of_attempts_nothing_is_withheld() {
    let all = topics(3, 10);
    let mut other = Other {
        takes: &|_, _| false,
        held: BTreeSet::new(),
    };
    let mut publisher = Publisher::new(None);
    for _ in 0..100 {
        assert!(!connect(&mut publisher, &all, &mut other));
    }
    assert!(publisher.refused.is_empty());
}

#[test]
fn topics_beyond_the_announced_number_wait_for_room() {
    let limits = TopicLimits {
        length: 5,
        count: 2,
    };
    let mut publisher = Publisher::new(Some(2));
    let topic = |text: &str| text.as_bytes().to_vec();
    let all = ["a", "b", "c", "too long", "d"].map(topic);
    let told = said(|tell| publisher.established(limits, all.into_iter(), &mut |t| tell(t)));
    let over = |text| Said::Withheld(topic(text), RefusalCause::TooManySubscriptions { limit: 2 });
    let expected = [
        Said::Subscribe(topic("a")),
        Said::Subscribe(topic("b")),
        over("c"),
        Said::Withheld(topic("too long"), RefusalCause::TooLarge { limit: 5 }),
        over("d"),
    ];
    assert_eq!(told, expected);
    let mut unsubscribe =
        |text: &str| said(|tell| publisher.unsubscribe(text.as_bytes(), &mut |t| tell(t)));
    assert!(unsubscribe("too long").is_empty());
    assert!(unsubscribe("d").is_empty());
    let expected = [Said::Cancel(topic("a")), Said::Subscribe(topic("c"))];
    assert_eq!(unsubscribe("a"), expected);
    assert_eq!(unsubscribe("b"), [Said::Cancel(topic("b"))]);
    assert_eq!(
        said(|tell| publisher.subscribe(b"e", &mut |t| tell(t))),
        [Said::Subscribe(topic("e"))]
    );
}

/// However topics come and go while answers are waited for, the publisher ends up with those that are wanted.
#[test]
fn changes_in_the_middle_of_a_doubt_are_not_lost() {
    let mut random = 7_u64;
    let mut below = |limit: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 33) as usize % limit
    };
    for _ in 0..500 {
        let mut publisher = Publisher::new(Some(2));
        let mut wanted: BTreeSet<Vec<u8>> = topics(below(40), 6).into_iter().collect();
        let bad = |topic: &[u8]| topic.ends_with(b"13");
        let mut other = Other {
            takes: &|topic, _| !bad(topic),
            held: BTreeSet::new(),
        };
        let mut stays = 0;
        for _ in 0..400 {
            other.held.clear();
            let mut told = said(|tell| {
                publisher.established(NO_LIMITS, wanted.clone().into_iter(), &mut |t| tell(t))
            });
            let ended = loop {
                let Some(asked) = other.reads(told) else {
                    break true;
                };
                told = Vec::new();
                let mut change = stays == 0 && below(3) == 0;
                if change {
                    let topic = format!("{:06}", below(40)).into_bytes();
                    told.extend(match wanted.remove(&topic) {
                        true => said(|tell| publisher.unsubscribe(&topic, &mut |t| tell(t))),
                        false => {
                            wanted.insert(topic.clone());
                            said(|tell| publisher.subscribe(&topic, &mut |t| tell(t)))
                        }
                    });
                }
                // Only the last PING counts.
                let asks = told.iter().any(|said| matches!(said, Said::Ping(_)));
                if asked.is_some() && !asks && publisher.answered() {
                    change = true;
                    told.extend(said(|tell| publisher.go_on(&mut |t| tell(t))));
                }
                if !change {
                    break false;
                }
            };
            if ended {
                publisher.ended_in_doubt();
            } else {
                stays += 1;
                if stays > 1 {
                    break;
                }
            }
            publisher.lost();
        }
        assert_eq!(stays, 2, "it comes to an end");
        let good = wanted.iter().filter(|topic| !bad(topic)).cloned();
        assert_eq!(other.held, good.collect());
    }
}

/// What is unread is compared with what all topics take; those that have just gone count until little is left.
#[test]
fn lags_when_far_more_is_unread_than_is_wanted() {
    let mut publisher = Publisher::new(None);
    for (unread, all, lags) in [
        (10, 0, false),
        (11, 0, true),
        (10, 100, false),
        (210, 100, false),
        (211, 100, true),
        (210, 0, false),
        (211, 0, true),
        (300, 200, false),
        (10, 1, false),
        (12, 1, false),
        (13, 1, true),
    ] {
        let said = publisher.lags(unread, all, 10);
        assert_eq!(said, lags, "{unread} of {all}");
    }
}
