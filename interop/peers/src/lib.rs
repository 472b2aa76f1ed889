//! A socket that is driven line by line: the protocol of `interop/tests/python/peer.py`; of options those of security, where there are such.

use std::io::{self, BufRead, Write};
use std::time::Duration;

use bytes::Bytes;

/// The length of the pattern that both ends know.
const PERIOD: usize = 251;

/// Frames up to this length are written out.
const SHORT: usize = 64;

/// So long a message may wait for a peer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A socket. Types without a method say so.
pub trait Driven {
    /// Sets an option to what the line says, before there are any endpoints.
    fn set(&mut self, _option: &str, _value: &str) -> Result<(), String> {
        Err(String::from("has no such options"))
    }
    /// Binds, and gives what to connect to.
    fn bind(&mut self, endpoint: &str) -> Result<String, String>;
    /// Connects.
    fn connect(&mut self, endpoint: &str) -> Result<(), String>;
    /// Subscribes to a topic, or joins a group.
    fn subscribe(&mut self, _topic: Bytes) -> Result<(), String> {
        Err(String::from("does not subscribe"))
    }
    /// Takes a subscription back.
    fn unsubscribe(&mut self, _topic: Bytes) -> Result<(), String> {
        Err(String::from("does not subscribe"))
    }
    /// Sends a message.
    fn send(&mut self, _frames: Vec<Bytes>) -> Result<(), String> {
        Err(String::from("does not send"))
    }
    /// The next message, if it comes in time.
    fn recv(&mut self, _patience: Duration) -> Result<Option<Vec<Bytes>>, String> {
        Err(String::from("does not receive"))
    }
}

/// Answers commands until there are no more.
pub fn serve(mut open: impl FnMut(&str) -> Result<Box<dyn Driven>, String>) {
    let mut socket = None;
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let mut words = line.split(' ');
        let command = words.next().unwrap_or_default();
        let words: Vec<&str> = words.collect();
        let answer = if command == "open" {
            open(words[0]).map(|opened| {
                socket = Some(opened);
                String::from("ok")
            })
        } else {
            match socket.as_deref_mut() {
                Some(socket) => obey(socket, command, &words),
                None => Err(String::from("there is no socket")),
            }
        };
        println!("{}", answer.unwrap_or_else(|text| format!("error {text}")));
        let _ = io::stdout().flush();
    }
    // Not by dropping what may wait for peers that have gone.
    std::process::exit(0);
}

fn obey(socket: &mut dyn Driven, command: &str, words: &[&str]) -> Result<String, String> {
    let ok = |()| String::from("ok");
    match command {
        "bind" => socket.bind(words[0]).map(|bound| format!("ok {bound}")),
        "set" => socket.set(words[0], words[1]).map(ok),
        "connect" => socket.connect(words[0]).map(ok),
        "subscribe" => socket.subscribe(decode(words[0])).map(ok),
        "unsubscribe" => socket.unsubscribe(decode(words[0])).map(ok),
        "send" => socket
            .send(words.iter().map(|word| decode(word)).collect())
            .map(ok),
        "recv" => {
            let patience = words[0].parse().map(Duration::from_millis);
            let received = socket.recv(patience.map_err(|error| error.to_string())?)?;
            Ok(match received {
                None => String::from("none"),
                Some(frames) => frames.iter().fold(String::from("msg"), |line, frame| {
                    line + " " + &encode(frame)
                }),
            })
        }
        _ => Err(String::from("no such command")),
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % PERIOD) as u8).collect()
}

/// The frame that a token stands for.
pub fn decode(token: &str) -> Bytes {
    if let Some(length) = token.strip_prefix('@') {
        return pattern(length.parse().unwrap_or(0)).into();
    }
    let digits = token.trim_matches('-');
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or(0);
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn encode(frame: &[u8]) -> String {
    if frame.is_empty() {
        return String::from("-");
    }
    if frame.len() > SHORT && frame == pattern(frame.len()) {
        return format!("@{}", frame.len());
    }
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}
