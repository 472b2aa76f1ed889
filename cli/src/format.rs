//! The forms of a printed message.

use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use zerohop::{Message, Origin};

use crate::output::hex;
use crate::value::escape;

/// See [`OutputArgs`](crate::args::OutputArgs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Hex,
    Json,
    Envelope,
    Raw,
    Template(Arc<Template>),
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        Ok(match text {
            "text" => Format::Text,
            "hex" => Format::Hex,
            "json" => Format::Json,
            "envelope" => Format::Envelope,
            "raw" => Format::Raw,
            _ if text.contains('%') => Format::Template(Arc::new(text.parse()?)),
            _ => {
                return Err(
                    "write text, hex, json, envelope, raw or a template with %, such as '%t %1\\n'"
                        .to_owned(),
                );
            }
        })
    }
}

/// What is printed of each message, with places for its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    /// Counted from 0. Nothing, where a message has fewer.
    Frame(usize),
    AllFrames,
    Time,
    Number,
    Size,
    FrameCount,
    /// Nothing, where it is not known.
    Peer,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut bytes = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['%', '\\']) {
            bytes.extend_from_slice(&rest.as_bytes()[..at]);
            let sign = rest.as_bytes()[at];
            rest = &rest[at + 1..];
            if sign == b'\\' {
                let (byte, length) = escape(rest)?;
                bytes.push(byte);
                rest = &rest[length..];
                continue;
            }
            let piece = match rest.bytes().next() {
                Some(b'%') => {
                    bytes.push(b'%');
                    rest = &rest[1..];
                    continue;
                }
                Some(digit @ b'1'..=b'9') => Piece::Frame(usize::from(digit - b'1')),
                Some(b'*') => Piece::AllFrames,
                Some(b't') => Piece::Time,
                Some(b'n') => Piece::Number,
                Some(b's') => Piece::Size,
                Some(b'f') => Piece::FrameCount,
                Some(b'p') => Piece::Peer,
                _ => {
                    return Err("after % comes 1 to 9, *, t, n, s, f, p or %".to_owned());
                }
            };
            rest = &rest[1..];
            if !bytes.is_empty() {
                pieces.push(Piece::Bytes(std::mem::take(&mut bytes)));
            }
            pieces.push(piece);
        }
        bytes.extend_from_slice(rest.as_bytes());
        if !bytes.is_empty() {
            pieces.push(Piece::Bytes(bytes));
        }
        Ok(Template(pieces))
    }
}

/// A message as it is printed, with what is known of it besides.
#[derive(Clone, Copy)]
pub(crate) struct Printed<'a> {
    pub(crate) message: &'a Message,
    /// Without one it is now.
    pub(crate) time: Option<SystemTime>,
    /// Who it comes from, where that is known.
    pub(crate) origin: Option<&'a Origin>,
}

impl<'a> From<&'a Message> for Printed<'a> {
    fn from(message: &'a Message) -> Printed<'a> {
        Printed {
            message,
            time: None,
            origin: None,
        }
    }
}

impl<'a> Printed<'a> {
    /// A message of a peer that is known.
    pub(crate) fn of(message: &'a Message, origin: &'a Origin) -> Printed<'a> {
        Printed {
            origin: Some(origin),
            ..message.into()
        }
    }
}

impl Format {
    /// Whether it says who a message comes from.
    pub(crate) fn tells_origin(&self) -> bool {
        match self {
            Format::Envelope => true,
            Format::Template(template) => template.0.contains(&Piece::Peer),
            Format::Text | Format::Hex | Format::Json | Format::Raw => false,
        }
    }
}

impl Template {
    /// Gives what is printed, piece by piece, with whether a piece is the message's own bytes. `number` counts from 1.
    pub(crate) fn fill<E>(
        &self,
        printed: Printed<'_>,
        number: u64,
        separator: &[u8],
        mut put: impl FnMut(&[u8], bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let Printed {
            message,
            time,
            origin,
        } = printed;
        for piece in &self.0 {
            match piece {
                Piece::Bytes(bytes) => put(bytes, false)?,
                Piece::Frame(index) => {
                    if let Some(frame) = message.frames().nth(*index) {
                        put(frame, true)?;
                    }
                }
                Piece::AllFrames => {
                    for (index, frame) in message.frames().enumerate() {
                        if index > 0 {
                            put(separator, false)?;
                        }
                        put(frame, true)?;
                    }
                }
                Piece::Time => put(text_of(time).as_bytes(), false)?,
                Piece::Number => put(number.to_string().as_bytes(), false)?,
                Piece::Size => put(message.size().to_string().as_bytes(), false)?,
                Piece::FrameCount => put(message.frames().len().to_string().as_bytes(), false)?,
                Piece::Peer => put(origin.map_or("", Origin::address).as_bytes(), false)?,
            }
        }
        Ok(())
    }
}

/// The frames, as [`from_json`] reads them.
pub(crate) fn to_json(message: &Message) -> Value {
    message
        .frames()
        .map(|frame| frame_to_json(frame, "hex", hex))
        .collect()
}

/// The same with the time, and with the peer where it is known.
pub(crate) fn to_envelope(printed: Printed<'_>) -> Value {
    let frame = |frame: &[u8]| frame_to_json(frame, "base64", |bytes| BASE64.encode(bytes));
    let frames: Vec<Value> = printed.message.frames().map(|it| frame(it)).collect();
    let mut envelope = json!({ "time": text_of(printed.time), "frames": frames });
    if let Some(origin) = printed.origin {
        envelope["peer"] = json!({ "address": origin.address(), "mechanism": origin.mechanism() });
        if !origin.routing_id().is_empty() {
            envelope["peer"]["routing_id"] = frame(origin.routing_id());
        }
        if let Some(principal) = origin.principal() {
            envelope["peer"]["principal"] = json!(principal.to_string());
        }
        if let Some(ipc) = origin.ipc_credentials() {
            envelope["peer"]["pid"] = json!(ipc.pid);
        }
    }
    envelope
}

/// A frame as a string, or as its bytes in the `encoding` that is named where it is not UTF-8.
fn frame_to_json(frame: &[u8], name: &str, encoding: impl Fn(&[u8]) -> String) -> Value {
    match std::str::from_utf8(frame) {
        Ok(text) => json!(text),
        Err(_) => json!({ name: encoding(frame) }),
    }
}

/// The time in UTC, as RFC 3339 has it.
fn text_of(time: Option<SystemTime>) -> String {
    let time = time.unwrap_or_else(SystemTime::now);
    humantime::format_rfc3339_micros(time).to_string()
}

/// A message that was printed as JSON, and its time if it was in an envelope. A string alone is a message of one frame.
pub(crate) fn from_json(line: &[u8]) -> Result<(Message, Option<SystemTime>), String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let time = match value.get("time") {
        None => None,
        Some(time) => {
            let text = time.as_str().ok_or("the time is no string")?;
            Some(
                humantime::parse_rfc3339(text)
                    .map_err(|error| format!("time {text:?}: {error}"))?,
            )
        }
    };
    let frames = value.get("frames").unwrap_or(&value);
    let frames: Vec<Vec<u8>> = match frames {
        Value::Array(frames) if frames.is_empty() => {
            return Err("a message has one frame at least".to_owned());
        }
        Value::Array(frames) => frames
            .iter()
            .map(frame_from_json)
            .collect::<Result<_, _>>()?,
        frame => vec![frame_from_json(frame)?],
    };
    Ok((Message::from_frames(frames), time))
}

fn frame_from_json(frame: &Value) -> Result<Vec<u8>, String> {
    if let Some(text) = frame.as_str() {
        return Ok(text.as_bytes().to_vec());
    }
    let encoded = |name| frame.get(name).and_then(Value::as_str);
    let from_base64 = |text| BASE64.decode(text).ok();
    encoded("base64")
        .and_then(from_base64)
        .or_else(|| encoded("hex").and_then(from_hex))
        .ok_or_else(|| {
            format!(
                "a frame is a string, {{\"base64\": \"AP8=\"}} or {{\"hex\": \"00ff\"}}, and not {frame}"
            )
        })
}

/// The bytes of pairs of hexadecimal digits.
pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.len().is_multiple_of(2) || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, message: &Message) -> String {
        let Ok(Format::Template(template)) = template.parse() else {
            panic!("{template} is no template");
        };
        let mut out = Vec::new();
        let put = |bytes: &[u8], _| {
            out.extend_from_slice(bytes);
            Ok::<(), ()>(())
        };
        assert_eq!(template.fill(message.into(), 7, b"|", put), Ok(()));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn templates_have_places_for_parts() {
        let message = Message::from_frames(["eur", "1.08"]);
        for (template, printed) in [
            ("%1=%2\\n", "eur=1.08\n"),
            ("%*", "eur|1.08"),
            ("%n: %s bytes, %f frames", "7: 7 bytes, 2 frames"),
            ("%3%9%p", ""),
            ("100%%\\t\\x41", "100%\tA"),
            ("%1 \u{fc}", "eur \u{fc}"),
        ] {
            assert_eq!(filled(template, &message), printed, "{template}");
        }
        let time = filled("%t", &message);
        assert!(humantime::parse_rfc3339(&time).is_ok(), "{time}");
    }

    #[test]
    fn bad_formats_are_refused() {
        for text in ["", "jsn", "%", "%0", "%q", "%1\\q", "%1\\"] {
            assert!(text.parse::<Format>().is_err(), "{text}");
        }
    }

    #[test]
    fn json_is_read_as_it_is_printed() {
        let message = Message::from_frames([&b"text"[..], b"\xff\x00", b""]);
        let read = from_json(to_json(&message).to_string().as_bytes());
        assert_eq!(read, Ok((message.clone(), None)));
        let (read, time) =
            from_json(to_envelope((&message).into()).to_string().as_bytes()).expect("read");
        assert_eq!(read, message);
        assert!(time.is_some());
        let then = Some(SystemTime::UNIX_EPOCH);
        let envelope = to_envelope(Printed {
            time: then,
            ..(&message).into()
        });
        assert_eq!(
            envelope["frames"],
            json!(["text", { "base64": "/wA=" }, ""])
        );
        let read = from_json(envelope.to_string().as_bytes());
        assert_eq!(read, Ok((message, then)));
        assert_eq!(from_json(b"\"one\""), Ok((Message::from("one"), None)));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for text in [
            "",
            "[",
            "[]",
            "1",
            "null",
            "[1]",
            "[[\"a\"]]",
            "{}",
            "{\"frames\":[]}",
            "[{\"base64\":\"AP8\"}]",
            "[{\"base64\":\"-_8=\"}]",
            "[{\"hex\":\"0\"}]",
            "[{\"hex\":\"+0\"}]",
            "{\"frames\":[\"a\"],\"time\":3}",
            "{\"frames\":[\"a\"],\"time\":\"noon\"}",
        ] {
            assert!(from_json(text.as_bytes()).is_err(), "{text}");
        }
    }
}
