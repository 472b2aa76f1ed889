//! Values of the application as frames, in JSON and MessagePack.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Frame, Message};

/// A value that could not be written as a message: its `Serialize` failed, or the format has no form for it.
#[derive(Debug)]
pub struct EncodeError {
    format: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

impl EncodeError {
    #[cold]
    fn new(format: &'static str, source: impl Error + Send + Sync + 'static) -> EncodeError {
        let source = Box::new(source);
        EncodeError { format, source }
    }

    /// What the format's own crate says, such as `serde_json::Error`.
    pub fn cause(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.source
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EncodeError { format, source } = self;
        write!(f, "the value has no form in {format}: {source}")
    }
}

impl Error for EncodeError {}

/// A message that is not the value that was expected: it is not of that format, lacks something, or has several frames.
#[derive(Debug)]
pub struct DecodeError {
    format: &'static str,
    cause: DecodeCause,
}

#[derive(Debug)]
enum DecodeCause {
    Parts(usize),
    Content(Box<dyn Error + Send + Sync>),
}

impl DecodeError {
    #[cold]
    fn content(format: &'static str, source: impl Error + Send + Sync + 'static) -> DecodeError {
        let cause = DecodeCause::Content(Box::new(source));
        DecodeError { format, cause }
    }

    #[cold]
    fn parts(format: &'static str, parts: usize) -> DecodeError {
        let cause = DecodeCause::Parts(parts);
        DecodeError { format, cause }
    }

    /// What the format's own crate says, such as `serde_json::Error`; `None` where the message has several frames.
    pub fn cause(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match &self.cause {
            DecodeCause::Parts(_) => None,
            DecodeCause::Content(source) => Some(&**source),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = self.format;
        match &self.cause {
            DecodeCause::Parts(parts) => {
                write!(f, "the message has {parts} frames, and {format} has one")
            }
            DecodeCause::Content(source) => {
                write!(
                    f,
                    "the message is not the expected value in {format}: {source}"
                )
            }
        }
    }
}

impl Error for DecodeError {}

/// What a format of values is for frames and for messages of one frame.
macro_rules! format {
    (
        $feature:literal, $format:literal, $from:ident, $parse:ident,
        $write:expr, $read:expr, $(#[doc = $doc:literal])*
    ) => {
        #[cfg(feature = $feature)]
        impl Frame {
            #[doc = concat!("A value in ", $format, " (feature `", $feature, "`).")]
            ///
            /// # Errors
            ///
            /// The value has no form in the format.
            ///
            $(#[doc = $doc])*
            pub fn $from<T: Serialize + ?Sized>(value: &T) -> Result<Frame, EncodeError> {
                let written = $write(value);
                written.map(Frame::from).map_err(|error| EncodeError::new($format, error))
            }

            #[doc = concat!("The value that the frame is in ", $format, " (feature `", $feature, "`). It may borrow from the frame.")]
            ///
            /// # Errors
            ///
            /// The frame is not such a value.
            pub fn $parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
                $read(self.as_slice()).map_err(|error| DecodeError::content($format, error))
            }
        }

        #[cfg(feature = $feature)]
        impl Message {
            #[doc = concat!("A value in ", $format, ", as a message of one frame (feature `", $feature, "`).")]
            ///
            /// # Errors
            ///
            /// The value has no form in the format.
            pub fn $from<T: Serialize + ?Sized>(value: &T) -> Result<Message, EncodeError> {
                Frame::$from(value).map(Message::from)
            }

            #[doc = concat!("The value that the message is in ", $format, " (feature `", $feature, "`). It may borrow from the message.")]
            ///
            /// # Errors
            ///
            /// The message is not such a value, or has several frames: take it apart then.
            pub fn $parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
                match self.is_multipart() {
                    true => Err(DecodeError::parts($format, self.parts())),
                    false => self.first().$parse(),
                }
            }
        }
    };
}

format! {
    "json", "JSON", from_json, parse_json, serde_json::to_vec, serde_json::from_slice,
    /// ```
    /// use zerohop::{Frame, Message};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let message = Message::from(("weather.oslo", Frame::from_json(&(12, "cloudy"))?));
    /// let (topic, reading): (Frame, Frame) = message.try_into()?;
    /// assert_eq!(reading, r#"[12,"cloudy"]"#);
    /// let (degrees, sky): (i32, String) = reading.parse_json()?;
    /// # assert_eq!((degrees, &*sky), (12, "cloudy"));
    /// # Ok(())
    /// # }
    /// ```
}

format! {
    "msgpack", "MessagePack", from_msgpack, parse_msgpack, rmp_serde::to_vec_named, rmp_serde::from_slice,
    /// Structs are maps with the names of their fields, as Python's `msgpack` writes dictionaries.
    ///
    /// ```
    /// use zerohop::Frame;
    ///
    /// let frame = Frame::from_msgpack(&("oslo", 12))?;
    /// assert_eq!(frame, b"\x92\xa4oslo\x0c");
    /// # Ok::<(), zerohop::EncodeError>(())
    /// ```
}

#[cfg(all(test, feature = "json", feature = "msgpack"))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order<'a> {
        number: u32,
        note: &'a str,
    }

    const ORDER: Order<'static> = Order {
        number: 42,
        note: "urgent",
    };

    #[test]
    fn what_is_written_reads_the_same() {
        let json = Message::from_json(&ORDER).expect("JSON");
        assert_eq!(json, r#"{"number":42,"note":"urgent"}"#);
        assert_eq!(json.parse_json::<Order<'_>>().expect("an order"), ORDER);
        let packed = Message::from_msgpack(&ORDER).expect("MessagePack");
        assert_eq!(packed, b"\x82\xa6number\x2a\xa4note\xa6urgent");
        assert_eq!(
            packed.parse_msgpack::<Order<'_>>().expect("an order"),
            ORDER
        );
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let half = Message::from("{");
        let error = half.parse_json::<Order<'_>>();
        let text = error.expect_err("half").to_string();
        let start = "the message is not the expected value in JSON: EOF";
        assert!(text.starts_with(start), "{text}");

        let error = Message::from(["1", "2"]).parse_msgpack::<u32>();
        let text = error.expect_err("two frames").to_string();
        assert_eq!(text, "the message has 2 frames, and MessagePack has one");
        assert!(Message::new().parse_msgpack::<u32>().is_err());

        let keys = BTreeMap::from([((1, 2), 3)]);
        let error = Frame::from_json(&keys).expect_err("keys are texts");
        let text = error.to_string();
        assert!(text.starts_with("the value has no form in JSON"), "{text}");
        assert!(error.cause().is::<serde_json::Error>());
    }
}
