//! A large file through `push | pull`, compared by checksum.

use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::endpoints::Transport;
use crate::common::unique;
use crate::zerohop;

/// A gigabyte in CI and where the program is optimised. A person who waits for an unoptimised one gets less, and a note.
fn size() -> usize {
    let in_ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    if in_ci || !cfg!(debug_assertions) {
        return 1 << 30;
    }
    // Not eprintln: the harness would swallow what a passing test prints.
    let _ = writeln!(
        stderr(),
        "SMALLER: 64 MiB instead of 1 GiB through push | pull; set CI=1 or test with --release"
    );
    64 << 20
}

#[test]
fn a_large_file_arrives_as_it_is() {
    let file = made_file();
    let expected = checksum(&file);
    for transport in [Transport::Tcp, Transport::Ipc] {
        // A temporary port is known only when it is bound: the shell passes it on.
        let endpoint = match transport {
            Transport::Tcp => free_port(),
            _ => transport.endpoint(),
        };
        let copy = file.with_extension("copy");
        let mut pull = Command::new(zerohop())
            .args(["pull", "--bind", &endpoint, "--quiet", "--timeout", "3s"])
            .stdout(File::create(&copy).expect("a new file"))
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let push = Command::new(zerohop())
            .args(["push", "--connect", &endpoint, "--wait-peers", "1"])
            .stdin(File::open(&file).expect("the file"))
            .status()
            .expect("the program starts");
        assert!(push.success(), "{push}");
        // It ends by its time-out, when there is nothing more.
        assert_eq!(pull.wait().expect("an end").code(), Some(3));
        assert_eq!(checksum(&copy), expected, "over {transport:?}");
        fs::remove_file(copy).expect("a file to remove");
    }
    fs::remove_file(file).expect("a file to remove");
}

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("tcp://{}", listener.local_addr().expect("its address"))
}

/// Lines of many lengths: mostly short, some empty, a few longer than any buffer.
fn made_file() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(unique::name());
    let mut file = BufWriter::new(File::create(&path).expect("a new file"));
    let noise: Vec<u8> = (0..4_000_000_u32).map(printable).collect();
    let mut written = 0;
    let mut number = 0_usize;
    let size = size();
    while written < size {
        number += 1;
        let length = if number.is_multiple_of(20_000) {
            3_000_000
        } else {
            number * 7919 % 256
        };
        let start = number * 31 % 1_000_000;
        file.write_all(&noise[start..start + length])
            .expect("room on the disk");
        file.write_all(b"\n").expect("room on the disk");
        written += length + 1;
    }
    file.flush().expect("room on the disk");
    path
}

/// Bytes without a pattern, and without newlines.
fn printable(number: u32) -> u8 {
    let mixed = number
        .wrapping_mul(2_654_435_761)
        .rotate_left(13)
        .wrapping_mul(2_246_822_519);
    match (mixed >> 24) as u8 {
        b'\n' => b' ',
        byte => byte,
    }
}

fn checksum(path: &Path) -> String {
    let output = Command::new("cksum")
        .stdin(File::open(path).expect("the file"))
        .output();
    let output = output.expect("cksum is everywhere");
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).into_owned()
}
