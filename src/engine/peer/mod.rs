//! The peers of a socket: their connections from dialing to farewell, and the bytes in both directions.
//!
//! The fields of [`Net`](net::Net), of [`Peers`](peers::Peers) and of a peer are known here only; whoever drives, or uses peers, has methods.
//!
//! | file | what |
//! |---|---|
//! | `net` | all of it as one value |
//! | `turn` | a turn of whoever drives it: what events, notes and timers do |
//! | `peers` | what a pattern sees: peers to queue for and to take from |
//! | `state` | one of them, as the engine sees it |
//! | `link`, `dialer`, `listen`, `farewell` | the life of a connection: made, lost, made again, let go |
//! | `local` | the same for a peer within the process: offered, adopted, offered again |
//! | `addresses` | how much one address may take |
//! | `authentication` | whether a peer is let in |
//! | `reading`, `in_buffer` | bytes in from the wire, up to whole messages |
//! | `outgoing`, `out_buffer`, `writing`, `direct` | messages out, up to the wire |
//! | `passing` | messages from one socket to another, as they have come |
//! | `wire` | all bytes between these and the kernel, with what is put around messages there |
//! | `notices` | messages that tell of a connection's beginning and end, and connections that the application ends |
//! | `limits`, `withdraw` | what a peer takes, and what is taken back |
//! | `bytes` | limits in bytes for both queues of a peer |
//! | `shares` | how much a peer is to get of what is sent, and who says that |
//! | `slow` | peers that do not keep up |
//! | `stats` | what the application may know of them |
//! | `pool` | the chunks that both kinds of buffers are made of |
//! | `stand` | for the tests: sockets without a network |

pub(super) mod addresses;
mod authentication;
mod bytes;
pub(super) mod dialer;
pub(super) mod direct;
pub(super) mod farewell;
pub(super) mod in_buffer;
#[cfg(test)]
mod life_tests;
pub(super) mod limits;
pub(super) mod link;
pub(super) mod listen;
mod local;
pub(super) mod net;
mod notices;
pub(super) mod out_buffer;
pub(super) mod outgoing;
pub(super) mod passing;
pub(super) mod peers;
pub(super) mod pool;
pub(super) mod reading;
mod reconfigure;
pub(super) mod shares;
mod slow;
#[cfg(test)]
pub(in crate::engine) mod stand;
pub(super) mod state;
mod stats;
pub(super) mod turn;
pub(super) mod wire;
pub(super) mod withdraw;
pub(super) mod writing;
