//! What can be changed on a socket that is in use.

/// What it does to change an option of a socket that is in use, with [`reconfigure`](crate::Push::reconfigure) or
/// [`set`](crate::Push::set): [`OptionInfo::change`](crate::OptionInfo::change) says it of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// It holds at once, also for the connections that are there. A call that waits already keeps the time it has.
    AtOnce,
    /// It holds for what begins afterwards: endpoints, and connections, also those that existing endpoints make or accept
    /// anew. Connections that are there stay as they are. (In libzmq an endpoint keeps the options that it was bound or connected with.)
    Later,
    /// It is refused, for this reason.
    Fixed(&'static str),
}
