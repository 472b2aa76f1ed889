#![allow(dead_code, unused_imports)] // `cargo bench` includes this module, and has no test harness to call them.

use super::*;

const REPORT: &str =
    r#"{"messages":7,"nanos":1000,"cpu_nanos":10,"latency":null,"bytes_per_connection":null}"#;

/// A contestant that a shell plays.
fn shell(name: &str, script: &str) -> Entrant {
    Entrant {
        name: name.to_owned(),
        command: ["sh", "-c", script].map(Into::into).to_vec(),
        transports: vec![Transport::Tcp],
        works: vec![Work::PushPull, Work::OpenLoop],
        left_out: vec![(Work::FanOut, "it drops".to_owned())],
        most_peers: 1,
        has_curve: false,
    }
}

fn workloads(works: &[Work]) -> Vec<Workload> {
    let all = super::super::workload::workloads(Scale::Quick);
    let first_of = |work: &Work| all.iter().find(|workload| workload.work == *work).cloned();
    works.iter().filter_map(first_of).collect()
}

fn run_with(entrants: &[Entrant], works: &[Work]) -> Fallible<Outcome> {
    let plan = Plan {
        scale: Scale::Quick,
        rounds: 2,
        seconds: Some(0.1),
        awake: false,
        patience: Duration::from_millis(500),
    };
    let entrants: Vec<&Entrant> = entrants.iter().collect();
    run(&plan, &workloads(works), &entrants, &[], |_| Ok(()))
}

#[test]
fn who_fails_is_out_with_the_reason_and_the_others_go_on() -> Fallible<()> {
    // Only who binds says that it is ready; the task follows the script, as its $0.
    let works = format!("case $0 in *pull*) echo ready;; esac; echo '{REPORT}'; read go");
    let entrants = [
        shell("hangs", "echo ready; exec sleep 60"),
        shell(
            "crashes",
            "echo 'number 7 came where 5 was due' >&2; exit 1",
        ),
        shell("dies", "kill -9 $$"),
        shell("babbles", "echo steady"),
        shell("works", &works),
    ];
    let begun = Instant::now();
    let Outcome { results, failures } = run_with(&entrants, &[Work::PushPull])?;
    assert!(begun.elapsed() < Duration::from_secs(30));
    let [result] = &results.workloads[..] else {
        return Err("not one workload".into());
    };
    let of = |who| result.contestants.iter().find(|one| one.contestant == who);
    for (who, why) in [
        ("hangs", "not done in time"),
        ("crashes", "number 7 came where 5 was due"),
        ("dies", "ended without a report"),
        ("babbles", "\"steady\" instead of being ready"),
    ] {
        let failure = of(who).and_then(|result| result.failure.as_deref());
        assert!(
            failure.is_some_and(|failure| failure.contains(why)),
            "{who}: {failure:?}"
        );
        assert!(failures.iter().any(|failure| failure.contains(who)));
    }
    assert_eq!(failures.len(), 4, "{failures:?}");
    let measures = of("works").map(|result| &result.measures[0].samples);
    assert_eq!(measures.map(Vec::len), Some(2));
    Ok(())
}

#[test]
fn a_stream_takes_as_long_as_the_slower_of_its_ends() -> Fallible<()> {
    let slower = REPORT.replace("1000", "3500");
    for (puller, pusher) in [(REPORT, &*slower), (&*slower, REPORT)] {
        let script = format!(
            "case $0 in *pull*) echo ready; echo '{puller}';; *) echo '{pusher}';; esac; read go"
        );
        let Outcome { results, .. } = run_with(&[shell("one", &script)], &[Work::PushPull])?;
        // Seven messages in 3,500 ns.
        let result = &results.workloads[0];
        assert_eq!(result.median("one", Metric::MessagesPerSecond), Some(2e6));
    }
    Ok(())
}

#[test]
fn who_cannot_take_part_is_shown_with_the_reason() -> Fallible<()> {
    let entrants = [shell("drops", "exit 1")];
    let works = [Work::Latency, Work::FanOut];
    let Outcome { results, failures } = run_with(&entrants, &works)?;
    assert!(failures.is_empty(), "{failures:?}");
    let [result] = &results.workloads[..] else {
        return Err("a workload that nobody would miss".into());
    };
    assert_eq!(
        result.contestants[0].absence(),
        Some(("left out", "it drops"))
    );
    Ok(())
}
