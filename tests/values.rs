//! Values as messages, and options from configuration files: what is behind the features of serde.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zerohop::{
    Context, Frame, Message, Options, Pair, Pub, Pull, Push, RecvError, RecvValueError, Rep, Req,
    SendErrorKind, SendValueError, Sub,
};

const LONG: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    number: u32,
    note: String,
}

fn order() -> Order {
    Order {
        number: 42,
        note: String::from("ürgent"),
    }
}

#[test]
fn values_go_from_socket_to_socket() {
    let context = Context::new();
    let options = Options::new().recv_timeout(LONG);
    let pull = Pull::with_options(&context, options.clone()).expect("a socket");
    let push = Push::new(&context).expect("a socket");
    push.connect(pull.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connecting");
    push.send_json(&order()).expect("sent");
    push.send_msgpack(&order()).expect("sent");
    assert_eq!(pull.recv_json::<Order>().expect("an order"), order());
    assert_eq!(pull.recv_msgpack::<Order>().expect("an order"), order());

    let (publisher, sub) = (Pub::new(&context), Sub::with_options(&context, options));
    let (publisher, sub) = (publisher.expect("a socket"), sub.expect("a socket"));
    sub.subscribe("{").expect("subscribed");
    sub.connect(publisher.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connecting");
    publisher.wait_for_subscribers("{", 1, LONG).expect("one");
    let published = publisher.send_json(&order()).expect("published");
    assert_eq!(published.sent, 1);
    assert_eq!(sub.recv_json::<Order>().expect("an order"), order());
}

#[test]
fn what_is_no_such_value_comes_back_whole() {
    let context = Context::new();
    let (one, two) = (Pair::new(&context), Pair::new(&context));
    let (one, two) = (one.expect("a socket"), two.expect("a socket"));
    one.bind("inproc://values").expect("bound");
    two.connect("inproc://values").expect("connected");
    for message in [
        Message::from("{\"number\": \"secret\"}"),
        Message::from(["a", "b"]),
    ] {
        one.send(&message).expect("sent");
        let error = two.recv_json::<Order>().expect_err("no order");
        assert!(!format!("{error:?}").contains("number\""), "{error:?}");
        match error {
            RecvValueError::Decode { message: back, .. } => assert_eq!(back, message),
            other => panic!("{other}"),
        }
    }

    let options = Options::new().recv_timeout(Duration::ZERO);
    let empty = Pull::with_options(&context, options).expect("a socket");
    let error = empty.recv_msgpack::<Order>().expect_err("nothing there");
    assert!(
        matches!(
            error,
            RecvValueError::Recv(RecvError::TimedOut | RecvError::WouldBlock)
        ),
        "{error}"
    );

    let options = Options::new().send_timeout(Duration::ZERO);
    let lonely = Push::with_options(&context, options).expect("a socket");
    match lonely.send_json(&1).expect_err("nobody there") {
        SendValueError::Send(error) => {
            assert!(matches!(
                error.kind(),
                SendErrorKind::TimedOut | SendErrorKind::WouldBlock
            ));
            assert_eq!(error.into_message(), "1");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn requests_and_replies_are_values_too() {
    let context = Context::new();
    let (rep, req) = (Rep::new(&context), Req::new(&context));
    let (rep, req) = (rep.expect("a socket"), req.expect("a socket"));
    req.connect(rep.bind("tcp://127.0.0.1:*").expect("bound"))
        .expect("connecting");
    let server = std::thread::spawn(move || {
        let request = rep.recv_timeout(LONG).expect("a request");
        let numbers: Vec<u32> = request.message().parse_json().expect("numbers");
        let sum: u32 = numbers.iter().sum();
        request.reply(Frame::from_msgpack(&sum).expect("packed"))
    });
    let question = Message::from_json(&[1, 2, 39]).expect("JSON");
    let answer = req.request_timeout(question, LONG).expect("an answer");
    assert_eq!(answer.parse_msgpack::<u32>().expect("a number"), 42);
    server.join().expect("a server").expect("replied");
}
