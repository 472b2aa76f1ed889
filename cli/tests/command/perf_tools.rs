//! `zerohop perf`, started as the tests do, and the shape of what it prints.

use super::program::Program;
use crate::common::endpoints::Transport;

pub(crate) const SIZE: usize = 100;
pub(crate) const COUNT: usize = 2_000;

/// The lines of libzmq's tools, with numbers as `#`.
pub(crate) fn shape(lines: &str) -> Vec<String> {
    let number = |word: &str| word.chars().all(|c| c.is_ascii_digit() || c == '.');
    let words = |line: &str| {
        line.split(' ')
            .map(|word| if number(word) { "#" } else { word }.to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    lines.lines().map(words).collect()
}

pub(crate) const THROUGHPUT: [&str; 4] = [
    "message size: # [B]",
    "message count: #",
    "mean throughput: # [msg/s]",
    "mean throughput: # [Mb/s]",
];

pub(crate) const LATENCY: [&str; 3] = [
    "message size: # [B]",
    "roundtrip count: #",
    "average latency: # [us]",
];

pub(crate) fn perf(tool: &str, endpoint: &str, more: &[&str]) -> Program {
    let (size, count) = (SIZE.to_string(), COUNT.to_string());
    Program::start(&[&["perf", tool, endpoint, &size, &count], more].concat())
}

/// An endpoint that both sides know beforehand, as the tools want it.
pub(crate) fn endpoint() -> String {
    Transport::Ipc.endpoint()
}
