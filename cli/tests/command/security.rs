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

#[test]
fn keys_let_in() {
    let name = |who: &str| {
        std::env::temp_dir()
            .join(format!("{}-{who}", unique::name()))
            .display()
            .to_string()
    };
    let (server, alice, bob) = (name("server"), name("alice"), name("bob"));
    let keygen = |name: &str| run(&["keygen", name]).ok();
    let (key, alice_key, _) = (keygen(&server), keygen(&alice), keygen(&bob));
    let file = |name: &str, ending: &str| format!("{name}.{ending}");
    run(&["keygen", &server]).failed(1, &["already"]);
    let list = scratch(&alice_key);
    let secret = file(&server, "secret");
    let mut pull = Program::start(&[
        "pull",
        "--bind",
        "tcp://127.0.0.1:*",
        "--curve-server",
        &secret,
        "--allow",
        &list,
        "-n",
        "2",
    ]);
    let endpoint = pull.bound();
    let push = |own: &str, server: &str, message: &str, timeout: &str| {
        let own = file(own, "secret");
        run(&[
            "push",
            "--connect",
            &endpoint,
            "--curve-key",
            &own,
            "--server-key",
            server,
            "--timeout",
            timeout,
            "-m",
            message,
        ])
    };
    push(&bob, key.trim(), "from a stranger", "1s").failed(3, &["400"]);
    push(&alice, alice_key.trim(), "to another", "1s").failed(3, &["--server-key"]);
    let told = run(&["probe", &endpoint]).ok();
    assert!(told.contains("CURVE"), "{told}");
    let probe = |own: &str, server: &str| {
        let own = file(own, "secret");
        let keys = ["--curve-key", &own, "--server-key", server];
        run(&[&["probe", &endpoint][..], &keys].concat())
    };
    let told = probe(&alice, key.trim()).ok();
    assert!(told.contains("PULL") && told.contains("let in"), "{told}");
    probe(&bob, key.trim()).failed(1, &["400"]);
    probe(&alice, alice_key.trim()).failed(1, &["does not have the key"]);
    push(&alice, key.trim(), "from alice", "30s").ok();
    push(&alice, &file(&server, "public"), "from alice again", "30s").ok();
    assert_eq!(pull.end().ok(), "from alice\nfrom alice again\n");
    // A public key is no secret one.
    let public = file(&alice, "public");
    run(&[
        "pull",
        "--bind",
        "tcp://127.0.0.1:*",
        "--curve-server",
        &public,
    ])
    .failed(1, &[&public]);
    for name in [&server, &alice, &bob] {
        for ending in ["secret", "public"] {
            fs::remove_file(file(name, ending)).expect("removed");
        }
    }
    fs::remove_file(list).expect("removed");
}

/// A PUSH would hand out its messages to whoever comes as a PULL; a probe comes as none, and takes nothing.
#[test]
fn a_probe_with_a_key_takes_no_message() {
    let name = std::env::temp_dir()
        .join(unique::name())
        .display()
        .to_string();
    let key = run(&["keygen", &name]).ok();
    let secret = format!("{name}.secret");
    let keys = ["--curve-key", &secret, "--server-key", key.trim()];
    let mut push = Program::start(&[
        "push",
        "--bind",
        "tcp://127.0.0.1:*",
        "--curve-server",
        &secret,
        "-m",
        "for a pull",
    ]);
    let endpoint = push.bound();
    let told = run(&[&["probe", &endpoint][..], &keys].concat()).ok();
    assert!(told.contains("PUSH"), "{told}");
    let told = run(&[&["pull", "--connect", &endpoint, "-n", "1"][..], &keys].concat()).ok();
    assert_eq!(told, "for a pull\n");
    push.end().ok();
    for ending in ["secret", "public"] {
        fs::remove_file(format!("{name}.{ending}")).expect("removed");
    }
}

#[test]
fn a_file_whose_name_may_be_a_key_is_a_file() {
    let short = format!("/tmp/{}", unique::name());
    let name = format!("{short:-<33}");
    let public = format!("{name}.public");
    assert_eq!(public.len(), 40, "as long as a key in Z85");
    run(&["keygen", &name]).ok();
    let mut pull = Program::start(&[
        "pull",
        "--bind",
        "tcp://127.0.0.1:*",
        "--curve-server",
        &format!("{name}.secret"),
        "-n",
        "1",
    ]);
    let endpoint = pull.bound();
    let secret = format!("{name}.secret");
    let to = ["push", "--connect", &endpoint, "--curve-key", &secret];
    run(&[&to[..], &["--server-key", &public, "-m", "hello"]].concat()).ok();
    assert_eq!(pull.end().ok(), "hello\n");
    run(&[&to[..], &["--server-key", "nothing", "-m", "hello"]].concat()).failed(1, &["nothing"]);
    for file in [public, secret] {
        fs::remove_file(file).expect("removed");
    }
}

#[test]
fn keys_are_printed_in_z85() {
    let printed = run(&["keygen", "--z85"]).ok();
    let lengths: Vec<usize> = printed.lines().map(str::len).collect();
    assert_eq!(lengths, [40, 40]);
}
