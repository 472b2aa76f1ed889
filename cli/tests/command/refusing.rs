//! What no peer takes: both sides say so, the rest arrives, and nobody takes it for a success.

use std::io::Read;
use std::net::TcpListener;

use super::program::Program;

const COLUMNS: usize = 5000;

/// A thousand rows, one of which has more columns than a message may have frames.
fn rows() -> (String, String) {
    let wide = vec!["x"; COLUMNS].join(",");
    let rows = |range: std::ops::Range<u32>| range.map(|row| format!("{row},a,b\n"));
    let (before, after): (String, String) = (rows(0..500).collect(), rows(500..1000).collect());
    (format!("{before}{wide}\n{after}"), before + &after)
}

#[test]
fn a_row_that_is_too_wide_does_not_cost_the_others() {
    let (input, expected) = rows();
    // The limit is known before the first message, or only when all of them are in the queue.
    for early in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("tcp://{}", listener.local_addr().expect("its address"));
        drop(listener);
        let count = "1000";
        let pull = || {
            Program::start(&[
                "pull", "--bind", &endpoint, "--parts", ",", "--count", count,
            ])
        };
        let mut args = vec![
            "push",
            "--connect",
            &endpoint,
            "--parts",
            ",",
            "--hwm",
            "2000",
            "--stats",
        ];
        let early_pull = early.then(pull);
        if early {
            args.extend(["--wait-peers", "1"]);
        }
        let mut push = Program::start(&args);
        push.write_bytes(input.as_bytes());
        push.close_input();
        let pull = early_pull.unwrap_or_else(pull);
        assert_eq!(pull.wait().ok(), expected);
        let pushed = push.wait();
        assert_eq!(pushed.code, Some(1), "{pushed:#?}");
        let told = pushed.err.join("\n");
        let why = format!("{COLUMNS} frames, the peer takes at most 4096");
        assert!(told.contains(&why), "{told}");
        assert!(told.ends_with("1 message was refused"), "{told}");
        assert!(told.contains("zerohop: sent 1000 messages,"), "{told}");
    }
}

/// Who sends what we do not take is named, with the reason.
#[test]
fn pull_says_whom_it_disconnects_and_why() {
    let mut pull = Program::start(&["pull", "--bind", "tcp://127.0.0.1:*"]);
    let endpoint = pull.bound();
    let address = endpoint.strip_prefix("tcp://").expect("a tcp endpoint");
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    let own = stream.local_addr().expect("its address");
    let mut bytes = vec![0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1];
    bytes.extend_from_slice(b"NULL");
    bytes.resize(64, 0);
    bytes.extend_from_slice(b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH");
    // The header of a frame of 1 TiB.
    bytes.extend_from_slice(&[2, 0, 0, 1, 0, 0, 0, 0, 0]);
    std::io::Write::write_all(&mut stream, &bytes).expect("written");
    let line = pull.err_line("disconnected");
    assert_eq!(
        line.trim_end(),
        format!(
            "zerohop: disconnected tcp://{own}: the peer announced a message of 1099511627776 bytes, the limit is 268435456"
        )
    );
    let mut rest = Vec::new();
    // To its end, or to a reset.
    let _ = stream.read_to_end(&mut rest);
    pull.interrupt();
    pull.end();
}
