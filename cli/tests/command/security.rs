//! Who may connect to what a command binds, and as whom a command connects.

use std::fs;

use super::program::{Program, run};
use crate::common::unique;

fn scratch(text: &str) -> String {
    let path = std::env::temp_dir().join(unique::name());
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn an_open_port_has_to_be_meant() {
    let bind = ["pull", "--bind", "tcp://*:*"];
    run(&bind).failed(1, &["--allow", "--insecure", "127.0.0.1"]);
    let mut pull = Program::start(&[&bind[..], &["--insecure"]].concat());
    pull.bound();
    pull.interrupt();
    pull.end();
}

#[test]
fn a_password_lets_in() {
    let users = scratch("user alice tiger\n");
    let (good, bad) = (scratch("tiger\n"), scratch("lion\n"));
    let mut pull = Program::start(&[
        "pull",
        "--bind",
        "tcp://127.0.0.1:*",
        "--plain-server",
        "--allow",
        &users,
        "-n",
        "1",
    ]);
    let endpoint = pull.bound();
    let push = |password: &str, message: &str| {
        run(&[
            "push",
            "--connect",
            &endpoint,
            "--plain-user",
            "alice",
            "--plain-password-file",
            password,
            "--timeout",
            "1s",
            "-m",
            message,
        ])
    };
    push(&bad, "from a stranger").failed(3, &["400"]);
    let told = run(&["probe", &endpoint]).ok();
    assert!(told.contains("PLAIN"), "{told}");
    push(&good, "from alice").ok();
    assert_eq!(pull.end().ok(), "from alice\n");
    for file in [users, good, bad] {
        fs::remove_file(file).expect("removed");
    }
}
