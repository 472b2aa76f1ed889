use super::*;
use crate::Message;

#[test]
fn a_failed_send_gives_the_message_back() {
    let error = SendError::new(SendErrorKind::WouldBlock, ["topic", "body"]);
    assert_eq!(error.kind(), SendErrorKind::WouldBlock);
    assert_eq!(error.message().parts(), 2);
    assert_eq!(error.into_message(), ["topic", "body"]);

    let error = SendBatchError::new(7, SendError::new(SendErrorKind::TimedOut, "eighth"));
    assert_eq!(
        (error.sent(), error.error().kind()),
        (7, SendErrorKind::TimedOut)
    );
    assert_eq!(error.into_error().into_message(), "eighth");

    let error = ReplyError::new(ReplyErrorKind::PeerGone, "reply");
    assert_eq!(error.into_message(), "reply");

    let error = RequestError::from(SendError::new(SendErrorKind::Closed, "question"));
    assert!(
        matches!(error, RequestError::Send(error) if error.message() == &Message::from("question"))
    );
}

#[test]
fn errors_say_what_happened() {
    let option = OptionError::new("backlog", String::from("0"), "1 or more");
    let cases: [(&dyn Error, &str); 8] = [
        (
            &SendError::new(SendErrorKind::TimedOut, "secret"),
            "no peer had room for the message in time",
        ),
        (
            &SendBatchError::new(3, SendError::new(SendErrorKind::Closed, "")),
            "the batch stopped after 3 messages: the socket is closed",
        ),
        (
            &RequestError::Send(SendError::new(SendErrorKind::ContextClosed, "")),
            "the request was not sent: the context is shut down",
        ),
        (
            &WaitError::TimedOut { have: 1, wanted: 2 },
            "there were 1 of 2 when the time was up",
        ),
        (
            &CloseError::new(5),
            "5 messages were still unsent, or not settled, when the linger time ran out",
        ),
        (
            &CloseError::new(1),
            "1 message was still unsent, or not settled, when the linger time ran out",
        ),
        (&option, "option backlog can't be 0; allowed is 1 or more"),
        (
            &SocketError::from(option.clone()),
            "option backlog can't be 0; allowed is 1 or more",
        ),
    ];
    for (error, text) in cases {
        assert_eq!(error.to_string(), text);
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[test]
fn errors_cross_threads() {
    fn check<E: Error + Send + Sync + 'static>() {}
    check::<SendError>();
    check::<SendBatchError>();
    check::<ReplyError>();
    check::<RecvError>();
    check::<RequestError>();
    check::<SocketError>();
}
