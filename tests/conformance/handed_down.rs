//! Listening sockets that somebody else has opened.

use std::fs;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use zerohop::{BindError, Context, Options, Pull, Push};

use crate::common::deadline::DEADLINE;
use crate::common::unique;

fn passes_a_message(pull: &Pull, endpoint: &str, text: &str) {
    let push = Push::new(&Context::new()).expect("a socket");
    push.connect(endpoint).expect("connecting");
    push.send(text).expect("sent");
    assert_eq!(pull.recv_timeout(DEADLINE).expect("a message"), text);
    push.close(DEADLINE).expect("closed");
}

#[test]
fn a_tcp_listener_is_taken_over() {
    let pull = Pull::new(&Context::new()).expect("a socket");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    // Somebody who has it still, as systemd does.
    let theirs = listener.try_clone().expect("a copy");
    let endpoint = pull.bind_listener(listener).expect("taken over");
    assert_eq!(endpoint.to_string(), format!("tcp://{address}"));
    assert_eq!(pull.last_endpoint(), Some(endpoint.clone()));
    passes_a_message(&pull, &endpoint.to_string(), "over tcp");

    pull.unbind(endpoint).expect("unbound");
    let _waits = TcpStream::connect(address).expect("they listen still");
    theirs.set_nonblocking(false).expect("set");
    theirs.accept().expect("a connection");
}

#[test]
fn an_ipc_listener_is_taken_over_and_its_file_stays() {
    let pull = Pull::new(&Context::new()).expect("a socket");
    let path = std::env::temp_dir().join(unique::name());
    let listener = UnixListener::bind(&path).expect("bound");
    let endpoint = pull.bind_listener(listener).expect("taken over");
    assert_eq!(endpoint.to_string(), format!("ipc://{}", path.display()));
    passes_a_message(&pull, &endpoint.to_string(), "over ipc");
    pull.close(Duration::ZERO).expect("closed");
    fs::remove_file(path).expect("still there");
}

#[test]
fn what_everyone_could_reach_has_to_be_meant() {
    let listener = TcpListener::bind("0.0.0.0:0").expect("bound");
    let copy = listener.try_clone().expect("a copy");
    let context = Context::new();
    let pull = Pull::new(&context).expect("a socket");
    let refused = pull.bind_listener(copy);
    assert!(
        matches!(refused, Err(BindError::Insecure { .. })),
        "{refused:?}"
    );
    let pull = Pull::with_options(&context, Options::new().insecure()).expect("a socket");
    pull.bind_listener(listener).expect("meant");
}

#[test]
fn what_does_not_listen_is_refused() {
    let pull = Pull::new(&Context::new()).expect("a socket");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let stream = TcpStream::connect(address).expect("connected");
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let file = fs::File::open("/dev/null").expect("opened");
    for (descriptor, why) in [
        (OwnedFd::from(stream), "does not listen"),
        (OwnedFd::from(datagrams), "not a stream"),
        (OwnedFd::from(file), "ocket"),
    ] {
        let error = pull.bind_listener(descriptor).expect_err(why);
        assert!(matches!(error, BindError::NotAListener { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}
