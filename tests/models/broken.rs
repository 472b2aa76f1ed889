//! Models without one of their rules, to see that the rule is needed, and that they see what they are there to see.

use std::process::Command;

/// Set in a process of its own to the name of the rule that its model leaves out.
const WITHOUT: &str = "ZEROHOP_MODEL_WITHOUT";

/// What a rule is called, the rules without it, and the model.
type Broken<R> = (&'static str, R, fn(R));

/// Runs models, each of which lacks the rule that it is named for and is to end in a deadlock. In processes of their own, which run `test`, since loom
/// may abort over a deadlock.
pub(crate) fn each_rule_is_needed<R: Copy>(test: &str, models: &[Broken<R>]) {
    if let Ok(without) = std::env::var(WITHOUT) {
        let model = models.iter().find(|(rule, ..)| *rule == without);
        let (_, rules, run) = model.expect("a rule of this model");
        return run(*rules);
    }
    for (rule, ..) in models {
        let this = std::env::current_exe().expect("this test binary");
        let output = Command::new(this)
            .args(["--exact", test, "--nocapture"])
            .env(WITHOUT, rule)
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("a child process");
        let text = String::from_utf8_lossy(&output.stderr);
        let found = !output.status.success() && text.contains("deadlock");
        assert!(found, "without {rule}: no deadlock found: {text}");
    }
}
