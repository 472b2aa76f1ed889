//! The example `once`: what is done with a message takes effect once, whoever is killed when.
//!
//! `cargo test` builds it before it runs this. `ZEROHOP_TEST_KILLS` says how many processes are killed.

use std::env;
use std::process::Command;

/// So many are quick.
const FEW_KILLS: &str = "15";

#[test]
fn orders_take_effect_once_whoever_is_killed() {
    let mut program = env::current_exe().expect("this program");
    program.pop();
    program.pop();
    let kills = env::var("ZEROHOP_TEST_KILLS").unwrap_or_else(|_| FEW_KILLS.to_owned());
    let output = Command::new(program.join("examples/once"))
        .args(["--kills", &kills])
        .output()
        .expect("the example starts");
    let printed = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{complaint}");
    let count = |what: &str| -> u64 {
        let line = printed.lines().find_map(|line| line.strip_prefix(what));
        let number = line.and_then(|rest| rest.trim().parse().ok());
        number.unwrap_or_else(|| panic!("no {what:?} in {printed}"))
    };
    assert!(count("accepted") > 0, "{printed}");
    assert_eq!((count("lost"), count("twice")), (0, 0), "{printed}");
    // Without `done` these would have been booked twice.
    assert!(count("came again") > 0, "{printed}");
}
