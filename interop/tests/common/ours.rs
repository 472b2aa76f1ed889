//! zerohop as a [`Peer`].

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use zerohop::{
    Context, Dealer, Message, Options, Pair, Pub, Pull, Push, RecvError, RecvSocket, Rep, Req,
    Request, Router, SendSocket, Sub, Xpub, Xsub,
};

use super::deadline::DEADLINE;
use super::part::Part;
use super::peer::{Implementation, Peer, Role};

/// The library under test.
pub(crate) struct Zerohop {
    context: Context,
    options: Options,
}

impl Zerohop {
    #[allow(dead_code, reason = "some tests are about options")]
    pub(crate) fn new() -> Zerohop {
        Zerohop::with_options(Options::new())
    }

    /// Whose sockets have these options.
    pub(crate) fn with_options(options: Options) -> Zerohop {
        Zerohop {
            context: Context::new(),
            options,
        }
    }
}

impl Implementation for Zerohop {
    fn name(&self) -> &str {
        "zerohop"
    }

    fn open(&self, role: Role) -> Box<dyn Peer> {
        // Without the linger of zero, the end of a failed test would wait for messages nobody takes.
        let options = self.options.clone().linger(Some(Duration::ZERO));
        let context = &self.context;
        match role {
            Role::Push => direct(Push::with_options(context, options).expect("a PUSH")),
            Role::Pull => direct(Pull::with_options(context, options).expect("a PULL")),
            Role::Pub => direct(Pub::with_options(context, options).expect("a PUB")),
            Role::Sub => direct(Sub::with_options(context, options).expect("a SUB")),
            Role::Req => {
                let socket = Req::with_options(context, options).expect("a REQ");
                Box::new(Asking {
                    socket: Arc::new(socket),
                    reply: None,
                })
            }
            Role::Rep => {
                let socket = Rep::with_options(context, options).expect("a REP");
                Box::new(Answering {
                    socket,
                    request: None,
                })
            }
            Role::Dealer => direct(Dealer::with_options(context, options).expect("a DEALER")),
            Role::Router => {
                let options = options.router_mandatory(true);
                direct(Router::with_options(context, options).expect("a ROUTER"))
            }
            Role::Pair => direct(Pair::with_options(context, options).expect("a PAIR")),
            Role::XPub => direct(Xpub::with_options(context, options).expect("an XPUB")),
            Role::XSub => direct(Xsub::with_options(context, options).expect("an XSUB")),
        }
    }
}

/// A socket whose methods are those of [`Peer`], nearly.
struct Direct<S> {
    socket: S,
}

/// A REQ, and its request under way in a thread: zerohop asks in one call, scenarios in two steps.
struct Asking {
    socket: Arc<Req>,
    reply: Option<Receiver<Message>>,
}

/// A REP, and the request it has yet to answer.
struct Answering {
    socket: Rep,
    request: Option<Request>,
}

fn direct<S>(socket: S) -> Box<dyn Peer>
where
    Direct<S>: Peer + 'static,
{
    Box::new(Direct { socket })
}

/// The two methods that read the same for every type.
macro_rules! attach {
    () => {
        fn bind(&mut self, endpoint: &str) -> String {
            self.socket
                .bind(endpoint)
                .expect("zerohop binds")
                .to_string()
        }

        fn connect(&mut self, endpoint: &str) {
            self.socket.connect(endpoint).expect("zerohop connects");
        }
    };
}

impl Peer for Direct<Push> {
    attach!();

    fn send(&mut self, message: &[Part]) {
        let sent = self.socket.send_timeout(to_message(message), DEADLINE);
        sent.expect("zerohop sends before the deadline");
    }
}

impl Peer for Direct<Pull> {
    attach!();

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        in_time(self.socket.recv_timeout(patience))
            .as_ref()
            .map(to_parts)
    }
}

impl Peer for Direct<Dealer> {
    attach!();

    fn send(&mut self, message: &[Part]) {
        let sent = self.socket.send_timeout(to_message(message), DEADLINE);
        sent.expect("zerohop sends before the deadline");
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        in_time(self.socket.recv_timeout(patience))
            .as_ref()
            .map(to_parts)
    }
}

impl Peer for Direct<Pair> {
    attach!();

    fn send(&mut self, message: &[Part]) {
        let sent = self.socket.send_timeout(to_message(message), DEADLINE);
        sent.expect("zerohop sends before the deadline");
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        in_time(self.socket.recv_timeout(patience))
            .as_ref()
            .map(to_parts)
    }
}

impl Peer for Direct<Pub> {
    attach!();

    fn send(&mut self, message: &[Part]) {
        self.socket
            .send(to_message(message))
            .expect("zerohop publishes");
    }
}

impl Peer for Direct<Sub> {
    attach!();

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        in_time(self.socket.recv_timeout(patience))
            .as_ref()
            .map(to_parts)
    }

    fn subscribe(&mut self, topic: &str) {
        self.socket.subscribe(topic).expect("zerohop subscribes");
    }

    fn unsubscribe(&mut self, topic: &str) {
        self.socket
            .unsubscribe(topic)
            .expect("zerohop unsubscribes");
    }
}

/// In libzmq's form.
impl Peer for Direct<Router> {
    attach!();

    fn send(&mut self, message: &[Part]) {
        let sent = SendSocket::send_timeout(&self.socket, to_message(message), DEADLINE);
        let _queued = sent.expect("zerohop sends before the deadline");
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        in_time(RecvSocket::recv_timeout(&self.socket, patience))
            .as_ref()
            .map(to_parts)
    }
}

impl Peer for Direct<Xpub> {
    attach!();

    fn send(&mut self, message: &[Part]) {
        self.socket
            .send(to_message(message))
            .expect("zerohop publishes");
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        in_time(self.socket.recv_timeout(patience))
            .as_ref()
            .map(to_parts)
    }
}

impl Peer for Direct<Xsub> {
    attach!();

    fn send(&mut self, message: &[Part]) {
        self.socket
            .send(to_message(message))
            .expect("zerohop sends");
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        in_time(self.socket.recv_timeout(patience))
            .as_ref()
            .map(to_parts)
    }

    fn subscribe(&mut self, topic: &str) {
        self.socket.subscribe(topic).expect("zerohop subscribes");
    }

    fn unsubscribe(&mut self, topic: &str) {
        self.socket
            .unsubscribe(topic)
            .expect("zerohop unsubscribes");
    }
}

impl Peer for Asking {
    attach!();

    fn send(&mut self, message: &[Part]) {
        let (sender, reply) = channel();
        let (socket, request) = (Arc::clone(&self.socket), to_message(message));
        thread::spawn(move || {
            let reply = socket
                .request_timeout(request, DEADLINE)
                .expect("a reply before the deadline");
            // The scenario may have failed and left.
            let _ = sender.send(reply);
        });
        self.reply = Some(reply);
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        let reply = self.reply.as_ref().expect("a request under way");
        reply.recv_timeout(patience).ok().as_ref().map(to_parts)
    }
}

impl Peer for Answering {
    attach!();

    fn send(&mut self, message: &[Part]) {
        let request = self.request.take().expect("a request to answer");
        request.reply(to_message(message)).expect("zerohop replies");
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        self.request = in_time(self.socket.recv_timeout(patience));
        self.request
            .as_ref()
            .map(|request| to_parts(request.message()))
    }
}

/// What was received, or nothing for a timeout; any other failure is the test's.
fn in_time<T>(received: Result<T, RecvError>) -> Option<T> {
    match received {
        Ok(value) => Some(value),
        Err(RecvError::TimedOut) => None,
        Err(error) => panic!("zerohop receives: {error}"),
    }
}

fn to_message(parts: &[Part]) -> Message {
    parts.iter().map(Part::to_frame).collect()
}

fn to_parts(message: &Message) -> Vec<Part> {
    message
        .frames()
        .map(|frame| Part::from_frame(frame))
        .collect()
}
