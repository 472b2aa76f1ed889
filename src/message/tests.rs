use std::collections::HashSet;

use super::*;

/// Whether the invariant of `Repr` holds.
fn sound(message: &Message) -> bool {
    match &message.0 {
        Repr::One(_) => true,
        Repr::Many(frames) => frames.len() > 1,
    }
}

#[test]
fn bytes_are_one_frame_and_collections_of_bytes_are_several() {
    let singles = [
        Message::from("ab"),
        Message::from(String::from("ab")),
        Message::from(&String::from("ab")),
        Message::from(b"ab"),
        Message::from(*b"ab"),
        Message::from(b"ab".as_slice()),
        Message::from(b"ab".to_vec()),
        Message::from(&b"ab".to_vec()),
        Message::from(Bytes::from_static(b"ab")),
        Message::from(&Bytes::from_static(b"ab")),
        Message::from(Frame::from("ab")),
        Message::from(&Frame::from("ab")),
        Message::from(vec!["ab"]),
        Message::from(["ab"]),
    ];
    for message in singles {
        assert_eq!(message, "ab");
        assert!(!message.is_multipart() && sound(&message));
    }
    let (a, b): (&[u8], &[u8]) = (b"a", b"b");
    let several = [
        Message::from(["a", "b"]),
        Message::from([a, b]),
        Message::from([a.to_vec(), b.to_vec()]),
        Message::from([String::from("a"), String::from("b")]),
        Message::from([Bytes::from_static(a), Bytes::from_static(b)]),
        Message::from([Frame::from(a), Frame::from(b)]),
        Message::from(vec!["a", "b"]),
        Message::from(vec![a, b]),
        Message::from(vec![a.to_vec(), b.to_vec()]),
        Message::from(vec![String::from("a"), String::from("b")]),
        Message::from(vec![Bytes::from_static(a), Bytes::from_static(b)]),
        Message::from(vec![Frame::from(a), Frame::from(b)]),
        Message::from(["a", "b"].as_slice()),
        Message::from([a, b].as_slice()),
        Message::from(&["a", "b"]),
        ["a", "b"].into_iter().collect(),
    ];
    for message in several {
        assert_eq!(message, ["a", "b"]);
        assert_eq!(message, [a, b]);
        assert!(message.is_multipart() && sound(&message));
    }
}

#[test]
fn a_message_always_has_a_frame() {
    let empty = [
        Message::new(),
        Message::default(),
        Message::from(Vec::<Frame>::new()),
        Message::from(Vec::<&str>::new()),
        Message::from(<[String; 0]>::default()),
        Message::from_frames(Vec::<Frame>::new()),
    ];
    for mut message in empty {
        assert_eq!((message.parts(), message.size()), (1, 0));
        assert_eq!(message.first(), "");
        assert_eq!(message.get(0), Some(&Frame::new()));
        assert_eq!(message.get(1), None);
        assert_eq!(message.pop_front(), None);
        assert_eq!(message.frames().len(), 1);
        assert_eq!(message.into_frames().count(), 1);
    }
}

#[test]
fn frames_are_pushed_and_popped_at_the_front() {
    let mut message = Message::from("c");
    message.push_front("b");
    message.push_front("a");
    message.push_back("d");
    assert_eq!(message, ["a", "b", "c", "d"]);
    assert_eq!(message.size(), 4);
    for expected in ["a", "b", "c"] {
        assert_eq!(message.pop_front().as_deref(), Some(expected.as_bytes()));
        assert!(sound(&message));
    }
    assert_eq!(message.pop_front(), None);
    assert_eq!(message, "d");
}

#[test]
fn iterators_run_both_ways_and_know_their_length() {
    for parts in 1..5 {
        let message = Message::from_frames((0..parts).map(|n: u32| n.to_string()));
        let forward: Vec<_> = message.frames().cloned().collect();
        let mut backward: Vec<_> = message.clone().into_iter().rev().collect();
        backward.reverse();
        assert_eq!(forward, backward);
        assert_eq!(message.frames().len(), message.parts());
        assert_eq!(Message::from(forward), message);
        assert_eq!((&message).into_iter().count(), message.parts());
    }
}

#[test]
fn equality_and_hash_see_where_frames_end() {
    let mut set = HashSet::new();
    assert!(set.insert(Message::from(["ab", "c"])));
    assert!(set.insert(Message::from(["a", "bc"])));
    assert!(set.insert(Message::from("abc")));
    assert!(!set.insert(Message::from(["abc"])));
    assert_ne!(Message::from(["ab", ""]), "ab");
    assert_ne!(Message::from(["ab", ""]), ["ab"]);
}

#[test]
fn debug_is_short() {
    let message = Message::from(["a", "b"]);
    assert_eq!(
        format!("{message:?}"),
        r#"Message[Frame("a", 1 byte), Frame("b", 1 byte)]"#
    );
    let long = format!("{:?}", Message::from_frames(vec!["x".repeat(1000); 1000]));
    assert!(long.ends_with("996 more frames]"), "{long}");
    assert!(long.len() < 600, "{long}");
}

#[test]
fn payloads_say_what_is_best_copied() {
    let (short, long) = (vec![1; COPY_MAX - 1], vec![1; COPY_MAX]);
    assert!(short.as_single().is_some());
    assert!(long.as_single().is_none());
    assert!(long.as_slice().as_single().is_some());
    assert!(<&Vec<u8> as Payload>::as_single(&&long).is_some());
    assert!([1u8; COPY_MAX].as_single().is_some());
    assert!(Bytes::from(short.clone()).as_single().is_some());
    assert!(Bytes::from(long.clone()).as_single().is_none());
    assert!(Frame::from(short.clone()).as_single().is_some());
    assert!(Message::from(long.clone()).as_single().is_none());
    assert!(Message::from("short").as_single().is_some());
    assert!(<&Message as Payload>::as_single(&&Message::from("short")).is_some());
    assert!(["a"].as_single().is_none());
    assert!(Message::from(["a", "b"]).as_single().is_none());
    let address = long.as_ptr();
    assert_eq!(long.into_message().first().as_ptr(), address);
}

#[test]
fn whatever_says_single_is_that_frame() {
    fn check(payload: impl Payload) {
        if let Some(bytes) = payload.as_single().map(<[u8]>::to_vec) {
            assert_eq!(payload.into_message(), bytes);
        }
    }
    check("text");
    check(b"text");
    check(String::from("text"));
    check(vec![0; 1 << 20]);
    check(vec![0; 1 << 20].as_slice());
    check(Bytes::from_static(b""));
    check(Message::new());
    let frame = Frame::from("text");
    check(&frame);
    check(frame);
    check(["a", "b"]);
}
