//! What the program says is so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::program::{Program, run};

const ANY: &str = "tcp://127.0.0.1:*";

#[test]
fn a_publisher_says_that_nobody_has_subscribed() {
    let ended = run(&[
        "pub",
        "-b",
        "ipc://@zerohop-nobody-subscribes",
        "-m",
        "a",
        "-m",
        "b",
    ]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(
        ended.err,
        [
            "zerohop: 2 messages have gone to nobody, because nobody had subscribed to that; --wait-subscribers waits for somebody"
        ]
    );
    let mut publisher = Program::start(&["pub", "-b", ANY, "--wait-subscribers", "1"]);
    let endpoint = publisher.bound();
    let sub = Program::start(&["sub", "-c", &endpoint, "-t", "wanted", "-n", "1"]);
    publisher.write("unwanted\nwanted");
    assert_eq!(sub.end().ok(), "wanted\n");
    let ended = publisher.end();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.err.concat().contains("1 message has gone to nobody"),
        "{ended:#?}"
    );
    let quiet = run(&[
        "pub",
        "-b",
        "ipc://@zerohop-nobody-subscribes-2",
        "-m",
        "a",
        "-q",
    ]);
    assert_eq!((quiet.code, quiet.err.len()), (Some(0), 0), "{quiet:#?}");
}

/// Who comes to us by mistake is named. Nothing here tries again.
#[test]
fn a_stranger_is_turned_away_and_told_of_once() {
    let mut pull = Program::start(&["pull", "-b", ANY]);
    let endpoint = pull.bound();
    let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
    let mut own = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).expect("connected");
        own.push(stream.local_addr().expect("its address"));
        stream
            .write_all(b"GET / HTTP/1.1\r\n\r\n")
            .expect("written");
        // To its end, or to a reset.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let line = pull.err_line("turned away");
    assert_eq!(
        line,
        format!(
            "zerohop: turned away tcp://{} at {endpoint}: the peer does not speak ZMTP; this looks like HTTP",
            own[0]
        )
    );
    pull.interrupt();
    let ended = pull.wait();
    let again = ended
        .err
        .iter()
        .filter(|line| line.contains("again") || line.contains("turned"));
    assert_eq!(again.count(), 0, "{ended:#?}");
}

/// Answers every connection so, after so many lines.
fn server(answer: &'static [u8], lines: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("tcp://{}", listener.local_addr().expect("its address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let Ok(reader) = stream.try_clone() else {
                return;
            };
            thread::spawn(move || {
                let mut reader = BufReader::new(reader);
                for _ in 0..lines {
                    if !reader
                        .read_until(b'\n', &mut Vec::new())
                        .is_ok_and(|read| read > 0)
                    {
                        return;
                    }
                }
                let _ = stream.write_all(answer);
            });
        }
    });
    endpoint
}

#[test]
fn a_probe_says_what_there_is_in_place_of_a_socket() {
    const HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    for (endpoint, told) in [
        (
            server(HTTP, 0),
            "speaks HTTP, not ZMTP; it says \"HTTP/1.1 400 Bad Request\"",
        ),
        // It waits for whole lines, and there are none in our greeting.
        (
            server(HTTP, 2),
            "speaks HTTP, not ZMTP; asked in that, it says \"HTTP/1.1 400 Bad Request\"",
        ),
        (
            server(b"SSH-2.0-x\r\n", 0),
            "speaks SSH, not ZMTP; it says \"SSH-2.0-x\"",
        ),
        (
            server(b"220 mail.example ESMTP\r\n", 0),
            "does not speak ZMTP 2.0 or later; it says \"220 mail.example ESMTP\"",
        ),
        (server(b"", 0), "closes them without a word"),
    ] {
        let ended = run(&["probe", &endpoint]);
        ended.failed(1, &[&endpoint, told]);
    }
}

/// One whose address has all that it may have, too.
#[test]
fn who_comes_too_often_is_told_of() {
    let limit = ["--option", "max_connections_per_address=1"];
    let pull = ["pull", "--bind", "tcp://127.0.0.1:*"];
    let mut pull = Program::start(&[&pull[..], &limit].concat());
    let endpoint = pull.bound();
    let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
    let _first = TcpStream::connect(address).expect("connected");
    let second = TcpStream::connect(address).expect("connected");
    let line = pull.err_line("too many connections");
    let who = second.local_addr().expect("its address");
    assert_eq!(
        line,
        format!(
            "zerohop: turned away tcp://{who} at {endpoint}: too many connections from its address"
        )
    );
    pull.interrupt();
    pull.wait();
}
