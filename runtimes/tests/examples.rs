//! The examples on runtimes, run the way a newcomer runs them. `cargo test` builds them before it runs this.

use std::env;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// How long an example may take; none comes near it.
const DEADLINE: Duration = Duration::from_secs(120);

/// What the example prints, once it has ended well.
fn run(name: &str) -> String {
    let test = env::current_exe().expect("this test is a file");
    let folder = test.parent().and_then(|deps| deps.parent());
    let binary = folder.expect("target/*/deps").join("examples").join(name);
    assert!(
        binary.exists(),
        "{} is missing: run all of `cargo test -p zerohop-runtimes`",
        binary.display()
    );
    let child = Command::new(binary)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the example starts");
    let (sender, output) = channel();
    thread::spawn(move || sender.send(child.wait_with_output()));
    let output = output.recv_timeout(DEADLINE);
    let output = output.expect("the example ends by itself");
    let output = output.expect("the example can be waited for");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", output.status);
    String::from_utf8(output.stdout).expect("examples print text")
}

#[test]
fn a_web_server_answers_and_books_512_requests_at_once() {
    assert_eq!(run("axum_shop"), "512 answered, 512 booked\n");
}

#[test]
fn a_descriptor_in_tokios_loop_misses_nothing() {
    assert_eq!(run("async_fd"), "1000 messages, sum 500500\n");
}

#[test]
fn a_descriptor_in_mios_loop_misses_nothing() {
    assert_eq!(run("mio_loop"), "1000 orders, 1 asked: at work\n");
}

#[test]
fn workers_on_tokio_handle_everything() {
    assert_eq!(
        run("tokio_workers"),
        "1000 orders handled by 4 workers, sum 499500\n"
    );
}

#[test]
fn smol_relays_everything() {
    assert_eq!(run("smol_relay"), "1000 of 1000 in order\n");
}
