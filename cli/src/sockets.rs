//! What the commands need of a socket beyond the library's traits.

use zerohop::{Pub, Published, Push, SendSocket};

/// What takes messages, and can say how many peers have missed one.
pub(crate) trait Sending: SendSocket {
    /// A message that a peer refuses is one that nobody gets.
    const REFUSED_IS_LOST: bool;

    /// The number of peers that miss a message that was sent so.
    fn missed(sent: Self::Sent) -> usize;
}

impl Sending for Push {
    const REFUSED_IS_LOST: bool = true;

    fn missed((): ()) -> usize {
        0
    }
}

impl Sending for Pub {
    const REFUSED_IS_LOST: bool = false;

    fn missed(sent: Published) -> usize {
        sent.skipped + sent.refused
    }
}
