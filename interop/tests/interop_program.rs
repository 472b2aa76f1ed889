//! The program `zerohop` against pyzmq and libzmq, and in the documents' pipelines.

// The helpers are shared by all test targets, and this one needs only some of each.
#[allow(dead_code)]
mod common {
    pub(crate) mod child;
    pub(crate) mod deadline;
    pub(crate) mod endpoints;
    pub(crate) mod line_peer;
    pub(crate) mod part;
    pub(crate) mod peer;
    pub(crate) mod pyzmq;
    pub(crate) mod unique;
}

#[allow(dead_code)]
mod command {
    mod documents;
    mod perf;
    mod perf_tools;
    mod probe;
    mod program;
    mod talking;
}

use std::env;
use std::sync::LazyLock;

/// The program under test, which `cargo test` in the workspace builds beside the folder that this test is in.
fn zerohop() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        let test = env::current_exe().expect("this test is a file");
        let folder = test.parent().and_then(|deps| deps.parent());
        let program = folder.expect("target/*/deps").join("zerohop");
        assert!(
            program.exists(),
            "{} is missing: run all of `cargo test`, or `cargo build --package zerohop-cli` first",
            program.display()
        );
        program
            .into_os_string()
            .into_string()
            .expect("a Unicode path")
    });
    &PROGRAM
}
