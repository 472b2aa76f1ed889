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
