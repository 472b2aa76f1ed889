//! The program `zerohop`, started as a user would, against itself, pyzmq and libzmq.

// The helpers are shared by all test targets, and this one needs only some of each.
#[allow(dead_code)]
mod common {
    pub(crate) mod child;
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod part;
    pub(crate) mod peer;
    pub(crate) mod pyzmq;
    pub(crate) mod unique;
}

mod command {
    mod documents;
    mod ending;
    mod exec;
    mod files;
    mod forms;
    mod perf;
    pub(crate) mod program;
    mod reporting;
    mod talking;
}
