//! The blocks of docs/pipelines.md, of docs/closed-ports.md, of docs/delivery.md and of the README's section on the shell, run as they stand.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use super::program::Program;
use crate::common::pyzmq::Pyzmq;
use crate::common::unique;
use crate::zerohop;

const PIPELINES: &str = include_str!("../../../docs/pipelines.md");
const CLOSED_PORTS: &str = include_str!("../../../docs/closed-ports.md");
const DELIVERY: &str = include_str!("../../../docs/delivery.md");
const README: &str = include_str!("../../../README.md");

#[test]
fn the_pipelines_run_as_they_stand() {
    run_as_they_stand(PIPELINES, 6);
}

/// But for the port, which may be another program's here.
#[test]
fn open_ports_are_closed_as_they_stand() {
    let free = TcpListener::bind("0.0.0.0:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a port").port().to_string();
    let count = if Pyzmq::available().is_some() { 2 } else { 0 };
    run_as_they_stand(&CLOSED_PORTS.replace("5555", &port), count);
}

#[test]
fn messages_are_settled_as_they_stand() {
    run_as_they_stand(DELIVERY, 1);
}

/// Runs the blocks, of which there are so many at least.
fn run_as_they_stand(text: &str, least: usize) {
    let pyzmq = Pyzmq::available();
    let folders = [
        Path::new(zerohop()).parent(),
        pyzmq.as_ref().and_then(|pyzmq| pyzmq.python().parent()),
    ];
    let usual = env::var_os("PATH").unwrap_or_default();
    let folders = folders.into_iter().flatten().map(Path::to_owned);
    let path = env::join_paths(folders.chain(env::split_paths(&usual))).expect("a path");
    let mut count = 0;
    for rest in text.split("```sh\n").skip(1) {
        let mut blocks = rest.split("```");
        let script = blocks.next().unwrap_or_default();
        if script.contains("python3") && pyzmq.is_none() {
            continue;
        }
        let expected = blocks.nth(1).and_then(|block| block.strip_prefix("text\n"));
        assert_eq!(Some(printed(script, &path).as_str()), expected, "{script}");
        count += 1;
    }
    assert!(count >= least, "{count} blocks");
}

#[test]
fn the_readme_can_be_pasted() {
    let (_, section) = README.split_once("## From the shell").expect("the section");
    let (_, block) = section.split_once("```sh\n").expect("a block");
    let (script, _) = block.split_once("```").expect("its end");
    let folder = Path::new(zerohop()).parent().expect("a folder").to_owned();
    let usual = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([folder].into_iter().chain(env::split_paths(&usual)));
    assert_eq!(
        printed(script, &path.expect("a path")),
        "1 squared is 1\n2 squared is 4\n3 squared is 9\n4 squared is 16\n"
    );
}

/// What a script prints in an empty folder.
fn printed(script: &str, path: &OsStr) -> String {
    let folder = env::temp_dir().join(unique::name());
    fs::create_dir(&folder).expect("a new folder");
    let mut command = Command::new("bash");
    command
        .args(["-euc", script])
        .env("PATH", path)
        .current_dir(&folder);
    let ended = Program::spawn(&mut command).end();
    fs::remove_dir_all(&folder).expect("a folder to remove");
    assert_eq!(ended.code, Some(0), "{script}{ended:#?}");
    ended.out
}
