//! What every socket type must do over every transport: one suite, applied to all of them.
//!
//! A scenario is a function of a [`Transport`](arena::Transport), or of one and a [`Pairing`](pairs::Pairing) of
//! socket types, and [`on_every_transport`](arena::on_every_transport) makes a test of it for each. A new transport
//! gets all scenarios for a line in that macro, a new pair of types for a line in `connecting`.

#[path = "../common"]
mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
    pub(crate) mod level;
    pub(crate) mod loopback;
    pub(crate) mod run_all;
    pub(crate) mod unique;
    pub(crate) mod until;
}

/// The transports of this suite.
macro_rules! on_all_transports {
    ($($scenario:ident),+) => {
        $crate::arena::on_transport!(tcp, Tcp => $($scenario),+);
        $crate::arena::on_transport!(ipc, Ipc => $($scenario),+);
        #[cfg(target_os = "linux")]
        $crate::arena::on_transport!(ipc_abstract, IpcAbstract => $($scenario),+);
        $crate::arena::on_transport!(inproc, Inproc => $($scenario),+);
    };
}

/// The sockets of this suite: those of the library, whose calls block. `runtimes/tests/conformance` plays many of the scenarios
/// with others.
mod sockets {
    pub(crate) use zerohop::*;

    /// By so many ways each scenario is played: those with many messages divide them.
    pub(crate) const WAYS: u32 = 1;

    pub(crate) fn by_each_way(scenario: impl Fn()) {
        scenario();
    }
}

mod arena;
mod balancing;
mod behaviours;
mod changing;
mod closing;
mod connecting;
mod dealer;
mod draft;
mod flow;
mod handed_down;
mod notices;
mod origins;
mod pair;
mod pairs;
mod pub_sub;
mod push_pull;
mod ready;
mod req_rep;
mod router;
mod stream;
mod tasks;
mod threads;
mod watching;
mod xpub_xsub;
