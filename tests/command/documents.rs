//! The blocks of docs/pipelines.md, run as they stand.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::program::{Program, ZEROHOP};
use crate::common::pyzmq::Pyzmq;
use crate::common::unique;

const PIPELINES: &str = include_str!("../../docs/pipelines.md");

#[test]
fn the_pipelines_run_as_they_stand() {
    let pyzmq = Pyzmq::available();
    let folders = [
        Path::new(ZEROHOP).parent(),
        pyzmq.as_ref().and_then(|pyzmq| pyzmq.python().parent()),
    ];
    let usual = env::var_os("PATH").unwrap_or_default();
    let folders = folders.into_iter().flatten().map(Path::to_owned);
    let path = env::join_paths(folders.chain(env::split_paths(&usual))).expect("a path");
    let mut count = 0;
    for rest in PIPELINES.split("```sh\n").skip(1) {
        let mut blocks = rest.split("```");
        let script = blocks.next().unwrap_or_default();
        if script.contains("python3") && pyzmq.is_none() {
            continue;
        }
        let expected = blocks.nth(1).and_then(|block| block.strip_prefix("text\n"));
        let folder = env::temp_dir().join(unique::name());
        fs::create_dir(&folder).expect("a new folder");
        let mut command = Command::new("bash");
        command
            .args(["-euc", script])
            .env("PATH", &path)
            .current_dir(&folder);
        let ended = Program::spawn(&mut command).end();
        fs::remove_dir_all(&folder).expect("a folder to remove");
        assert_eq!(ended.code, Some(0), "{script}{ended:#?}");
        assert_eq!(Some(ended.out.as_str()), expected, "{script}{ended:#?}");
        count += 1;
    }
    assert!(count >= 6, "{count} blocks");
}
