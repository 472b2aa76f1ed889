//! What the commands need of a socket beyond the library's traits.

use zerohop::{Pub, Published, Push, SendSocket};

/// What takes messages, and can say how many peers have missed one.
pub(crate) trait Sending: SendSocket {
    /// A message that a peer refuses is one that nobody gets.
    const REFUSED_IS_LOST: bool;

    /// The number of peers that miss a message that was sent so.
    fn missed(sent: &Self::Sent) -> usize;

    /// Whether there was any peer that it was for.
    fn is_wanted(sent: &Self::Sent) -> bool;
}

impl Sending for Push {
    const REFUSED_IS_LOST: bool = true;

    fn missed((): &()) -> usize {
        0
    }

    fn is_wanted((): &()) -> bool {
        true
    }
}

impl Sending for Pub {
    const REFUSED_IS_LOST: bool = false;

    fn missed(sent: &Published) -> usize {
        sent.skipped + sent.refused
    }

    fn is_wanted(sent: &Published) -> bool {
        sent.sent + sent.skipped + sent.refused > 0
    }
}
