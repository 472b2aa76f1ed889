//! The bound on every wait in the tests.

use std::time::Duration;

/// How long a test waits for what must happen. Long, for a loaded machine: nothing ever waits it out except
/// a test that is about to fail.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
