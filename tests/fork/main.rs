//! What a forked child does with the sockets that it has inherited never reaches the parent's connections.

#[path = "../common"]
mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
    pub(crate) mod unique;
}

mod child;
mod held;
mod inheritance;
mod workers;
