//! What decides: lists, and code of the application.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::path::AllowPath;
use super::{Answer, AuthRequest, Verdict};
use crate::secret::{Secret, same_in_constant_time};
use crate::zmtp::Credentials;

/// Who is let in, for [`Options::allow`](crate::Options::allow).
///
/// A list of those who are:
///
/// ```
/// use zerohop::Allow;
///
/// // PLAIN users, users of the system over ipc, and public keys of CURVE.
/// let allow = Allow::new()
///     .user("alice", "tiger")
///     .uid(1000)
///     .key([7; 32]);
/// ```
///
/// Or code, which is called with no lock held, on a thread of its own:
///
/// ```
/// use zerohop::{Allow, Verdict};
///
/// let home = Allow::by(|request| request.ip.is_some_and(|ip| ip.is_loopback()));
/// ```
///
/// A peer that is not let in is told 400 in an ERROR command, and its connection is closed
/// ([`DisconnectCause::Denied`](crate::DisconnectCause::Denied)). Peers over `inproc` are not asked about.
#[derive(Clone)]
pub struct Allow(Rule);

#[derive(Clone)]
enum Rule {
    Anyone,
    List(Arc<List>),
    Path(Arc<AllowPath>),
    By(Arc<dyn Fn(&AuthRequest) -> Verdict + Send + Sync>),
    Ask(Arc<dyn Fn(AuthRequest, Answer) + Send + Sync>),
}

/// By what somebody on a list is recognised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recognised {
    pub(crate) by_password: bool,
    #[cfg_attr(not(feature = "curve"), expect(dead_code))]
    pub(crate) by_key: bool,
    pub(crate) by_uid: bool,
}

/// Those who are let in.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct List {
    pub(super) users: Vec<(String, Secret)>,
    pub(super) keys: Vec<[u8; 32]>,
    pub(super) uids: Vec<u32>,
}

impl Allow {
    /// Everyone, whatever they show: the default.
    pub fn anyone() -> Allow {
        Allow(Rule::Anyone)
    }

    pub(crate) fn is_anyone(&self) -> bool {
        matches!(self.0, Rule::Anyone)
    }

    /// By what those on the list are recognised; `None` where it has nobody, is yet to be read, or is none.
    pub(crate) fn recognised(&self) -> Option<Recognised> {
        match &self.0 {
            Rule::List(list) if **list != List::default() => Some(Recognised {
                by_password: !list.users.is_empty(),
                by_key: !list.keys.is_empty(),
                by_uid: !list.uids.is_empty(),
            }),
            Rule::Anyone | Rule::List(_) | Rule::Path(_) | Rule::By(_) | Rule::Ask(_) => None,
        }
    }

    /// A list that nobody is on.
    pub fn new() -> Allow {
        Allow(Rule::List(Arc::default()))
    }

    /// Adds a user of the mechanism PLAIN to the list.
    ///
    /// On what is no list, as [`by`](Self::by) makes it, this has no effect; nor have [`key`](Self::key) and [`uid`](Self::uid).
    #[must_use]
    pub fn user(self, name: impl Into<String>, password: impl Into<Secret>) -> Allow {
        self.extend(|list| list.users.push((name.into(), password.into())))
    }

    /// Adds a public key of the mechanism CURVE.
    #[must_use]
    pub fn key(self, key: impl Into<[u8; 32]>) -> Allow {
        self.extend(|list| list.keys.push(key.into()))
    }

    /// Adds a user of the system, whose processes are let in over `ipc`, and may be asked for more by the mechanism.
    #[must_use]
    pub fn uid(self, uid: u32) -> Allow {
        self.extend(|list| list.uids.push(uid))
    }

    fn extend(mut self, extend: impl FnOnce(&mut List)) -> Allow {
        if let Rule::List(list) = &mut self.0 {
            extend(Arc::make_mut(list));
        }
        self
    }

    /// A list in a file, or in all files of a directory but the hidden ones and those whose names begin with `#` or end in `~`, which editors leave behind.
    /// They are looked at for each peer, and read again when they have changed: who is added is let in from then on, and who is removed is not let in again. A connection that stands is not ended.
    ///
    /// Each line lets somebody in; `#` begins a comment:
    ///
    /// ```text
    /// user alice tiger
    /// uid 1000
    /// rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7
    /// ```
    ///
    /// That is a user of PLAIN with the password to the end of the line, a user of the system, and a public key of CURVE, as Z85 or
    /// hexadecimal digits. Certificate files of pyzmq and czmq do as well, for their public key. Where a file is missing, cannot be
    /// read, is none, such as a pipe, or has a line that is none of this, nobody is let in, and events say why.
    pub fn path(path: impl Into<PathBuf>) -> Allow {
        Allow(Rule::Path(Arc::new(AllowPath::new(path.into()))))
    }

    /// Whoever this lets in. It runs on one of a few threads that all sockets of a context share, so it should not wait for others: that
    /// is what [`ask`](Self::ask) is for. One that panics lets nobody in. With [`Verdict::allow_as`] no ZAP handler is asked
    /// besides.
    pub fn by<V: Into<Verdict>>(
        decide: impl Fn(&AuthRequest) -> V + Send + Sync + 'static,
    ) -> Allow {
        Allow(Rule::By(Arc::new(move |request| decide(request).into())))
    }

    /// Whoever this says is let in, now or later, whatever a ZAP handler would say: it may pass the [`Answer`] on, to a task or a thread. A peer that is not answered
    /// for is gone when its [`handshake_timeout`](crate::Options::handshake_timeout) is over.
    pub fn ask(ask: impl Fn(AuthRequest, Answer) + Send + Sync + 'static) -> Allow {
        Allow(Rule::Ask(Arc::new(ask)))
    }

    pub(super) fn decide_at_once(&self, request: &AuthRequest) -> Option<Verdict> {
        match &self.0 {
            Rule::Anyone => Some(Verdict::allow()),
            Rule::List(list) => Some(list.decide(request)),
            Rule::Path(_) | Rule::By(_) | Rule::Ask(_) => None,
        }
    }

    /// Gives both back if the peer is let in as far as this is concerned, and no more is said of it; otherwise it has been answered for,
    /// or is going to be.
    pub(super) fn decide(
        &self,
        request: AuthRequest,
        answer: Answer,
    ) -> Option<(AuthRequest, Answer)> {
        let verdict = match &self.0 {
            Rule::Anyone => Verdict::allow(),
            Rule::List(list) => list.decide(&request),
            Rule::Path(path) => path.decide(&request),
            Rule::By(decide) => decide(&request),
            Rule::Ask(ask) => {
                ask(request, answer);
                return None;
            }
        };
        if verdict == Verdict::allow() {
            return Some((request, answer));
        }
        answer.give(verdict);
        None
    }

    /// What it is, in a word or two.
    pub(crate) fn describe(&self) -> String {
        match &self.0 {
            Rule::Anyone => String::from("anyone"),
            Rule::List(list) => {
                let count = list.users.len() + list.keys.len() + list.uids.len();
                format!("a list of {count}")
            }
            Rule::Path(path) => path.path().display().to_string(),
            Rule::By(_) | Rule::Ask(_) => String::from("code of the application"),
        }
    }
}

impl Default for Allow {
    fn default() -> Allow {
        Allow::new()
    }
}

impl List {
    /// What the peer shows decides; where that is nothing, who it is for the system.
    pub(super) fn decide(&self, request: &AuthRequest) -> Verdict {
        match &request.credentials {
            Credentials::Plain { username, password } => {
                // Each is compared, so that the time does not tell which names there are.
                let matching = self.users.iter().filter(|(name, secret)| {
                    same_in_constant_time(name.as_bytes(), username.as_bytes())
                        & (secret == password)
                });
                match matching.count() {
                    0 => Verdict::deny("no such user, or a wrong password"),
                    _ => Verdict::allow(),
                }
            }
            Credentials::Curve { public_key } => {
                let matching = self
                    .keys
                    .iter()
                    .filter(|key| same_in_constant_time(*key, public_key));
                match matching.count() {
                    0 => Verdict::deny("its key is not on the list"),
                    _ => Verdict::allow(),
                }
            }
            Credentials::None => match request.ipc {
                Some(ipc) if self.uids.contains(&ipc.uid) => Verdict::allow(),
                Some(ipc) => Verdict::deny(format!("uid {} is not on the list", ipc.uid)),
                None => Verdict::deny("it has shown nothing of who it is"),
            },
        }
    }
}

/// Lists are equal if their entries are; code is equal to itself.
impl PartialEq for Allow {
    fn eq(&self, other: &Allow) -> bool {
        match (&self.0, &other.0) {
            (Rule::Anyone, Rule::Anyone) => true,
            (Rule::List(one), Rule::List(two)) => one == two,
            (Rule::Path(one), Rule::Path(two)) => one.path() == two.path(),
            (Rule::By(one), Rule::By(two)) => Arc::ptr_eq(one, two),
            (Rule::Ask(one), Rule::Ask(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for Allow {}

impl fmt::Debug for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allow({})", self.describe())
    }
}

impl<const N: usize, K: Into<[u8; 32]>> From<[K; N]> for Allow {
    /// The public keys of CURVE that are let in.
    fn from(keys: [K; N]) -> Allow {
        keys.into_iter().fold(Allow::new(), Allow::key)
    }
}

impl<const N: usize, K: Into<[u8; 32]> + Clone> From<&[K; N]> for Allow {
    /// The public keys of CURVE that are let in.
    fn from(keys: &[K; N]) -> Allow {
        Allow::from(&keys[..])
    }
}

impl<K: Into<[u8; 32]> + Clone> From<&[K]> for Allow {
    /// The public keys of CURVE that are let in.
    fn from(keys: &[K]) -> Allow {
        keys.iter().cloned().fold(Allow::new(), Allow::key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::IpcCredentials;
    use crate::zmtp::SocketType;

    fn request(credentials: Credentials, uid: Option<u32>) -> AuthRequest {
        AuthRequest {
            mechanism: "NULL",
            credentials,
            endpoint: String::new(),
            peer: String::new(),
            ip: None,
            ipc: uid.map(|uid| IpcCredentials::new(uid, 0, 0)),
            domain: String::new(),
            socket_type: SocketType::Pull,
            routing_id: bytes::Bytes::new(),
        }
    }

    fn lets_in(allow: &Allow, credentials: Credentials, uid: Option<u32>) -> bool {
        let verdict = allow.decide_at_once(&request(credentials, uid));
        verdict.expect("a list decides at once").is_allowed()
    }

    fn plain(name: &str, password: &str) -> Credentials {
        Credentials::Plain {
            username: name.to_owned(),
            password: password.into(),
        }
    }

    #[test]
    fn lists_let_in_who_is_on_them() {
        let key = |byte| Credentials::Curve {
            public_key: [byte; 32],
        };
        let allow = Allow::new()
            .user("alice", "tiger")
            .user("bob", "")
            .key([1; 32])
            .uid(7);
        assert!(lets_in(&allow, plain("alice", "tiger"), None));
        assert!(lets_in(&allow, plain("bob", ""), None));
        assert!(!lets_in(&allow, plain("alice", ""), None));
        assert!(!lets_in(&allow, plain("bob", "tiger"), None));
        assert!(!lets_in(&allow, plain("", ""), None));
        assert!(lets_in(&allow, key(1), None));
        assert!(!lets_in(&allow, key(2), None));
        assert!(lets_in(&allow, Credentials::None, Some(7)));
        assert!(!lets_in(&allow, Credentials::None, Some(0)));
        assert!(!lets_in(&allow, Credentials::None, None));
        // The right user of the system does not make up for a wrong password.
        assert!(!lets_in(&allow, plain("alice", "lion"), Some(7)));
        assert!(!lets_in(&Allow::new(), Credentials::None, Some(7)));
        assert_eq!(format!("{allow:?}"), "Allow(a list of 4)");
    }

    #[test]
    fn keys_make_a_list() {
        let allow = Allow::from(&[[1; 32], [2; 32]]);
        assert_eq!(allow, Allow::new().key([1; 32]).key([2; 32]));
        assert_ne!(allow, Allow::new().key([1; 32]));
        let by = Allow::by(|_: &AuthRequest| true);
        assert_eq!(by, by.clone());
        assert_ne!(by, Allow::by(|_: &AuthRequest| true));
    }
}
