//! `zerohop proxy` between a source, a worker and a watcher.

use super::program::Program;

#[test]
fn a_proxy_passes_messages_on_and_shows_them() {
    let mut proxy = Program::start(&[
        "proxy",
        "--frontend",
        "pull:bind:tcp://127.0.0.1:*",
        "--backend",
        "push:bind:tcp://127.0.0.1:*",
        "--capture",
        "tcp://127.0.0.1:*",
    ]);
    // It opens the receiving end last, when all else is ready.
    let (backend, capture, frontend) = (proxy.bound(), proxy.bound(), proxy.bound());
    let mut watcher = Program::start(&["sub", "--connect", &capture, "--count", "1"]);
    let worker = Program::start(&["pull", "--connect", &backend]);
    let mut source = Program::start(&["push", "--connect", &frontend]);
    // Whether the watcher has subscribed in time can only be seen by trying.
    let mut sent = 0;
    while !watcher.has_ended() {
        source.write(&format!("job {sent}"));
        assert_eq!(worker.line(), format!("job {sent}"));
        sent += 1;
    }
    assert!(watcher.end().ok().starts_with("job "));
    proxy.interrupt();
    assert_eq!(proxy.end().code, Some(130));
}

/// What has come in and could not go out is not passed over in silence.
#[test]
fn a_proxy_that_ends_tells_what_it_could_not_pass_on() {
    let mut proxy = Program::start(&[
        "proxy",
        "--frontend",
        "pull:bind:tcp://127.0.0.1:*",
        "--backend",
        "push:connect:ipc:///no/such/socket",
        "--timeout",
        "500ms",
        "--linger",
        "100ms",
    ]);
    let frontend = proxy.bound();
    let push = Program::start(&["push", "--connect", &frontend, "-m", "x"]);
    assert_eq!(push.end().code, Some(0));
    proxy.err_line("1 message was not sent in time");
    proxy.err_line("no message came in time");
    assert_eq!(proxy.end().code, Some(3));
}

fn proxy(frontend: &str, backend: &str, more: &[&str]) -> (Program, String, String) {
    let side = |socket_type: &str| format!("{socket_type}:bind:tcp://127.0.0.1:*");
    let (frontend, backend) = (side(frontend), side(backend));
    let args = ["proxy", "--frontend", &frontend, "--backend", &backend];
    let mut proxy = Program::start(&[&args[..], more].concat());
    let backend = proxy.bound();
    let frontend = proxy.bound();
    (proxy, frontend, backend)
}

/// Several clients and servers, and every reply comes back to who asked.
#[test]
fn a_queue_passes_requests_on_and_replies_back() {
    let (proxy, clients, servers) = proxy("router", "dealer", &[]);
    let _servers = [(); 2].map(|()| Program::start(&["rep", "--echo", "--connect", &servers]));
    let mut asking = [(); 3].map(|()| Program::start(&["req", "--connect", &clients]));
    for round in 0..10 {
        for (number, req) in asking.iter_mut().enumerate() {
            req.write(&format!("{number} {round}"));
        }
        for (number, req) in asking.iter().enumerate() {
            assert_eq!(req.line(), format!("{number} {round}"));
        }
    }
    // A client that sends on without waiting.
    let args = ["--parts", "|", "--count", "100", "--repeat", "100"];
    let dealer = Program::start(
        &[
            &["dealer", "--connect", &clients, "-m", "1||again"][..],
            &args,
        ]
        .concat(),
    );
    assert_eq!(dealer.wait().ok(), "1||again\n".repeat(100));
    proxy.interrupt();
    let ended = proxy.end();
    assert_eq!((ended.code, ended.err.len()), (Some(130), 0), "{ended:?}");
}

/// Subscriptions go up, messages down, and what nobody wants stays with the publisher.
#[test]
fn a_forwarder_joins_publishers_and_subscribers() {
    let (proxy, publishers, subscribers) = proxy("xsub", "xpub", &["--hwm", "0"]);
    let subscribed = ["--subscriptions", "--wait-subscribers", "1"];
    let mut publisher =
        Program::start(&[&["xpub", "--connect", &publishers][..], &subscribed].concat());
    let sub = |topic: &str| Program::start(&["sub", "--connect", &subscribers, "--topic", topic]);
    let first = sub("news");
    assert_eq!(publisher.err_line("news"), "+news");
    let second = sub("new");
    assert_eq!(publisher.err_line("new"), "+new");
    let third = sub("weather");
    assert_eq!(publisher.err_line("weather"), "+weather");
    publisher.write("weather: sunny");
    assert_eq!(third.line(), "weather: sunny");
    publisher.write("nobody wants this");
    publisher.write("news: all is well");
    assert_eq!(first.line(), "news: all is well");
    assert_eq!(second.line(), "news: all is well");
    drop(third);
    assert_eq!(publisher.err_line("weather"), "-weather");
    drop(second);
    assert_eq!(publisher.err_line("new"), "-new");
    drop(first);
    assert_eq!(publisher.err_line("news"), "-news");
    proxy.interrupt();
    assert_eq!(proxy.end().code, Some(130));
}

#[test]
fn sides_that_do_not_go_together_are_wrong_usage() {
    let args = [
        "proxy",
        "--frontend",
        "router:bind:ipc://@a",
        "--backend",
        "push:bind:ipc://@b",
    ];
    let ended = Program::start(&args).end();
    assert_eq!(ended.code, Some(2));
    assert!(ended.err[0].contains("router with dealer"), "{ended:?}");
}

/// Nothing for as long as the time-out is the end, and something from either side is not nothing.
#[test]
fn a_queue_ends_when_nothing_comes_in_time() {
    let (proxy, clients, servers) = proxy("router", "dealer", &["--timeout", "500ms"]);
    let _server = Program::start(&["rep", "--echo", "--connect", &servers]);
    let mut req = Program::start(&["req", "--connect", &clients]);
    req.write("one");
    assert_eq!(req.line(), "one");
    assert_eq!(proxy.wait().code, Some(3));
}
