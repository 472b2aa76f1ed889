//! Cursors: files in which a subscriber keeps how far it is.

use super::*;

/// The offset in a cursor of one log.
fn kept(cursor: &std::path::Path) -> Option<u64> {
    let text = std::fs::read_to_string(cursor).ok()?;
    let line = text.lines().nth(1)?.split(' ').nth(1)?;
    Some(line.parse().expect("an offset"))
}

#[test]
fn a_cursor_goes_on_where_another_subscriber_was() {
    let (folder, other) = (Folder::new("cursor"), Folder::new("other"));
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    publish(&source, "x", 0..100);
    let cursor = folder.0.with_extension("cursor");
    let resumed = || {
        let sub = subscriber(&context);
        sub.subscribe_from("x", ReplayFrom::Resume(cursor.clone()))
            .expect("subscribed");
        sub
    };
    let connected = || {
        let sub = resumed();
        sub.connect(endpoint.clone()).expect("connected");
        sub
    };
    let sub = connected();
    receive(&sub, 0..30);
    // Written by itself, but for the last message.
    until("the cursor is written", || {
        std::thread::park_timeout(GLANCE);
        let text = std::fs::read_to_string(&cursor).unwrap_or_default();
        let offset = text.lines().nth(1)?.split_once(' ')?.1;
        (offset == "30").then_some(())
    });
    sub.save_cursors().expect("written");
    receive(&connected(), 30..31);
    drop(sub);
    let sub = connected();
    receive(&sub, 31..60);
    sub.close(DEADLINE).expect("closed");
    let sub = connected();
    receive(&sub, 60..100);
    publish(&source, "x", 100..110);
    receive(&sub, 100..110);
    drop(sub);

    // Nothing is known of another log.
    let unknown = publisher(&context, other.log());
    publish(&unknown, "x", 0..5);
    let sub = resumed();
    sub.connect(unknown.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    receive(&sub, 0..5);
    drop(sub);
    publish(&source, "x", 110..111);
    receive(&connected(), 110..111);

    std::fs::write(&cursor, "something else").expect("written");
    let refused = subscriber(&context).subscribe_from("x", ReplayFrom::Resume(cursor.clone()));
    let kind = std::io::ErrorKind::InvalidData;
    assert_eq!(refused, Err(SubscribeError::Cursor { kind }));
    std::fs::remove_file(&cursor).expect("removed");
}

/// The file has as many lines as it can have.
#[test]
fn a_cursor_goes_on_however_many_logs_there_have_been() {
    let folder = Folder::new("many");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    publish(&source, "x", 0..20);
    let cursor = folder.0.with_extension("cursor");
    let mut text = String::from("zerohop cursor 1\n");
    while text.len() + 36 <= 1 << 20 {
        let number = text.len();
        text += &format!("{number:032x} 10\n");
    }
    std::fs::write(&cursor, text).expect("written");
    for messages in [0..10, 10..20] {
        let sub = subscriber(&context);
        sub.subscribe_from("x", ReplayFrom::Resume(cursor.clone()))
            .expect("subscribed");
        sub.connect(endpoint.clone()).expect("connected");
        receive(&sub, messages);
        sub.close(DEADLINE).expect("closed");
    }
    std::fs::remove_file(&cursor).expect("removed");
}

#[test]
fn a_cursor_is_not_set_back_by_another_topic() {
    let folder = Folder::new("back");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    for i in 0..200 {
        publish(&source, ["a", "b"][i as usize % 2], i..i + 1);
    }
    let cursor = folder.0.with_extension("cursor");
    let sub = subscriber(&context);
    sub.subscribe_from("a", ReplayFrom::Resume(cursor.clone()))
        .expect("subscribed");
    sub.connect(source.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connected");
    for i in 0..100 {
        assert_eq!(next_offset(&sub), 2 * i + 1);
    }
    until("the cursor is written", || {
        std::thread::park_timeout(GLANCE);
        (kept(&cursor) == Some(199)).then_some(())
    });
    sub.subscribe_from("b", ReplayFrom::Offset(1))
        .expect("subscribed");
    for i in 0..10 {
        assert_eq!(next_offset(&sub), 2 * i + 2);
    }
    let now = until("it is written again", || {
        std::thread::park_timeout(GLANCE);
        kept(&cursor).filter(|now| *now != 199)
    });
    assert!(now >= 200, "all of it has been received: {now}");
    std::fs::remove_file(&cursor).expect("removed");
}

#[test]
fn a_topic_that_is_unsubscribed_leaves_its_cursor_where_it_was() {
    let folder = Folder::new("leave");
    let context = Context::new();
    let source = publisher(&context, folder.log());
    let cursor = folder.0.with_extension("cursor");
    publish(&source, "x", 0..100);
    let sub = subscriber(&context);
    let resume = |sub: &Sub| sub.subscribe_from("x", ReplayFrom::Resume(cursor.clone()));
    resume(&sub).expect("subscribed");
    let endpoint = source.bind("tcp://127.0.0.1:*").expect("bound");
    sub.connect(endpoint.clone()).expect("connected");
    receive(&sub, 0..50);
    sub.unsubscribe("x").expect("unsubscribed");
    assert_eq!(kept(&cursor), Some(51));
    // Who only wants what is new is no reason to go on with it.
    sub.subscribe("x").expect("subscribed");
    until("something new", || {
        publish(&source, "x", 100..101);
        sub.recv_timeout(GLANCE).ok()
    });
    sub.save_cursors().expect("saved");
    sub.unsubscribe("x").expect("unsubscribed");
    assert_eq!(kept(&cursor), Some(51));
    drop(sub);
    let sub = subscriber(&context);
    resume(&sub).expect("subscribed");
    sub.connect(endpoint).expect("connected");
    receive(&sub, 50..100);
    drop(sub);
    std::fs::remove_file(&cursor).expect("removed");
}

/// Where logs come and go, a topic with a cursor goes on in each where it was.
#[test]
fn a_cursor_goes_on_in_a_log_that_was_forgotten() {
    let folder = Folder::new("forgotten");
    std::fs::create_dir(&folder.0).expect("made");
    let context = Context::new();
    let sub = subscriber(&context);
    sub.subscribe_from("x", ReplayFrom::Resume(folder.0.join("cursor")))
        .expect("subscribed");
    let endpoint = sub.bind("tcp://127.0.0.1:*").expect("bound").to_string();
    let come = |log: u8| {
        let mut peer = RawPeer::connect(&endpoint);
        hello(&mut peer, "PUB", Some(&[&[1][..], &[log; 16]].concat()));
        let (_, asked) = peer.read_frame();
        (peer, asked)
    };
    let monitor = sub.monitor();
    for log in 0..200 {
        let (mut peer, asked) = come(log);
        assert!(
            asked.starts_with(b"\x06REPLAY\x02"),
            "the last of them: {asked:?}"
        );
        peer.write(&command("START", b"\0\x01"));
        peer.write(&command("AT", b"\0\x05"));
        peer.write(&[frame(MORE, b"x"), frame(0, b"0")].concat());
        assert_eq!(next_offset(&sub), 5);
        drop(peer);
        wait_for_end(&monitor);
    }
    for log in [0, 100, 199] {
        let (_, asked) = come(log);
        assert_eq!(asked, b"\x06REPLAY\x01\x06x");
    }
}
