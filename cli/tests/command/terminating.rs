//! SIGTERM, by which whoever supervises a service ends it: 0 says that nothing was left undone.

use rustix::process::Signal;

use super::ending::nobody;
use super::program::Program;

const ANY: &str = "tcp://127.0.0.1:*";

#[test]
fn a_service_that_is_terminated_ends_well() {
    let frontend = format!("pull:bind:{ANY}");
    let backend = format!("push:bind:{ANY}");
    for args in [
        &["pull", "-b", ANY][..],
        &["pull", "-b", ANY, "--exec", "cat", "--jobs", "3"],
        &["sub", "-b", ANY],
        &["push", "-b", ANY],
        &["pub", "-b", ANY],
        &["push", "-b", ANY, "--wait-peers", "1"],
        &["pub", "-b", ANY, "--wait-subscribers", "1"],
        &["req", "-b", ANY],
        &["rep", "-b", ANY, "--echo"],
        &["rep", "-b", ANY, "--exec", "cat", "--jobs", "3"],
        &["proxy", "--frontend", &frontend, "--backend", &backend],
    ] {
        let mut program = Program::start(args);
        program.bound();
        program.signal(Signal::TERM);
        let ended = program.wait();
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:#?}");
        let told: Vec<_> = ended
            .err
            .iter()
            .filter(|line| !line.contains("listening at"))
            .collect();
        assert!(told.is_empty(), "{args:?}: {ended:#?}");
    }
}

/// What was taken in is passed on before.
#[test]
fn what_was_read_leaves_before_the_end() {
    let mut push = Program::start(&["push", "-b", ANY, "--stats"]);
    let endpoint = push.bound();
    let first = Program::start(&["pull", "-c", &endpoint, "-n", "1"]);
    push.write("one\ntwo\nthree");
    assert_eq!(first.end().ok(), "one\n");
    // Read ahead and lost with the first reader, or still to be sent: nothing of it is in the input any more.
    let mut second = Program::start(&["pull", "-c", &endpoint, "-v"]);
    second.err_line("handshake done");
    push.write("four");
    while second.line() != "four" {}
    push.signal(Signal::TERM);
    let ended = push.wait();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}

#[test]
fn what_is_left_undone_is_143() {
    let dead = nobody();
    for args in [
        &["pull", "-b", ANY, "-n", "1"][..],
        &["pull", "-b", ANY, "-n", "1", "--exec", "cat"],
        &["push", "-b", ANY, "-m", "x"],
        &["push", "-b", ANY, "--whole"],
        &["req", "-b", ANY, "-m", "x"],
    ] {
        let mut program = Program::start(args);
        program.bound();
        program.signal(Signal::TERM);
        let ended = program.wait();
        assert_eq!(ended.code, Some(128 + 15), "{args:?}: {ended:#?}");
    }
    let mut push = Program::start(&["push", "-c", &dead, "--linger", "200ms", "-v"]);
    push.write("nobody takes it");
    // By the third attempt it has read the line.
    for _ in 0..3 {
        push.err_line("next attempt in");
    }
    push.signal(Signal::TERM);
    let ended = push.wait();
    assert_eq!(ended.code, Some(128 + 15), "{ended:#?}");
    assert!(
        ended.err.concat().contains("1 message was not sent"),
        "{ended:#?}"
    );
}
