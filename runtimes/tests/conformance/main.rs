//! The conformance suite, by each way of waiting: its scenarios are those of `tests/conformance`, and what their calls do here is in [`sockets`].
//!
//! Left out are those whose calls are futures or descriptors in themselves (`ready`, `tasks`), and what all ways of waiting share: listening sockets
//! that others have opened, events and counters (`handed_down`, `notices`, `watching`). By five ways over four transports it takes two to three minutes on two cores, most of it waiting.

#[path = "../common"]
mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
    pub(crate) mod loopback;
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

#[path = "../../../tests/conformance/arena.rs"]
mod arena;
#[path = "../../../tests/conformance/balancing.rs"]
mod balancing;
#[path = "../../../tests/conformance/behaviours.rs"]
mod behaviours;
#[path = "../../../tests/conformance/changing.rs"]
mod changing;
#[path = "../../../tests/conformance/closing.rs"]
mod closing;
#[path = "../../../tests/conformance/connecting.rs"]
mod connecting;
#[path = "../../../tests/conformance/dealer.rs"]
mod dealer;
#[path = "../../../tests/conformance/draft.rs"]
mod draft;
#[path = "../../../tests/conformance/flow.rs"]
mod flow;
#[path = "../../../tests/conformance/origins.rs"]
mod origins;
#[path = "../../../tests/conformance/pair.rs"]
mod pair;
#[allow(dead_code, reason = "some of it is for the other suite only")]
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
#[path = "../../../tests/conformance/stream.rs"]
mod stream;
#[path = "../../../tests/conformance/threads.rs"]
mod threads;
mod ways;
#[path = "../../../tests/conformance/xpub_xsub.rs"]
mod xpub_xsub;
