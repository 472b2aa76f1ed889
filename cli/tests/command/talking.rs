//! Commands that send and receive at once: `dealer`, `router`, and what `xpub` tells beside what it sends.

use rustix::process::Signal;

use super::program::{Ended, Program};

fn start(args: &[&str]) -> (Program, String) {
    let mut program = Program::start(&[args, &["--bind", "tcp://127.0.0.1:*"]].concat());
    let endpoint = program.bound();
    (program, endpoint)
}

/// Runs a command to its end, with this input.
fn run(args: &[&str], input: &[u8]) -> Ended {
    let mut program = Program::start(args);
    program.write_bytes(input);
    program.end()
}

#[test]
fn a_dealer_prints_what_comes_back_and_ends_with_its_count() {
    let (router, endpoint) = start(&["router", "--echo"]);
    let connect = ["dealer", "--connect", &endpoint];
    let mut dealer = Program::start(&[&connect[..], &["--count", "3"]].concat());
    dealer.write("one");
    assert_eq!(dealer.line(), "one");
    dealer.write("two");
    assert_eq!(dealer.line(), "two");
    dealer.write("three");
    // Although its input is still open.
    assert_eq!(dealer.wait().ok(), "three\n");

    // The end of the input is not the end.
    let texts = [
        "--message",
        "a",
        "--message",
        "b",
        "--repeat",
        "2",
        "-n",
        "4",
    ];
    let dealer = run(&[&connect[..], &texts].concat(), b"");
    assert_eq!(dealer.ok(), "a\nb\na\nb\n");
    let dealer = run(
        &[&connect[..], &["--parts", ",", "-n", "2"]].concat(),
        b"a,b\nc\n",
    );
    assert_eq!(dealer.ok(), "a,b\nc\n");

    // Nothing comes any more.
    let ended = run(&[&connect[..], &["--timeout", "300ms"]].concat(), b"last\n");
    assert_eq!((ended.code, &*ended.out), (Some(3), "last\n"));
    assert!(
        ended.err[0].contains("no message came in time"),
        "{ended:?}"
    );
    router.interrupt();
    assert_eq!(router.end().code, Some(130));
}

/// Ctrl-C ends it at once, before and after the end of its input.
#[test]
fn a_dealer_is_interrupted() {
    let (router, endpoint) = start(&["router", "--echo"]);
    for closes in [false, true] {
        let mut dealer = Program::start(&["dealer", "--connect", &endpoint]);
        dealer.write("hello");
        assert_eq!(dealer.line(), "hello");
        if closes {
            dealer.close_input();
        }
        dealer.interrupt();
        let ended = dealer.wait();
        assert_eq!((ended.code, ended.err.len()), (Some(130), 0), "{ended:?}");
    }
    drop(router);
}

/// What it could not send it tells.
#[test]
fn a_dealer_without_a_peer_says_so() {
    let ended = run(
        &[
            "dealer",
            "--connect",
            "ipc:///no/such/socket",
            "--timeout",
            "300ms",
            "--linger",
            "100ms",
        ],
        b"x\n",
    );
    assert_eq!(ended.code, Some(3), "{ended:?}");
}

#[test]
fn a_dealer_asks_a_rep_in_frames() {
    let (rep, endpoint) = start(&["rep", "--echo"]);
    let args = ["dealer", "--connect", &endpoint, "--parts", "|", "-n", "2"];
    let dealer = run(&args, b"1||first\n2||second\n");
    assert_eq!(dealer.ok(), "1||first\n2||second\n");
    drop(rep);
}

#[test]
fn a_router_names_who_speaks_and_sends_to_whom_it_names() {
    let (mut router, endpoint) = start(&["router", "--count", "5"]);
    let dealer = |name: &str| {
        let args = ["dealer", "--connect", &endpoint, "--identity", name];
        Program::start(&args)
    };
    let (mut one, mut other) = (dealer("one"), dealer("0x6f"));
    // Each is known as soon as it is there.
    let mut known = [router.line(), router.line()];
    known.sort();
    assert_eq!(known, ["0x30783666\t", "one\t"]);
    one.write("hello");
    assert_eq!(router.line(), "one\thello");
    other.write("hello, too");
    assert_eq!(router.line(), "0x30783666\thello, too");
    router.write("0x30783666\tfor the other");
    router.write("nobody\tlost");
    router.err_line("not sent: no peer has this routing id");
    router.write("no name");
    router.write("one\twith\ta tab");
    assert_eq!(other.line(), "for the other");
    assert_eq!(one.line(), "with\ta tab");
    one.write("goodbye");
    let ended = router.wait();
    assert_eq!((ended.code, &*ended.out), (Some(1), "one\tgoodbye\n"));
    assert_eq!(ended.err, ["zerohop: 2 messages were refused"]);
}

/// A peer without a name has one that is no text, and reads back.
#[test]
fn a_router_answers_who_has_no_name() {
    let (mut router, endpoint) = start(&["router"]);
    let mut dealer = Program::start(&["dealer", "--connect", &endpoint, "-n", "1"]);
    dealer.write("price?");
    let asked = router.line();
    let (name, question) = asked.split_once('\t').expect("a name and a question");
    assert!(name.starts_with("0x00") && name.len() == 12, "{asked}");
    assert_eq!(question, "price?");
    router.write(&format!("{name}\t9.99"));
    assert_eq!(dealer.wait().ok(), "9.99\n");
    let json = ["--format", "json", "--count", "1"];
    let (router, endpoint) = start(&[&["router"][..], &json].concat());
    let _dealer = Program::start(&["dealer", "--connect", &endpoint, "--identity", "me"]);
    assert_eq!(router.wait().ok(), "[\"me\",\"\"]\n");
}

#[test]
fn a_router_that_echoes_answers_a_req() {
    let (router, endpoint) = start(&["router", "--echo", "--count", "2"]);
    let req = run(&["req", "--connect", &endpoint], b"one\ntwo\n");
    assert_eq!(req.ok(), "one\ntwo\n");
    assert_eq!(router.wait().code, Some(0));
}

#[test]
fn an_xpub_tells_who_subscribes() {
    let (mut xpub, endpoint) = start(&["xpub", "--subscriptions", "--wait-subscribers", "1"]);
    let sub = |command: &str, topic: &str| {
        Program::start(&[command, "--connect", &endpoint, "--topic", topic])
    };
    let first = sub("sub", "news");
    assert_eq!(xpub.err_line("news"), "+news");
    let second = sub("xsub", "new");
    assert_eq!(xpub.err_line("new"), "+new");
    let third = sub("xsub", "we\nather");
    assert_eq!(xpub.err_line("ather"), "+we\\nather");
    xpub.write("news: all is well");
    assert_eq!(first.line(), "news: all is well");
    assert_eq!(second.line(), "news: all is well");
    drop(second);
    assert_eq!(xpub.err_line("new"), "-new");
    drop(first);
    assert_eq!(xpub.err_line("news"), "-news");
    drop(third);
    assert_eq!(xpub.err_line("ather"), "-we\\nather");
    assert!(xpub.end().ok().is_empty());
}

/// It listens also when it says nothing, and sends all that it has read before it ends.
#[test]
fn an_xpub_sends_what_it_has_read() {
    let (mut xpub, endpoint) = start(&["xpub", "--wait-subscribers", "1", "--stats"]);
    let xsub = Program::start(&["xsub", "--connect", &endpoint, "--count", "1000"]);
    let lines: String = (0..1000).map(|number| format!("{number}\n")).collect();
    xpub.write_bytes(lines.as_bytes());
    let ended = xpub.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err[0].contains("1000"), "{ended:?}");
    assert_eq!(xsub.wait().ok(), lines);
}

/// Two programs that talk; a third is not let in.
#[test]
fn a_pair_is_a_line_in_both_directions() {
    let (mut one, endpoint) = start(&["pair"]);
    let mut other = Program::start(&["pair", "--connect", &endpoint, "--count", "2"]);
    other.write("hello");
    assert_eq!(one.line(), "hello");
    let third = run(&["pair", "--connect", &endpoint, "--timeout", "300ms"], b"");
    assert_eq!((third.code, &*third.out), (Some(3), ""), "{third:?}");
    one.write("hello, too");
    assert_eq!(other.line(), "hello, too");
    one.write("goodbye");
    assert_eq!(other.wait().ok(), "goodbye\n");
    one.interrupt();
    assert_eq!(one.end().code, Some(130));
}

/// SIGTERM is a good end if nothing is left undone.
#[test]
fn a_dealer_that_is_terminated_says_whether_something_is_left() {
    let (_router, endpoint) = start(&["router", "--echo"]);
    for (count, code) in [(&[][..], 0), (&["--count", "2"][..], 143)] {
        let mut dealer = Program::start(&[&["dealer", "--connect", &endpoint], count].concat());
        dealer.write("hello");
        assert_eq!(dealer.line(), "hello");
        dealer.signal(Signal::TERM);
        let ended = dealer.wait();
        assert_eq!(ended.code, Some(code), "{ended:?}");
    }
}
