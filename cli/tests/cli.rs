//! The program `zerohop`, started as a user would, against itself. Against pyzmq and libzmq it is tested in `interop/`.

// The helpers are shared by all test targets, and this one needs only some of each.
#[allow(dead_code)]
mod common {
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod unique;
}

mod command {
    mod ending;
    mod exec;
    mod files;
    mod forms;
    mod handed_down;
    mod names;
    mod perf;
    // What `interop/` needs of it, too.
    #[allow(dead_code)]
    mod perf_tools;
    pub(crate) mod program;
    mod proxy;
    mod refusing;
    mod replaying;
    mod reporting;
    mod security;
    mod settling;
    mod spool;
    mod talking;
    mod telling;
    mod terminating;
    mod timeouts;
}

/// The program under test.
fn zerohop() -> &'static str {
    env!("CARGO_BIN_EXE_zerohop")
}
