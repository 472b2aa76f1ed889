//! Peers within the process: channels between two sockets of a context, in place of connections.
//!
//! | file | what |
//! |---|---|
//! | `local` | names, offers, and such a peer from the beginning to the end |
//! | `channel` | one direction between two sockets, as a hand-over |
//! | `pulse` | whether a channel streams, so that its reader lets messages gather |
//! | `shelf` | the memory of long messages, on its way back to their sender |

pub(super) mod channel;
pub(super) mod local;
pub(super) mod pulse;
pub(super) mod shelf;
#[cfg(test)]
mod shelf_tests;
