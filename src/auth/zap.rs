//! ZAP (RFC 27): somebody of this context decides, who has bound `inproc://zeromq.zap.01` with a REP or ROUTER.
//!
//! ```text
//! request:  ""  "1.0"  id  domain  address  identity  mechanism  credentials...
//! reply:    ""  "1.0"  id  status  text     user id   metadata
//! ```
//!
//! Requests of all sockets of a context go over one DEALER, each with an id of its own, from a thread that is there while replies are
//! outstanding ([`Zap`]); so a handler may answer in any order and as late as it likes, and holds up nobody but who waits for
//! it. A reply that makes no sense lets nobody in, and the event says what is wrong with it ([`ZapFault`]).

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use super::{Answer, AuthRequest, Verdict};
use crate::engine::ContextInner;
use crate::sync::lock;
use crate::transport::Swept;
use crate::zmtp::{Credentials, Denial, Metadata};
use crate::{Dealer, Frame, Message, Options, SendErrorKind};

/// Where handlers are.
pub(crate) const HANDLER: &str = "zeromq.zap.01";

const VERSION: &[u8] = b"1.0";

/// So often it is looked whether questions have been withdrawn that nobody answers.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What is wrong with the reply of a ZAP handler (RFC 27).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ZapFault {
    /// It has not the seven frames that a reply has, the empty one that a REP puts first included.
    FrameCount {
        /// How many it has.
        count: usize,
    },
    /// The first frame is not empty.
    Delimiter,
    /// It is of another version than 1.0.
    Version,
    /// It answers no request that is waiting.
    RequestId,
    /// The status is none of 200, 300, 400 and 500.
    Status,
    /// The user id is no text.
    UserId,
    /// The metadata cannot be read.
    Metadata,
}

impl fmt::Display for ZapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reply of the ZAP handler ")?;
        match self {
            ZapFault::FrameCount { count } => write!(f, "has {count} frames and not 7"),
            ZapFault::Delimiter => f.write_str("does not begin with an empty frame"),
            ZapFault::Version => f.write_str("is of another version than 1.0"),
            ZapFault::RequestId => f.write_str("has the id of no request"),
            ZapFault::Status => f.write_str("has a status that is none of 200, 300, 400 and 500"),
            ZapFault::UserId => f.write_str("has a user id that is no text"),
            ZapFault::Metadata => f.write_str("has metadata that cannot be read"),
        }
    }
}

/// The frames of a request.
fn request_frames(id: &[u8], request: &AuthRequest) -> Message {
    let address = match (request.ip, request.ipc) {
        (Some(ip), _) => ip.to_string(),
        // As libzmq has it on Linux.
        (None, Some(ipc)) => format!("localhost:{}:{}:{}", ipc.uid, ipc.gid, ipc.pid),
        (None, None) => String::new(),
    };
    let mut frames = vec![
        Frame::new(),
        Frame::from(VERSION),
        Frame::from(id),
        Frame::from(request.domain.as_bytes()),
        Frame::from(address),
        Frame::from(request.routing_id.clone()),
        Frame::from(request.mechanism),
    ];
    match &request.credentials {
        Credentials::None => {}
        Credentials::Plain { username, password } => {
            frames.push(Frame::from(username.as_bytes()));
            frames.push(Frame::from(password.expose()));
        }
        Credentials::Curve { public_key } => frames.push(Frame::from(&public_key[..])),
    }
    Message::from_frames(frames)
}

/// The id in a reply that may be none.
fn id_of(reply: &Message) -> Option<u64> {
    let text = str::from_utf8(reply.get(2)?).ok()?;
    text.parse().ok()
}

/// What a reply says, whoever it is about.
fn read_reply(reply: &Message) -> Result<Verdict, ZapFault> {
    let frames: Vec<&Frame> = reply.frames().collect();
    let [delimiter, version, _, status, text, user_id, metadata] = frames[..] else {
        let count = frames.len();
        return Err(ZapFault::FrameCount { count });
    };
    if !delimiter.is_empty() {
        return Err(ZapFault::Delimiter);
    }
    if **version != *VERSION {
        return Err(ZapFault::Version);
    }
    let denial = match &status[..] {
        b"200" => None,
        b"300" => Some(Denial::Temporary),
        b"400" => Some(Denial::Credentials),
        b"500" => Some(Denial::Internal),
        _ => return Err(ZapFault::Status),
    };
    let user_id = user_id.to_str().map_err(|_| ZapFault::UserId)?;
    let metadata = Metadata::parse(metadata).map_err(|_| ZapFault::Metadata)?;
    Ok(match denial {
        Some(denial) => Verdict::deny_with(denial, String::from_utf8_lossy(text)),
        None => {
            let properties = metadata.properties.into_iter();
            let properties = properties.map(|(name, value)| (name.into_owned(), value));
            Verdict::allow_with(user_id, properties.collect())
        }
    })
}

/// The questions of a context to its ZAP handler.
#[derive(Default)]
pub(crate) struct Zap {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(AuthRequest, Answer)>,
    swept: Swept,
    /// The thread that asks. It ends under the lock, when it finds nothing waiting and nothing outstanding.
    asking: Option<Thread>,
}

/// The questions that a handler has been asked.
struct Asked<A> {
    outstanding: HashMap<u64, A>,
    /// The id of the last one. Each is by one more than the one before.
    last: u64,
}

impl<A> Asked<A> {
    /// Whether this is the id of a question that has been answered, or withdrawn.
    fn is_over(&self, id: u64) -> bool {
        (1..=self.last).contains(&id) && !self.outstanding.contains_key(&id)
    }
}

impl Zap {
    /// Asks the handler. With no lock held.
    pub(super) fn ask(
        self: &Arc<Zap>,
        context: &Arc<ContextInner>,
        request: AuthRequest,
        answer: Answer,
    ) {
        let mut state = lock(&self.state);
        let State { waiting, swept, .. } = &mut *state;
        // However many peers come and go while a handler takes nothing, no more wait than two for each that is there.
        let withdrawn = swept.sweep(waiting, |(_, answer)| answer.is_wanted());
        state.waiting.push_back((request, answer));
        let asking = state.asking.clone();
        if asking.is_none() {
            self.start(context, state);
        } else {
            drop(state);
        }
        drop(withdrawn);
        if let Some(asking) = asking {
            asking.unpark();
        }
    }

    /// Starts the thread that asks.
    fn start(self: &Arc<Zap>, context: &Arc<ContextInner>, mut state: MutexGuard<'_, State>) {
        let (zap, context) = (Arc::clone(self), Arc::clone(context));
        let started = thread::Builder::new()
            .name("zerohop-zap".to_owned())
            .spawn(move || zap.run(&context));
        match started {
            Ok(thread) => state.asking = Some(thread.thread().clone()),
            Err(_) => {
                let waiting = std::mem::take(&mut state.waiting);
                drop(state);
                // Their answers are that nobody has decided.
                drop(waiting);
            }
        }
    }

    fn run(&self, context: &Arc<ContextInner>) {
        loop {
            let asked = self.ask_all(context);
            let mut state = lock(&self.state);
            if asked && !state.waiting.is_empty() {
                continue;
            }
            let waiting = std::mem::take(&mut state.waiting);
            state.asking = None;
            drop(state);
            return drop(waiting);
        }
    }

    /// Until there is nothing to ask and no reply to wait for. `false`: there is no way to ask.
    fn ask_all(&self, context: &Arc<ContextInner>) -> bool {
        // Of the questions that it has not received yet a handler has as many as its own mark allows; the others wait here, where those are
        // forgotten that nobody wants answered any more.
        let options = Options::new()
            .linger(Duration::ZERO)
            .send_hwm(1)
            .recv_hwm(0);
        let Ok(dealer) = Dealer::within(context, options) else {
            return false;
        };
        if dealer.connect(&*format!("inproc://{HANDLER}")).is_err() {
            return false;
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut task = TaskContext::from_waker(&waker);
        let mut asked = Asked {
            outstanding: HashMap::new(),
            last: 0,
        };
        loop {
            let mut receiving = pin!(dealer.recv_async());
            let reply = loop {
                self.send_waiting(&dealer, &mut asked);
                asked.outstanding.retain(|_, answer| answer.is_wanted());
                if asked.outstanding.is_empty() && lock(&self.state).waiting.is_empty() {
                    return true;
                }
                match receiving.as_mut().poll(&mut task) {
                    Poll::Ready(Ok(reply)) => break reply,
                    Poll::Ready(Err(_)) => return false,
                    Poll::Pending => thread::park_timeout(LOOK_AGAIN),
                }
            };
            take_reply(&reply, &mut asked);
        }
    }

    /// Asks what waits to be asked, as far as the handler has room for it.
    fn send_waiting(&self, dealer: &Dealer, asked: &mut Asked<Answer>) {
        loop {
            let Some((request, answer)) = lock(&self.state).waiting.pop_front() else {
                return;
            };
            if !answer.is_wanted() {
                continue;
            }
            let id = asked.last + 1;
            match dealer.try_send(request_frames(id.to_string().as_bytes(), &request)) {
                Ok(()) => {
                    asked.last = id;
                    asked.outstanding.insert(id, answer);
                }
                Err(error) if error.kind() == SendErrorKind::WouldBlock => {
                    return lock(&self.state).waiting.push_front((request, answer));
                }
                // What is not sent is not answered, which lets nobody in.
                Err(_) => {}
            }
        }
    }
}

fn take_reply(reply: &Message, asked: &mut Asked<Answer>) {
    if let Some((answer, verdict)) = attribute(reply, asked) {
        answer.give(verdict);
    }
}

/// Whom a reply is about, who waits no longer then, and what it says.
fn attribute<A>(reply: &Message, asked: &mut Asked<A>) -> Option<(A, Verdict)> {
    let given = id_of(reply);
    // A second reply, or one that comes when nobody waits for it any more, is about nobody else.
    if given.is_some_and(|id| asked.is_over(id)) {
        return None;
    }
    let outstanding = &mut asked.outstanding;
    let known = given.filter(|id| outstanding.contains_key(id));
    let verdict = match known {
        Some(_) => read_reply(reply),
        None => Err(read_reply(reply).err().unwrap_or(ZapFault::RequestId)),
    };
    // A reply with an id that was never asked with, while one is waited for, is that one.
    let only = || outstanding.keys().next().copied();
    let id = known.or_else(|| only().filter(|_| outstanding.len() == 1));
    let answer = outstanding.remove(&id?)?;
    Some((answer, verdict.unwrap_or_else(Verdict::fault)))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::IpcCredentials;
    use crate::zmtp::{SocketType, put_property};

    fn request(credentials: Credentials, mechanism: &'static str) -> AuthRequest {
        AuthRequest {
            mechanism,
            credentials,
            endpoint: String::new(),
            peer: String::new(),
            ip: None,
            ipc: Some(IpcCredentials::new(1, 2, 3)),
            domain: String::from("shop"),
            socket_type: SocketType::Pull,
            routing_id: bytes::Bytes::from_static(b"me"),
        }
    }

    #[test]
    fn requests_have_the_frames_of_the_rfc() {
        let plain = Credentials::Plain {
            username: String::from("alice"),
            password: "tiger".into(),
        };
        assert_eq!(
            request_frames(b"7", &request(plain, "PLAIN")),
            [
                "",
                "1.0",
                "7",
                "shop",
                "localhost:1:2:3",
                "me",
                "PLAIN",
                "alice",
                "tiger"
            ]
        );
        let mut null = request(Credentials::None, "NULL");
        null.ip = Some([10, 0, 0, 1].into());
        let frames = request_frames(b"8", &null);
        assert_eq!(frames, ["", "1.0", "8", "shop", "10.0.0.1", "me", "NULL"]);
        let key = Credentials::Curve {
            public_key: [9; 32],
        };
        let frames = request_frames(b"9", &request(key, "CURVE"));
        assert_eq!(frames.get(7).map(|frame| &frame[..]), Some(&[9; 32][..]));
    }

    #[test]
    fn replies_are_read() {
        let mut metadata = Vec::new();
        put_property(&mut metadata, "Team", b"blue");
        let good: [&[u8]; 7] = [b"", b"1.0", b"1", b"200", b"OK", b"alice", &metadata];
        let read = |frames: &[&[u8]]| read_reply(&Message::from_frames(frames.iter().copied()));
        let grant = read(&good).expect("good").into_result().expect("let in");
        assert_eq!(grant.user_id, "alice");
        assert_eq!(grant.metadata, [("Team".to_owned(), "blue".into())]);
        let with = |at: usize, frame: &'static [u8]| {
            let mut frames = good;
            frames[at] = frame;
            read(&frames)
        };
        for (status, denial) in [
            (&b"300"[..], Denial::Temporary),
            (b"400", Denial::Credentials),
            (b"500", Denial::Internal),
        ] {
            let verdict = with(3, status).expect("a reply");
            assert_eq!(verdict, Verdict::deny_with(denial, "OK"));
        }
        assert_eq!(with(0, b"x"), Err(ZapFault::Delimiter));
        assert_eq!(with(1, b"2.0"), Err(ZapFault::Version));
        for status in [&b""[..], b"20", b"201", b"2000"] {
            assert_eq!(with(3, status), Err(ZapFault::Status));
        }
        assert_eq!(with(5, b"\xff"), Err(ZapFault::UserId));
        assert_eq!(with(6, b"\x05"), Err(ZapFault::Metadata));
        assert_eq!(read(&good[..6]), Err(ZapFault::FrameCount { count: 6 }));
    }
}
