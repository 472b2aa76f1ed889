//! What others can reach: refused, unless somebody keeps them out or it is meant.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;

use zerohop::{Allow, BindError, Context, Event, Options, Pull, ReconfigureError};

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
    // Nobody would be there to ask, and everyone be let in.
    let lax = || Options::new().zap_domain("shop").zap_enforce_domain(false);
    let refused = pull(lax()).bind("tcp://*:*");
    assert!(matches!(refused, Err(BindError::Insecure { .. })));
    let strict = pull(Options::new().zap_domain("shop"));
    strict.bind("tcp://*:*").expect("bound");
    let opened = strict.set("zap_enforce_domain", "false");
    assert!(matches!(opened, Err(ReconfigureError::Insecure { .. })));
    for options in [
        lax().insecure(),
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

/// Whichever of the two comes first, the other is refused.
#[test]
fn a_port_is_not_opened_while_it_is_bound() {
    for _ in 0..300 {
        let socket = pull(Options::new().plain_server(true));
        let (bound, opened) = thread::scope(|scope| {
            let opening = scope.spawn(|| socket.set("plain_server", "false"));
            let bound = socket.bind("tcp://*:*");
            (bound, opening.join().expect("no panic"))
        });
        assert!(
            matches!(
                (&bound, &opened),
                (Ok(_), Err(ReconfigureError::Insecure { .. }))
                    | (Err(BindError::Insecure { .. }), Ok(()))
            ),
            "{bound:?}, {opened:?}"
        );
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
