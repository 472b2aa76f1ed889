//! Promises with a number in them, counted: with real processes, real kills and a link that is really cut.
//!
//! A test that needs another process starts this very binary again, in the role of one of the functions in
//! [`roles`]; see [`worker`].

#[path = "../common"]
mod common {
    pub(crate) mod deadline;
    pub(crate) mod loopback;
    pub(crate) mod unique;
    pub(crate) mod until;
}

mod exhaustion;
mod fairness;
mod gate;
mod held;
mod idle;
#[cfg(feature = "curve")]
mod idle_sealed;
mod network;
mod restarts;
mod roles;
mod slow;
mod streams;
mod tail;
mod worker;
