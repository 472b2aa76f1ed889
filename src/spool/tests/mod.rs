//! Tests on a disk in memory. Those on a real one are in `tests/spool.rs`.

mod crashes;
mod damage;
mod faults;
mod latest;
mod log;
mod room;
mod times;
