//! Logs that keep the newest messages of each topic.

use super::*;

#[derive(Default)]
struct Given {
    messages: Vec<(String, u64)>,
    gaps: Vec<(u64, u64)>,
}

/// All that a late subscriber is given, up to the message with this number.
#[track_caller]
fn given(context: &Context, endpoint: &zerohop::Endpoint, from: ReplayFrom, upto: u64) -> Given {
    let late = subscriber(context);
    late.subscribe_from("", from).expect("subscribed");
    late.connect(endpoint.clone()).expect("connected");
    let mut given = Given::default();
    loop {
        match next(&late) {
            Logged::Message { message, .. } => {
                let topic = message.first().to_str().expect("text");
                given.messages.push((topic.to_owned(), number(&message)));
                if number(&message) == upto {
                    return given;
                }
            }
            Logged::Gap(gap) => given.gaps.push((gap.first, gap.last)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn late_subscribers_get_the_last_values_and_go_on_with_live_ones() {
    let (folder, left) = (Folder::new("last"), Folder::new("last-left"));
    let context = Context::new();
    let in_memory = || Log::memory(1_000_000).keep_last(1);
    let kept = || Log::at(&left.0).keep_last(1);
    for log in [in_memory(), Log::at(&folder.0).keep_last(1)] {
        let has_folder = log != in_memory();
        let source = publisher(&context, log);
        let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
        let early = subscriber(&context);
        early.subscribe("").expect("subscribed");
        early.connect(endpoint.clone()).expect("connected");
        source
            .wait_for_subscribers("", 1, DEADLINE)
            .expect("subscribed");
        for number in 0..300 {
            let topic = ["eur", "eur/usd", "gbp"][number as usize % 3];
            publish(&source, topic, number..number + 1);
        }
        publish(&source, "rare", 300..301);
        publish(&source, "eur", 301..302);
        // Whoever keeps up has all of them.
        receive(&early, 0..302);
        let values = [("eur/usd", 298), ("gbp", 299), ("rare", 300), ("eur", 301)];
        let values = values.map(|(topic, number)| (topic.to_owned(), number));
        for from in [
            ReplayFrom::Last(u64::MAX),
            ReplayFrom::Offset(1),
            ReplayFrom::Time(std::time::UNIX_EPOCH),
        ] {
            let given = given(&context, &endpoint, from, 301);
            assert_eq!(given.messages, values);
            assert_eq!(given.gaps, [], "newer ones took the place of the others");
        }
        let late = subscriber(&context);
        late.subscribe_from("eur", ReplayFrom::Last(2))
            .expect("two");
        late.connect(endpoint.clone()).expect("connected");
        receive(&late, 298..299);
        receive(&late, 301..302);
        publish(&source, "eur", 302..310);
        receive(&late, 302..310);
        receive(&early, 302..310);
        if !has_folder {
            continue;
        }
        // A kill leaves the files as they are.
        source.commit().expect("written");
        copy(&folder, &left);
        source.unbind(endpoint.clone()).expect("unbound");
        source.close(DEADLINE).expect("closed");
        let again = publisher(&context, kept());
        let endpoint = again.bind("tcp://127.0.0.1:*").expect("bound");
        publish(&again, "eur", 310..311);
        let given = given(&context, &endpoint, ReplayFrom::Last(u64::MAX), 310);
        let mut values = values.to_vec();
        values[3].1 = 310;
        assert_eq!(given.messages, values);
        // Nobody knows what else it may have published.
        assert_eq!(given.gaps, [(311, (2 << 32) - 1)]);
    }
}

#[test]
fn last_values_go_by_size_and_what_went_is_told() {
    let folder = Folder::new("last-size");
    let context = Context::new();
    let log = Log::at(&folder.0).keep(100_000).keep_last(2);
    let source = publisher(&context, log);
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    let body = "z".repeat(1000);
    // Two of each topic: 2 MB, of which the newest stay.
    for number in 0_u64..2000 {
        let message = [&*(number / 4).to_string(), &number.to_string(), &body];
        source.send(message).expect("published");
        if number % 100 == 99 {
            source.commit().expect("written");
        }
    }
    let all = || given(&context, &endpoint, ReplayFrom::Offset(1), 1999);
    until("the oldest to go", || {
        (all().messages.len() < 200).then_some(())
    });
    let given = all();
    let first = given.messages[0].1;
    let expected: Vec<u64> = (first..2000).filter(|number| number % 4 >= 2).collect();
    let numbers: Vec<u64> = given.messages.iter().map(|(_, number)| *number).collect();
    assert_eq!(numbers, expected);
    assert!(numbers.len() >= 90, "{} are kept", numbers.len());
    // What was let go, with what had gone before, and nothing else: the offset is the number and one.
    let (from, to) = given.gaps[0];
    assert_eq!((given.gaps.len(), from), (1, 1));
    assert!((first - 2..=first).contains(&to), "{to} {first}");
}

/// The bytes of all files.
fn bytes_on_disk(folder: &Folder) -> u64 {
    let entries = std::fs::read_dir(&folder.0).expect("a folder");
    let lengths = entries.map(|entry| entry.and_then(|entry| entry.metadata()));
    // One that has gone just now has none.
    lengths.filter_map(Result::ok).map(|file| file.len()).sum()
}

/// `ZEROHOP_MESSAGES` says how many instead of 200,000.
#[test]
fn one_topic_that_is_published_for_ever_takes_little_room() {
    const KEEP: u64 = 1 << 20;
    let messages = std::env::var("ZEROHOP_MESSAGES").ok();
    let messages = messages
        .and_then(|text| text.parse().ok())
        .unwrap_or(200_000);
    let folder = Folder::new("room");
    let context = Context::new();
    let log = || Log::at(&folder.0).keep(KEEP).keep_last(1);
    let source = publisher(&context, log());
    publish(&source, "rare", 0..1);
    let mut most = 0;
    for number in (1..messages).step_by(10_000) {
        publish(&source, "often", number..number + 10_000);
        most = most.max(bytes_on_disk(&folder));
    }
    // Without `keep_last` they have 9 MB. What waits in memory when the thread gets to it may be a megabyte.
    assert!(most <= KEEP + 2 * (1 << 20), "{most} bytes");
    source.close(DEADLINE).expect("closed");
    assert!(bytes_on_disk(&folder) <= KEEP + (1 << 20));
    let source = publisher(&context, log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    let last = (1..messages).step_by(10_000).last().expect("some") + 9_999;
    let given = given(&context, &endpoint, ReplayFrom::Last(u64::MAX), last);
    assert_eq!(
        given.messages,
        [("rare".to_owned(), 0), ("often".to_owned(), last)]
    );
    assert_eq!(given.gaps, []);
}
