//! A real program that uses czmq: rsyslog takes messages in from PUSH and PUB sockets of zerohop (`imczmq`), and sends them on to a PULL and a
//! SUB (`omczmq`).

mod common {
    pub(crate) mod deadline;
    pub(crate) mod unique;
    pub(crate) mod until;
}

use std::env;
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use zerohop::{Context, Message, Pub, Pull, Push, Sub};

use common::deadline::DEADLINE;
use common::unique;
use common::until::{GLANCE, until};

/// Killed when it is dropped.
struct Rsyslog {
    child: Child,
    folder: PathBuf,
}

impl Rsyslog {
    /// Where it or its modules are missing, `None` after a visible note; under `CI`, where nothing may be skipped, a panic.
    fn start(configuration: &str) -> Option<Rsyslog> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique::name());
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("rsyslog.conf");
        fs::write(&file, configuration).expect("a file");
        let program = || {
            let mut command = Command::new("rsyslogd");
            // Debian has it where only root looks.
            let path = env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
            command.arg("-f").arg(&file);
            command.stdin(Stdio::null());
            command
        };
        let checked = program().arg("-N1").output();
        let missing = match checked {
            Ok(checked) if checked.status.success() => None,
            Ok(checked) => Some(String::from_utf8_lossy(&checked.stderr).into_owned()),
            Err(error) => Some(format!("rsyslogd: {error}")),
        };
        if let Some(reason) = missing {
            let _ = fs::remove_dir_all(&folder);
            let in_ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
            assert!(!in_ci, "CI needs rsyslog with czmq: {reason}");
            // Not eprintln: the harness would swallow what a passing test prints.
            let line = reason.lines().next().unwrap_or_default();
            let _ = writeln!(stderr(), "SKIPPED: a test against rsyslog: {line}");
            return None;
        }
        let mut command = program();
        command.arg("-n").arg("-i").arg(folder.join("pid"));
        let child = command.spawn().expect("it starts");
        Some(Rsyslog { child, folder })
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        // All of it fails only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn rsyslog_takes_and_passes_on() {
    let context = Context::new();
    let (push, pull) = (
        Push::new(&context).expect("a PUSH"),
        Pull::new(&context).expect("a PULL"),
    );
    let (publisher, subscriber) = (
        Pub::new(&context).expect("a PUB"),
        Sub::new(&context).expect("a SUB"),
    );
    subscriber.subscribe("log").expect("subscribed");
    let local = "tcp://127.0.0.1:*";
    let ends = [
        push.bind(local),
        pull.bind(local),
        publisher.bind(local),
        subscriber.bind(local),
    ];
    let [push_end, pull_end, pub_end, sub_end] = ends.map(|end| end.expect("bound").to_string());
    let configuration = format!(
        "module(load=\"imczmq\" authenticator=\"off\")\n\
         module(load=\"omczmq\" authenticator=\"off\")\n\
         template(name=\"as_it_came\" type=\"string\" string=\"%rawmsg%\")\n\
         ruleset(name=\"pass\") {{\n\
           action(type=\"omczmq\" endpoints=\">{pull_end}\" socktype=\"PUSH\" template=\"as_it_came\")\n\
         }}\n\
         ruleset(name=\"spread\") {{\n\
           action(type=\"omczmq\" endpoints=\">{sub_end}\" socktype=\"PUB\" template=\"as_it_came\")\n\
         }}\n\
         input(type=\"imczmq\" endpoints=\">{push_end}\" socktype=\"PULL\" ruleset=\"pass\")\n\
         input(type=\"imczmq\" endpoints=\">{pub_end}\" socktype=\"SUB\" topics=\"log\" ruleset=\"spread\")\n"
    );
    let Some(_rsyslog) = Rsyslog::start(&configuration) else {
        return;
    };

    let sent: Vec<String> = (0..500).map(|n| format!("<13>line {n}")).collect();
    for line in &sent {
        push.send_timeout(line.as_str(), DEADLINE).expect("sent");
    }
    for line in &sent {
        let received = pull.recv_timeout(DEADLINE).expect("a message");
        assert_eq!(received, line.as_str());
    }

    publisher
        .wait_for_subscribers("log", 1, DEADLINE)
        .expect("a subscriber");
    let received: Message = until("the second subscription takes effect", || {
        publisher.send("other").expect("published");
        publisher.send("log entry").expect("published");
        subscriber.recv_timeout(GLANCE).ok()
    });
    assert_eq!(received, "log entry");
}
