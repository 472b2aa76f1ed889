//! The types of option values: how they read in an error, and the ranges that rows of the table share.

use std::time::Duration;

use crate::{Allow, Frame, Secret};

/// A value as text, for people and for whoever sets options by name.
pub(super) trait OptionValue: Sized {
    /// The feature of the library that it was built without, and that such an option needs.
    const MISSING_FEATURE: Option<&str> = None;

    /// The value with its unit, where the type implies one.
    fn render(&self) -> String;

    /// The value that a text means, if it means one: at least what [`render`](OptionValue::render) gives.
    fn parse(text: &str) -> Option<Self>;

    /// A text that means none, for an error.
    fn quote(text: &str) -> String {
        format!("{text:?}")
    }
}

macro_rules! number {
    ($($kind:ty),+) => {$(
        impl OptionValue for $kind {
            fn render(&self) -> String {
                self.to_string()
            }

            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )+};
}

number!(u32, usize);

impl OptionValue for bool {
    fn render(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<bool> {
        match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }
}

impl OptionValue for Duration {
    fn render(&self) -> String {
        match (self.as_secs(), self.subsec_nanos()) {
            (0, 0) => String::from("0"),
            (seconds, 0) => format!("{seconds} s"),
            (0, nanos) if nanos % 1_000_000 == 0 => format!("{} ms", nanos / 1_000_000),
            (0, nanos) if nanos % 1_000 == 0 => format!("{} µs", nanos / 1_000),
            _ => format!("{self:?}"),
        }
    }

    /// A number and its unit: libzmq's are milliseconds and most programs' seconds, so that one without could be either.
    fn parse(text: &str) -> Option<Duration> {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let seconds = match text[digits.len()..].trim_start() {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            "d" | "days" => 86_400.0,
            "" if digits == "0" => 0.0,
            _ => return None,
        };
        let number: f64 = digits.parse().ok()?;
        // Whole numbers stay exact.
        match (number.fract() == 0.0, seconds >= 1.0) {
            (true, true) => Duration::try_from_secs_f64(number * seconds).ok(),
            _ => {
                let nanos = (number * seconds * 1e9).round();
                (0.0..1e19)
                    .contains(&nanos)
                    .then(|| Duration::from_nanos(nanos as u64))
            }
        }
    }
}

/// Empty means that there is none.
impl OptionValue for Frame {
    fn render(&self) -> String {
        if self.is_empty() {
            return String::from("none");
        }
        match self.to_str() {
            Ok(text) => text.escape_debug().to_string(),
            Err(_) => self.escape_ascii().to_string(),
        }
    }

    /// The text as it is.
    fn parse(text: &str) -> Option<Frame> {
        match text {
            "none" => Some(Frame::new()),
            text => Some(Frame::from(text)),
        }
    }
}

/// Empty means that there is none.
impl OptionValue for String {
    fn render(&self) -> String {
        match &**self {
            "" => String::from("none"),
            text => text.to_owned(),
        }
    }

    fn parse(text: &str) -> Option<String> {
        Some(match text {
            "none" => String::new(),
            text => text.to_owned(),
        })
    }
}

/// Set and not shown.
impl OptionValue for Secret {
    fn render(&self) -> String {
        match self.is_empty() {
            true => String::from("none"),
            false => String::from("***"),
        }
    }

    fn parse(text: &str) -> Option<Secret> {
        Some(match text {
            "none" => Secret::default(),
            text => Secret::from(text),
        })
    }

    fn quote(_text: &str) -> String {
        String::from("***")
    }
}

/// A path, or anyone; other lists and code are for programs.
impl OptionValue for Allow {
    fn render(&self) -> String {
        self.describe()
    }

    fn parse(text: &str) -> Option<Allow> {
        match text {
            "" => None,
            "anyone" => Some(Allow::anyone()),
            path => Some(Allow::path(path)),
        }
    }
}

impl<V: OptionValue> OptionValue for Option<V> {
    const MISSING_FEATURE: Option<&str> = V::MISSING_FEATURE;

    fn render(&self) -> String {
        match self {
            Some(value) => value.render(),
            None => String::from("none"),
        }
    }

    fn quote(text: &str) -> String {
        V::quote(text)
    }

    fn parse(text: &str) -> Option<Option<V>> {
        match text {
            "none" => Some(None),
            text => V::parse(text).map(Some),
        }
    }
}

/// The longest time an option takes: so a deadline can always be computed, and whoever means for ever
/// says `None`.
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// For every value of the type is allowed.
pub(super) fn any<V>(_: &V) -> bool {
    true
}

/// Up to 365 days.
pub(super) fn up_to_longest(time: &Option<Duration>) -> bool {
    time.is_none_or(|time| time <= LONGEST)
}

/// 0 to 1 s.
pub(super) fn up_to_a_second(time: &Option<Duration>) -> bool {
    time.is_none_or(|time| time <= Duration::from_secs(1))
}

/// 1 ms to 365 days.
pub(super) fn from_1_ms(time: &Option<Duration>) -> bool {
    time.is_none_or(|time| (Duration::from_millis(1)..=LONGEST).contains(&time))
}

/// What the kernel takes in an `int` of bytes.
pub(super) fn buffer_size(size: &Option<usize>) -> bool {
    size.is_none_or(|size| size >= 1 && i32::try_from(size).is_ok())
}

/// What the kernel takes for a number of seconds of TCP keep-alive.
pub(super) fn keepalive_time(time: &Option<Duration>) -> bool {
    time.is_none_or(|time| (1..=32_767).contains(&time.as_secs()) && time.subsec_nanos() == 0)
}
