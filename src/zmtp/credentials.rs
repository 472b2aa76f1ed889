//! Who a peer is: what it shows of that in its handshake, and what is made of it.
//!
//! A mechanism that has learned what a peer shows gives its [`Credentials`], and waits. Whoever runs the handshake finds out whether the
//! peer is let in, and says so: with a [`Grant`], or with a [`Denial`].

use std::fmt;

use bytes::Bytes;

use crate::secret::Secret;

/// What a peer has shown of who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// Nothing: the mechanism is NULL.
    None,
    /// A name and a password, which travel in clear (RFC 24).
    Plain {
        /// The name, at most 255 bytes; may be empty.
        username: String,
        /// The password, at most 255 bytes; may be empty.
        password: Secret,
    },
    /// The peer's permanent public key, of which it has shown that it has the secret one (RFC 26).
    Curve {
        /// The key.
        public_key: [u8; 32],
    },
}

/// Who a peer is, as far as that has been shown: a fact, unlike what a peer says of itself.
///
/// ```
/// use zerohop::Principal;
///
/// assert_eq!(Principal::User("alice".into()).to_string(), "user alice");
/// assert_eq!(Principal::Uid(1000).to_string(), "uid 1000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Principal {
    /// A user: the name that a password belongs to, or what whoever let the peer in calls it (`User-Id` of RFC 27).
    User(String),
    /// Whoever has the secret key to this public key.
    Key([u8; 32]),
    /// A process of this user of the system, over `ipc`.
    Uid(u32),
}

/// A process at the other end of a Unix socket, as the system knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct IpcCredentials {
    /// The user that it runs as.
    pub uid: u32,
    /// The group that it runs as.
    pub gid: u32,
    /// Its number, at the time when it connected or began to listen; 0 where the system does not tell.
    pub pid: u32,
}

impl IpcCredentials {
    pub(crate) fn new(uid: u32, gid: u32, pid: u32) -> IpcCredentials {
        IpcCredentials { uid, gid, pid }
    }
}

/// Text that came from elsewhere is escaped; a key is in hexadecimal digits.
impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::User(name) => write!(f, "user {}", name.escape_debug()),
            Principal::Key(key) => {
                f.write_str("key ")?;
                key.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Principal::Uid(uid) => write!(f, "uid {uid}"),
        }
    }
}

impl Credentials {
    /// Who the peer is if it is let in.
    pub(crate) fn principal(&self) -> Option<Principal> {
        match self {
            Credentials::None => None,
            Credentials::Plain { username, .. } => Some(Principal::User(username.clone())),
            Credentials::Curve { public_key } => Some(Principal::Key(*public_key)),
        }
    }
}

/// The peer is let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Grant {
    /// What whoever let it in calls it; empty: as its credentials say.
    pub(crate) user_id: String,
    /// What else was said of it.
    pub(crate) metadata: Vec<(String, Bytes)>,
}

/// Why a peer is not let in, as the peer is told: the status codes of RFC 27.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Denial {
    /// 300: it could not be decided just now. The peer is told nothing, and may come again.
    Temporary,
    /// 400: the peer's credentials are not good enough.
    Credentials,
    /// 500: whoever was to decide has failed.
    Internal,
}

impl Denial {
    /// The code in RFC 27.
    pub fn code(self) -> u16 {
        match self {
            Denial::Temporary => 300,
            Denial::Credentials => 400,
            Denial::Internal => 500,
        }
    }

    /// The reason that an ERROR command gives the peer; none for a temporary one, as in libzmq.
    pub(super) fn reason(self) -> Option<&'static str> {
        match self {
            Denial::Temporary => None,
            Denial::Credentials => Some("400"),
            Denial::Internal => Some("500"),
        }
    }
}
