//! The types of option values: how they read in an error, and the ranges that rows of the table share.

use std::time::Duration;

use crate::Frame;

/// A value as text for people.
pub(super) trait OptionValue {
    /// The value with its unit, where the type implies one.
    fn render(&self) -> String;
}

macro_rules! plain_value {
    ($($kind:ty),+) => {$(
        impl OptionValue for $kind {
            fn render(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

plain_value!(bool, u32, usize);

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
}

/// Empty means that there is none.
impl OptionValue for Frame {
    fn render(&self) -> String {
        if self.is_empty() {
            return String::from("none");
        }
        format!("{self:?}")
    }
}

impl<V: OptionValue> OptionValue for Option<V> {
    fn render(&self) -> String {
        match self {
            Some(value) => value.render(),
            None => String::from("none"),
        }
    }
}

/// The longest time an option takes: so a deadline can always be computed, and whoever means for ever
/// says `None`.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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
