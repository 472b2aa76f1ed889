//! What is particular to `ipc`: the path and who owns it.

use std::fs;
use std::io;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::{Barrier, mpsc};
use std::thread;

use mio::Interest;

use super::super::dial::{self, SocketAddress};
use super::super::endpoint::IpcAddress;
use super::super::{Address, BindError, Endpoint, StreamOptions};
use super::{accept, bind, bind_default, connection, echo, wait};

/// A directory for the files of one test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("zerohop-test-{}-{test}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn path(&self) -> PathBuf {
        self.0.join("s")
    }

    fn endpoint(&self) -> String {
        format!("ipc://{}", self.path().display())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ipc_path(endpoint: &Endpoint) -> &Path {
    match endpoint.address() {
        Address::Ipc(IpcAddress::Path(path)) => path,
        other => panic!("not a path: {other:?}"),
    }
}

#[test]
fn an_ipc_path_echoes_and_is_removed() {
    let scratch = Scratch::new("echo");
    let mut listener = bind_default(&scratch.endpoint()).unwrap();
    let (dialed, accepted) = echo(&mut listener, &StreamOptions::default());
    assert_eq!(dialed.peer_label(), scratch.endpoint());
    assert_eq!(accepted.peer_label(), scratch.endpoint());
    drop(listener);
    assert!(!scratch.path().exists());
}

#[test]
fn an_ipc_wildcard_is_a_fresh_path_and_is_removed() {
    let mut listener = bind_default("ipc://*").unwrap();
    let other = bind_default("ipc://*").unwrap();
    assert_ne!(listener.endpoint(), other.endpoint());
    echo(&mut listener, &StreamOptions::default());
    let path = ipc_path(listener.endpoint()).to_owned();
    assert!(path.exists());
    drop(listener);
    assert!(!path.exists());
    assert!(
        !path.parent().unwrap().exists(),
        "the directory is left behind"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_echoes() {
    let name = format!("ipc://@zerohop-test-{}", std::process::id());
    let mut listener = bind_default(&name).unwrap();
    assert_eq!(listener.endpoint().to_string(), name);
    echo(&mut listener, &StreamOptions::default());
    assert!(matches!(
        bind_default(&name),
        Err(BindError::AddrInUse { .. })
    ));
    drop(listener);
    bind_default(&name).unwrap();
}

#[test]
fn a_stale_ipc_socket_is_taken_over() {
    let scratch = Scratch::new("stale");
    // The standard library's listener leaves its file behind.
    drop(UnixListener::bind(scratch.path()).unwrap());
    assert!(scratch.path().exists());
    let mut listener = bind_default(&scratch.endpoint()).unwrap();
    echo(&mut listener, &StreamOptions::default());
}

/// Of several that come at once one has the path; the others are told that it is in use, and take nothing away from it.
#[test]
fn a_stale_ipc_socket_is_taken_over_by_one() {
    const ROUNDS: usize = 5_000;
    const RACERS: usize = 4;
    let scratch = Scratch::new("race");
    let endpoint = scratch.endpoint();
    let start = Barrier::new(RACERS + 1);
    thread::scope(|scope| {
        let (sender, outcomes) = mpsc::channel();
        for _ in 0..RACERS {
            let (start, endpoint, sender) = (&start, &endpoint, sender.clone());
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    start.wait();
                    sender.send(bind_default(endpoint)).unwrap();
                }
            });
        }
        let mut problems = Vec::new();
        for _ in 0..ROUNDS {
            drop(UnixListener::bind(scratch.path()).unwrap());
            start.wait();
            let outcomes: Vec<_> = outcomes.iter().take(RACERS).collect();
            let mut winners = Vec::new();
            for outcome in outcomes {
                match outcome {
                    Ok(listener) => winners.push(listener),
                    Err(BindError::AddrInUse { .. }) => {}
                    Err(error) => problems.push(error.to_string()),
                }
            }
            match &mut winners[..] {
                [winner] => drop(connection(winner, &StreamOptions::default())),
                _ => problems.push(format!("{} winners", winners.len())),
            }
            drop(winners);
            let _ = fs::remove_file(scratch.path());
        }
        assert_eq!(problems, [""; 0]);
    });
}

/// Who holds the lock of the directory and does not let go delays the others for a while, and no longer.
#[test]
fn a_locked_directory_is_not_waited_for_without_end() {
    let scratch = Scratch::new("locked");
    let directory = fs::File::open(&scratch.0).unwrap();
    directory.lock().unwrap();
    drop(UnixListener::bind(scratch.path()).unwrap());
    let mut listener = bind_default(&scratch.endpoint()).unwrap();
    echo(&mut listener, &StreamOptions::default());
}

#[test]
fn a_live_ipc_socket_is_not_stolen() {
    let scratch = Scratch::new("live");
    let mut listener = bind_default(&scratch.endpoint()).unwrap();
    let thief = bind_default(&scratch.endpoint());
    assert!(
        matches!(thief, Err(BindError::AddrInUse { .. })),
        "{thief:?}"
    );
    // What the failed bind left in the backlog is a connection that ended.
    let mut probe = accept(&mut listener);
    assert_eq!(
        wait(&mut probe, Interest::READABLE, |stream| stream
            .read(&mut [0]))
        .unwrap(),
        0
    );
    echo(&mut listener, &StreamOptions::default());
}

#[test]
fn a_socket_of_another_type_is_not_stolen() {
    let scratch = Scratch::new("datagram");
    let _alive = UnixDatagram::bind(scratch.path()).unwrap();
    let thief = bind_default(&scratch.endpoint());
    assert!(
        matches!(thief, Err(BindError::AddrInUse { .. })),
        "{thief:?}"
    );
    assert!(scratch.path().exists());
}

#[test]
fn what_is_not_a_socket_is_never_deleted() {
    let scratch = Scratch::new("file");
    fs::write(scratch.path(), "precious").unwrap();
    let error = bind_default(&scratch.endpoint());
    assert!(
        matches!(error, Err(BindError::NotASocket { .. })),
        "{error:?}"
    );
    assert_eq!(fs::read(scratch.path()).unwrap(), b"precious");

    let link = scratch.0.join("link");
    std::os::unix::fs::symlink(scratch.path(), &link).unwrap();
    let error = bind_default(&format!("ipc://{}", link.display()));
    assert!(
        matches!(error, Err(BindError::NotASocket { .. })),
        "{error:?}"
    );
    assert!(link.is_symlink());
}

#[test]
fn a_successors_ipc_file_survives() {
    let scratch = Scratch::new("successor");
    let listener = bind_default(&scratch.endpoint()).unwrap();
    fs::remove_file(scratch.path()).unwrap();
    let _successor = bind_default(&scratch.endpoint()).unwrap();
    drop(listener);
    assert!(scratch.path().exists());
}

#[test]
fn a_missing_directory_is_named() {
    let scratch = Scratch::new("missing");
    let error = bind_default(&format!("{}/deeper", scratch.endpoint()));
    assert!(
        matches!(error, Err(BindError::NoSuchDirectory { .. })),
        "{error:?}"
    );
}

#[test]
fn a_full_ipc_backlog_is_busy_and_not_pending() {
    let options = StreamOptions {
        backlog: 1,
        ..StreamOptions::default()
    };
    let listener = bind("ipc://*", &options).unwrap();
    let address = SocketAddress::Unix(ipc_path(listener.endpoint()).to_owned());
    let mut waiting = Vec::new();
    let error = loop {
        assert!(waiting.len() < 100, "the backlog never fills");
        match dial::dial(&address, None, &options) {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
    };
    if cfg!(target_os = "linux") {
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    }
}
