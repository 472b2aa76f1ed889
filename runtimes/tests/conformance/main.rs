//! The conformance suite, by each way of waiting: its scenarios are those of `tests/conformance`, and what their calls do here is in [`sockets`].
//!
//! Over tcp and within the process only: what waits is told nothing of the transport.

#[path = "../common"]
mod common {
    pub(crate) mod deadline;
    pub(crate) mod loopback;
    pub(crate) mod unique;
    pub(crate) mod until;
}

/// The transports of this suite.
macro_rules! on_all_transports {
    ($($scenario:ident),+) => {
        $crate::arena::on_transport!(tcp, Tcp => $($scenario),+);
        $crate::arena::on_transport!(inproc, Inproc => $($scenario),+);
    };
}

#[allow(
    dead_code,
    reason = "some transports and types are in the other suite only"
)]
#[path = "../../../tests/conformance/arena.rs"]
mod arena;
#[path = "../../../tests/conformance/closing.rs"]
mod closing;
#[path = "../../../tests/conformance/dealer.rs"]
mod dealer;
#[path = "../../../tests/conformance/flow.rs"]
mod flow;
#[path = "../../../tests/conformance/pair.rs"]
mod pair;
#[allow(
    dead_code,
    reason = "some transports and types are in the other suite only"
)]
#[path = "../../../tests/conformance/pairs.rs"]
mod pairs;
#[path = "../place/mod.rs"]
mod place;
#[path = "../../../tests/conformance/pub_sub.rs"]
mod pub_sub;
#[path = "../../../tests/conformance/push_pull.rs"]
mod push_pull;
#[path = "../../../tests/conformance/req_rep.rs"]
mod req_rep;
#[path = "../../../tests/conformance/router.rs"]
mod router;
mod sockets;
#[path = "../../../tests/conformance/threads.rs"]
mod threads;
mod ways;
#[path = "../../../tests/conformance/xpub_xsub.rs"]
mod xpub_xsub;
