//! What a forked child does with the sockets that it has inherited never reaches the parent's connections. And what else is between a process and its
//! system: no descriptor gets to other programs, and no signal ends a call or the process.

#[path = "../common"]
mod common {
    pub(crate) mod block_on;
    pub(crate) mod deadline;
    pub(crate) mod unique;
}

mod child;
#[cfg(target_os = "linux")]
mod descriptors;
mod held;
mod inheritance;
#[cfg(all(target_os = "linux", feature = "tokio"))]
mod reactors;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod signals;
mod workers;
