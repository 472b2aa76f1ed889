//! What others can reach: refused, unless somebody keeps them out or it is meant.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use zerohop::{Allow, BindError, Context, Event, Options, Pull};

use crate::common::unique;

fn pull(options: Options) -> Pull {
    Pull::with_options(&Context::new(), options).expect("a PULL")
}

#[test]
fn an_open_port_has_to_be_meant() {
    for endpoint in [
        "tcp://*:*",
        "tcp://0.0.0.0:*",
        "tcp://[::]:*",
        "tcp://[::ffff:0.0.0.0]:*",
    ] {
        let socket = pull(Options::new());
        let monitor = socket.monitor();
        let error = socket.bind(endpoint).expect_err("refused");
        assert!(matches!(&error, BindError::Insecure { .. }), "{error:?}");
        let text = error.to_string();
        for way_out in ["127.0.0.1", "Options::allow", "Options::insecure"] {
            assert!(text.contains(way_out), "{text}");
        }
        assert!(matches!(monitor.try_recv(), Ok(Event::BindFailed { .. })));
        assert_eq!(socket.last_endpoint(), None);
    }
    // Whoever says that it is a server of PLAIN is taken for one.
    let client = pull(Options::new().plain_client("alice", "tiger"));
    let refused = client.bind("tcp://*:*");
    assert!(matches!(refused, Err(BindError::Insecure { .. })));
    for options in [
        Options::new().insecure(),
        Options::new().plain_client("alice", "tiger").insecure(),
        Options::new().allow(Allow::by(|_: &zerohop::AuthRequest| false)),
        Options::new().plain_server(true),
    ] {
        pull(options).bind("tcp://*:*").expect("bound");
    }
    for endpoint in [
        "tcp://127.0.0.1:*",
        "tcp://127.1.2.3:*",
        "tcp://localhost:*",
        "ipc://*",
    ] {
        pull(Options::new()).bind(endpoint).expect("bound");
    }
}

fn path() -> PathBuf {
    std::env::temp_dir().join(unique::name())
}

#[test]
fn a_socket_file_is_for_this_user_unless_said_otherwise() {
    for (options, mode) in [
        (Options::new(), 0o600),
        (Options::new().ipc_mode(0o660), 0o660),
        (Options::new().ipc_mode(0o666), 0o666),
    ] {
        let (socket, path) = (pull(options), path());
        socket
            .bind(&*format!("ipc://{}", path.display()))
            .expect("bound");
        let metadata = fs::metadata(&path).expect("a file");
        assert_eq!(metadata.permissions().mode() & 0o777, mode);
        drop(socket);
    }
}

/// Only root can give a file away, so that it can be seen only there.
#[test]
fn a_socket_file_of_somebody_else_stays() {
    let path = path();
    drop(UnixListener::bind(&path).expect("bound"));
    let endpoint = format!("ipc://{}", path.display());
    let stranger = fs::metadata(&path).expect("a file").uid() + 4711;
    if std::os::unix::fs::chown(&path, Some(stranger), None).is_ok() {
        let error = pull(Options::new()).bind(&*endpoint).expect_err("refused");
        assert!(
            matches!(&error, BindError::OthersSocket { uid, .. } if *uid == stranger),
            "{error:?}"
        );
        assert_eq!(fs::metadata(&path).expect("still there").uid(), stranger);
        fs::remove_file(&path).expect("removed");
        drop(UnixListener::bind(&path).expect("bound"));
    }
    // One of ours is taken over.
    pull(Options::new()).bind(&*endpoint).expect("bound");
}
