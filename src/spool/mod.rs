//! Messages on disk: an append-only log in a folder, whose messages are kept until they are settled.
//!
//! A spool is for one sender. It appends messages, each of which gets a number (*seq*), and asks for them to be made safe
//! ([`OpenSpool::commit`]); threads that do so at once share one write and one sync. When a message has been processed, it is *settled*, and
//! the room it took is used again. One that cannot be processed becomes a *dead letter*, which stays until it is settled or replayed.
//! After a restart [`OpenSpool::unsettled`] gives what is left, in order.
//!
//! ```
//! use zerohop::spool::{Spool, Sync};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = std::env::temp_dir().join(format!("zerohop-spool-doc-{}", std::process::id()));
//! let spool = Spool::at(&folder).sync(Sync::Disk).open()?;
//! let first = spool.append("an order")?;
//! let second = spool.append(["another", "of two frames"])?;
//! spool.commit(second)?; // both survive a power failure from here on
//! spool.settle([first..=first])?;
//! spool.close()?;
//!
//! let spool = Spool::at(&folder).open()?;
//! let left = spool.unsettled().collect::<Result<Vec<_>, _>>()?;
//! assert_eq!(left.len(), 1);
//! assert_eq!(left[0].message, ["another", "of two frames"]);
//! # drop(spool);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok(())
//! # }
//! ```
//!
//! The files are described in `docs/spool-format.md`.
//!
//! # What is lost when
//!
//! | failure | [`Sync::Os`] | [`Sync::Disk`] |
//! |---|---|---|
//! | the process is killed | nothing that was committed | nothing that was committed |
//! | the machine loses power | what the system had not written, some seconds | nothing that was committed |
//! | the disk is full | `append` fails, and nothing of the message is kept | the same |
//! | a write or a sync fails | from then on all calls fail; what was committed before is kept | the same |
//! | the disk is damaged | opening fails with [`SpoolError::Corrupt`], if it can be known that this is no trace of a crash | the same |
//!
//! A settlement is not synced by itself: if it is lost, the message is there again after the restart.

// Inside:
//
//   crc, record, scan, segment, identity     the format, pure
//   index                                    which messages are live, and where; pure
//   disk                                     the folder behind a trait
//   commit                                   the hand-over of group commit
//   recover, opening                         reads a folder, and makes of it a spool that can be written to
//   store                                    appends, and has the room for it
//   state                                    what the lock of an open spool guards; pure
//   settling, compacting                     what becomes of messages, and what is left of old segments
//   writing, writeback                       what the leader of a group does, and spare segments
//   reading                                  reads messages back
//   log                                      a spool as the log of a publisher
//   latest                                   which messages are the newest of each topic, if a log keeps no others; pure
//   cleaning                                 gives up the segments of such a log
//   notes                                    the hand-over of what a socket has learned of its messages
//   memory, fuzzing                          a disk in memory, and what the fuzzer calls

mod cleaning;
mod commit;
mod compacting;
pub(crate) mod crc;
mod disk;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod identity;
mod index;
mod latest;
mod log;
// The fuzzer's disk never fails.
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) mod memory;
mod notes;
mod opening;
mod reading;
mod record;
mod recover;
mod scan;
mod segment;
mod settings;
mod settling;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod volatile;
mod writeback;
mod writing;

pub use error::SpoolError;
#[cfg(test)]
pub(crate) use latest::{Extent, Latest};
pub(crate) use log::LogReader;
pub(crate) use notes::Notes;
pub use reading::{DeadLetters, Stored, Unsettled};
pub use recover::Damage;
pub use settings::{Spool, Sync};
pub use store::{OpenSpool, Recovery, SegmentInfo};

/// The version of the format.
const VERSION: u32 = 1;
