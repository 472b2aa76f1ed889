//! Who is let in, and who decides: verdicts that come at once, much later, or never, and what they hold up meanwhile, which is nothing.

mod common {
    pub(crate) mod deadline;
    pub(crate) mod events;
    #[allow(dead_code, reason = "handshakes here are of another mechanism")]
    pub(crate) mod raw;
    pub(crate) mod unique;
    pub(crate) mod until;
}

#[path = "access/lists.rs"]
mod lists;
#[path = "access/open_ports.rs"]
mod open_ports;
#[path = "access/plain.rs"]
mod plain;
#[path = "access/verdicts.rs"]
mod verdicts;
#[path = "access/zap.rs"]
mod zap;
