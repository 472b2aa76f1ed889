//! Sockets that whoever starts the program has opened for it, as systemd does.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use super::program::run;
use crate::common::unique;
use crate::zerohop;

/// Starts the command with this as descriptor 3, sends it a message, and gives how it has ended.
fn serve(listener: OwnedFd, endpoint: &str, args: &[&str]) -> Output {
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    let child = Command::new("sh")
        .args(["-c", script, zerohop(), "pull", "-n", "1"])
        .args(["--timeout", "30s", "--listen-fds"])
        .args(args)
        .stdin(listener)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    // Before the program runs, the system has the connection wait already.
    let sent = run(&[
        "push",
        "--connect",
        endpoint,
        "--timeout",
        "30s",
        "-m",
        "order 1",
    ]);
    let ended = child.wait_with_output().expect("an end");
    sent.ok();
    ended
}

#[test]
fn a_tcp_listener_is_served() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("an address"));
    let ended = serve(listener.into(), &endpoint, &[]);
    assert_eq!(ended.stdout, b"order 1\n", "{ended:?}");
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains(&format!("listening at {endpoint}")), "{told}");
}

#[test]
fn the_file_of_an_ipc_listener_stays() {
    let path = env::temp_dir().join(unique::name());
    let listener = UnixListener::bind(&path).expect("bound");
    let endpoint = format!("ipc://{}", path.display());
    let ended = serve(listener.into(), &endpoint, &["--quiet"]);
    assert_eq!(ended.stdout, b"order 1\n", "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
    fs::remove_file(path).expect("still there");
}

#[test]
fn what_was_not_handed_down_is_not_taken() {
    run(&["pull", "--listen-fds"]).failed(2, &["LISTEN_FDS", ".socket unit"]);
    let start = |variables: &str| {
        let script = format!("{variables} exec \"$0\" pull --listen-fds");
        let command = ["-c", &script, zerohop()];
        let ended = Command::new("sh").args(command).output().expect("a shell");
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    let told = start("LISTEN_FDS=1 LISTEN_PID=1");
    assert!(told.contains("process 1"), "{told}");
    let told = start("LISTEN_FDS=900 LISTEN_PID=$$");
    assert!(told.contains("is not open"), "{told}");
}
