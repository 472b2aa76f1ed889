//! Peers within the process: channels between two sockets of a context, in place of connections.
//!
//! Such a peer from the beginning to the end is in `peer::local`, as those behind a wire are in `peer::link`.
//!
//! | file | what |
//! |---|---|
//! | `names` | who has bound a name, and the offers of those who connect to it |
//! | `link` | one end of such a pair |
//! | `offerer` | when to offer ourselves again |
//! | `channel` | one direction between two sockets, as a hand-over |
//! | `read_rate` | how often a channel is read, so that messages gather in a stream |
//! | `shelf` | the memory of long messages, on its way back to their sender |

pub(super) mod channel;
pub(super) mod link;
pub(super) mod names;
pub(super) mod offerer;
pub(super) mod read_rate;
pub(super) mod shelf;
#[cfg(test)]
mod shelf_tests;
