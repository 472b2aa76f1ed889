//! What a machine may lack.

use std::env;
use std::io::{Write, stderr};

/// Says that a test is left out for want of something: visibly on a laptop; under CI, where nothing may be left
/// out, by failing.
pub(crate) fn missing(test: &str, what: &str) {
    let ci = env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(!ci, "CI needs {what}: {test}");
    // Not eprintln: the harness would swallow what a passing test prints.
    let _ = writeln!(stderr(), "SKIPPED: {test}: there is no {what}");
}
