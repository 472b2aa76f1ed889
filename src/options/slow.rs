//! What a publisher does about a subscriber that does not keep up.

use std::fmt;

use super::value::OptionValue;

/// What becomes of a message for which a subscriber of a PUB, XPUB or RADIO has no room: the value of
/// [`Options::slow_subscriber`](crate::Options::slow_subscriber).
///
/// ```
/// use zerohop::{Context, Options, Pub, SlowSubscriber};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = Options::new().slow_subscriber(SlowSubscriber::Disconnect);
/// let publisher = Pub::with_options(&Context::new(), options)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlowSubscriber {
    /// The subscriber misses this message ([`Published::skipped`](crate::Published::skipped)), as in libzmq.
    #[default]
    DropNewest,
    /// The subscriber misses the oldest that wait for it instead ([`Published::displaced`](crate::Published::displaced)): as many as are in the way; of
    /// those behind one that is half written, an eighth at once. For what is soon out of date. Over inproc the newest is dropped, as what the subscriber's
    /// socket has cannot be taken back.
    DropOldest,
    /// The subscriber misses this message, and its connection is closed
    /// ([`DisconnectCause::TooSlow`](crate::DisconnectCause::TooSlow)): it learns that it has missed something, and may start afresh.
    /// Over inproc, where there is no connection, the newest is dropped.
    Disconnect,
    /// The publisher waits for room, as with [`Options::pub_block`](crate::Options::pub_block): one slow subscriber slows all.
    Wait,
}

impl SlowSubscriber {
    const ALL: [SlowSubscriber; 4] = [
        SlowSubscriber::DropNewest,
        SlowSubscriber::DropOldest,
        SlowSubscriber::Disconnect,
        SlowSubscriber::Wait,
    ];
}

/// The name by which the option is set.
impl fmt::Display for SlowSubscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SlowSubscriber::DropNewest => "drop_newest",
            SlowSubscriber::DropOldest => "drop_oldest",
            SlowSubscriber::Disconnect => "disconnect",
            SlowSubscriber::Wait => "wait",
        })
    }
}

impl OptionValue for SlowSubscriber {
    fn render(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Self> {
        SlowSubscriber::ALL
            .into_iter()
            .find(|policy| policy.to_string() == text)
    }
}
