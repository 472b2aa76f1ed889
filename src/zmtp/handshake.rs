//! The handshake: from the first byte of a connection to the first byte of its traffic.
//!
//! ```text
//!                    11 bytes                      53 bytes               last command
//!   AwaitOpening ----------------> AwaitRemainder ----------> AwaitCommand ---------> established
//!        |         major 2 or up                                 |    ^                    ^
//!        | revision 1                                            +----+                    |
//!        v           socket type                  routing id   other commands              |
//!   AwaitSocketType ------------> AwaitRoutingId ------------------------------------------+
//! ```
//!
//! Between the greeting and the last command a mechanism may ask whether the peer is let in: the handshake then is in `AwaitVerdict`, where it
//! takes nothing, until [`admit`](Handshake::admit) or [`refuse`](Handshake::refuse) says so.
//!
//! One type per state, consumed by its handler: what comes too early has no handler to go to. Every way
//! out that is not drawn is a [`ProtocolError`].
//!
//! No input makes this panic. A frame's size is checked when its header is read.

use std::mem;
use std::sync::Arc;

use bytes::Bytes;

use super::command::put_error;
use super::credentials::{Credentials, Denial, Grant};
use super::error::quote;
use super::frame::{FrameKind, decode_header, put_frame};
use super::greeting::{self, OPENING_LEN, REMAINDER_LEN, Revision};
use super::mechanism::{Mechanism, MechanismConfig, Progress, Security};
use super::metadata::{self, Metadata};
use super::peer::Properties;
use super::traffic::command_body;
use super::{PeerFacts, ProtocolError, SocketType, Version};

/// What all handshakes of one socket have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HandshakeConfig {
    pub(crate) socket_type: SocketType,
    /// The id that this socket asks its peers to know it by, at most 255 bytes; may be empty.
    pub(crate) routing_id: Bytes,
    pub(crate) mechanism: MechanismConfig,
    /// Whether peers wait for a verdict also where they show nothing of who they are, which is with NULL.
    pub(crate) authenticates: bool,
    /// What this socket says of itself, as [`own_metadata`](super::own_metadata) puts it.
    pub(crate) metadata: Vec<u8>,
    /// The longest frame accepted during the handshake, its header included.
    pub(crate) max_command_size: u64,
}

impl HandshakeConfig {
    /// Whether a ZMTP 2.0 peer may be talked to, which knows no mechanism at all.
    fn permits_version_2(&self) -> bool {
        matches!(self.mechanism, MechanismConfig::Null) && !self.authenticates
    }

    /// See [`MechanismConfig::starts_early`]. Not where a READY would say that the peer is let in.
    pub(super) fn starts_early(&self) -> bool {
        self.mechanism.starts_early() && !self.authenticates
    }
}

/// The outcome of a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Established {
    /// The version to speak from now on.
    pub(crate) version: Version,
    pub(crate) facts: PeerFacts,
    /// What is around messages from now on.
    pub(crate) security: Security,
}

impl Established {
    /// With a peer that speaks no ZMTP: there is no handshake, and nothing is known of it.
    pub(crate) fn raw() -> Self {
        Established {
            version: Version::NONE,
            facts: PeerFacts {
                version: Version::NONE,
                mechanism: "",
                ..PeerFacts::local(SocketType::Stream, Bytes::new())
            },
            security: Security::Raw,
        }
    }
}

/// One side of one connection's handshake.
///
/// [`new`](Self::new) appends the first bytes to send. Whenever bytes have come, call
/// [`handle_input`](Self::handle_input) with all that are not consumed yet. It consumes whole units only, so
/// the rest is to be given again with more behind it; for a unit to become whole, the larger of
/// [`max_command_size`](HandshakeConfig::max_command_size) and 53 bytes are enough. The `out` bytes are
/// to be sent in order, also those of a call that failed: they may tell the peer why.
///
/// When it gives an [`Established`], what is left of the input is traffic, and the handshake is to be
/// dropped. After an error the connection is to be closed. How long a handshake may take is the
/// caller's business.
#[derive(Debug)]
pub(crate) struct Handshake {
    config: Arc<HandshakeConfig>,
    state: State,
    /// What the peer has shown, for whoever decides; until it is taken.
    question: Option<Credentials>,
}

#[derive(Debug)]
enum State {
    Opening(AwaitOpening),
    Remainder(AwaitRemainder),
    SocketType(AwaitSocketType),
    RoutingId(AwaitRoutingId),
    Command(AwaitCommand),
    Verdict(AwaitVerdict),
    /// Established or failed.
    Over,
}

/// What a state's handler came to.
enum Step {
    /// More bytes are needed; none were consumed.
    Incomplete(State),
    /// A unit was consumed; there may be another.
    Next { consumed: usize, state: State },
    /// The last unit was consumed.
    Done {
        consumed: usize,
        established: Established,
    },
}

/// What the handlers work with beside their own state.
struct Context<'a> {
    config: &'a HandshakeConfig,
    out: &'a mut Vec<u8>,
    question: &'a mut Option<Credentials>,
}

impl Handshake {
    /// Begins a handshake. It is the same whichever side has connected: who is the server of a mechanism that has roles
    /// is a property of the [`MechanismConfig`].
    pub(crate) fn new(config: Arc<HandshakeConfig>, out: &mut Vec<u8>) -> Self {
        greeting::put_opening(out);
        Self {
            config,
            state: State::Opening(AwaitOpening),
            question: None,
        }
    }

    /// What this handshake goes by.
    pub(crate) fn config(&self) -> &HandshakeConfig {
        &self.config
    }

    /// What the peer has shown of who it is, once, when the mechanism has to know whether it is let in. From then on no input is taken
    /// before [`admit`](Self::admit) or [`refuse`](Self::refuse) has said so.
    pub(crate) fn take_question(&mut self) -> Option<Credentials> {
        self.question.take()
    }

    /// The peer that was asked about is let in. Input that has come meanwhile is to be given again.
    pub(crate) fn admit(
        &mut self,
        grant: Grant,
        out: &mut Vec<u8>,
    ) -> Result<Option<Established>, ProtocolError> {
        let State::Verdict(AwaitVerdict {
            version,
            mut mechanism,
            ..
        }) = mem::replace(&mut self.state, State::Over)
        else {
            return Ok(None);
        };
        let mut cx = Context {
            config: &self.config,
            out,
            question: &mut self.question,
        };
        let progress = mechanism.admit(cx.config, cx.out)?;
        let grant = Some(grant);
        match proceed(version, mechanism, grant, progress, &mut cx)? {
            After::State(state) => {
                self.state = state;
                Ok(None)
            }
            After::Established(established) => Ok(Some(established)),
        }
    }

    /// The peer that was asked about is not let in. What is appended is to be sent, and the connection to be closed.
    pub(crate) fn refuse(&mut self, denial: Denial, out: &mut Vec<u8>) {
        if let State::Verdict(_) = mem::replace(&mut self.state, State::Over) {
            Mechanism::refuse(denial, out);
        }
    }

    /// Takes what the peer has sent. Gives the number of bytes consumed, and the outcome once there is one.
    pub(crate) fn handle_input(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(usize, Option<Established>), ProtocolError> {
        let mut cx = Context {
            config: &self.config,
            out,
            question: &mut self.question,
        };
        let mut consumed = 0;
        loop {
            // Handlers consume no more than they are given.
            let rest = input.get(consumed..).unwrap_or_default();
            let step = match mem::replace(&mut self.state, State::Over) {
                State::Opening(state) => state.handle(rest, &mut cx)?,
                State::Remainder(state) => state.handle(rest, &mut cx)?,
                State::SocketType(state) => state.handle(rest, &mut cx)?,
                State::RoutingId(state) => state.handle(rest, &mut cx)?,
                State::Command(state) => state.handle(rest, &mut cx)?,
                state @ State::Verdict(_) => Step::Incomplete(state),
                State::Over => return Ok((consumed, None)),
            };
            match step {
                Step::Incomplete(state) => {
                    self.state = state;
                    return Ok((consumed, None));
                }
                Step::Next {
                    consumed: unit,
                    state,
                } => {
                    consumed += unit;
                    self.state = state;
                }
                Step::Done {
                    consumed: unit,
                    established,
                } => {
                    return Ok((consumed + unit, Some(established)));
                }
            }
        }
    }
}

/// Waits for the first 11 bytes, which tell the peer's version.
#[derive(Debug)]
struct AwaitOpening;

impl AwaitOpening {
    fn handle(self, input: &[u8], cx: &mut Context<'_>) -> Result<Step, ProtocolError> {
        let mechanism = &cx.config.mechanism;
        let state = match greeting::read_opening(input)? {
            None => return Ok(Step::Incomplete(State::Opening(self))),
            Some(Revision::Two) if !cx.config.permits_version_2() => {
                return Err(ProtocolError::InsecureVersion {
                    mechanism: mechanism.name(),
                });
            }
            Some(Revision::Two) => {
                cx.out.push(cx.config.socket_type.code());
                put_frame(cx.out, FrameKind::Last, &cx.config.routing_id);
                State::SocketType(AwaitSocketType)
            }
            Some(Revision::Three { major }) => {
                greeting::put_remainder(cx.out, mechanism.name(), mechanism.as_server());
                let mut mechanism = Mechanism::new(cx.config)?;
                if cx.config.starts_early() {
                    // What starts early neither asks nor is done with that.
                    mechanism.start(cx.config, cx.out);
                }
                State::Remainder(AwaitRemainder { major, mechanism })
            }
        };
        Ok(Step::Next {
            consumed: OPENING_LEN,
            state,
        })
    }
}

/// Waits for the rest of a 3.x greeting.
#[derive(Debug)]
struct AwaitRemainder {
    major: u8,
    mechanism: Mechanism,
}

impl AwaitRemainder {
    fn handle(mut self, input: &[u8], cx: &mut Context<'_>) -> Result<Step, ProtocolError> {
        let Some(remainder) = input.first_chunk::<REMAINDER_LEN>() else {
            return Ok(Step::Incomplete(State::Remainder(self)));
        };
        let name = cx.config.mechanism.name();
        let version = greeting::read_remainder(self.major, remainder, name)?;
        let progress = match cx.config.starts_early() {
            true => Progress::Wait,
            false => self.mechanism.start(cx.config, cx.out),
        };
        let after = proceed(version, self.mechanism, None, progress, cx)?;
        Ok(after.step(REMAINDER_LEN))
    }
}

/// Waits to be told whether the peer is let in.
#[derive(Debug)]
struct AwaitVerdict {
    version: Version,
    mechanism: Mechanism,
}

/// Where a step of the mechanism leads.
enum After {
    State(State),
    Established(Established),
}

impl After {
    fn step(self, consumed: usize) -> Step {
        match self {
            After::State(state) => Step::Next { consumed, state },
            After::Established(established) => Step::Done {
                consumed,
                established,
            },
        }
    }
}

fn proceed(
    version: Version,
    mechanism: Mechanism,
    grant: Option<Grant>,
    progress: Progress,
    cx: &mut Context<'_>,
) -> Result<After, ProtocolError> {
    Ok(match progress {
        Progress::Wait => After::State(State::Command(AwaitCommand {
            version,
            mechanism,
            grant,
        })),
        Progress::Ask(credentials) => {
            *cx.question = Some(credentials);
            After::State(State::Verdict(AwaitVerdict { version, mechanism }))
        }
        Progress::Done(metadata, security) => {
            let grant = grant.unwrap_or_default();
            After::Established(establish(version, metadata, grant, security, cx)?)
        }
    })
}

/// Waits for a 2.0 peer's socket type.
#[derive(Debug)]
struct AwaitSocketType;

impl AwaitSocketType {
    fn handle(self, input: &[u8], cx: &mut Context<'_>) -> Result<Step, ProtocolError> {
        let Some(&code) = input.first() else {
            return Ok(Step::Incomplete(State::SocketType(self)));
        };
        let Some(theirs) = SocketType::from_code(code) else {
            return Err(ProtocolError::UnknownSocketTypeCode { code });
        };
        // There is no ERROR command in 2.0 to say this with.
        check_compatible(cx.config.socket_type, theirs)?;
        Ok(Step::Next {
            consumed: 1,
            state: State::RoutingId(AwaitRoutingId { theirs }),
        })
    }
}

/// Waits for a 2.0 peer's routing id, with which it has said all that it says of itself.
#[derive(Debug)]
struct AwaitRoutingId {
    theirs: SocketType,
}

impl AwaitRoutingId {
    fn handle(self, input: &[u8], cx: &mut Context<'_>) -> Result<Step, ProtocolError> {
        let Some(header) = decode_header(input) else {
            return Ok(Step::Incomplete(State::RoutingId(self)));
        };
        let Some(routing_id) = command_body(header, input, cx.config.max_command_size)? else {
            return Ok(Step::Incomplete(State::RoutingId(self)));
        };
        let facts = PeerFacts {
            version: Version::V2_0,
            socket_type: self.theirs,
            routing_id: Bytes::copy_from_slice(routing_id),
            mechanism: cx.config.mechanism.name(),
            properties: Properties::default(),
            principal: None,
            ipc: None,
            granted: Vec::new(),
        };
        Ok(Step::Done {
            consumed: header.header_len + routing_id.len(),
            established: Established {
                version: Version::V2_0,
                facts,
                security: Security::Clear,
            },
        })
    }
}

/// Waits for the mechanism's next command.
#[derive(Debug)]
struct AwaitCommand {
    version: Version,
    mechanism: Mechanism,
    /// What was said of the peer when it was let in.
    grant: Option<Grant>,
}

impl AwaitCommand {
    fn handle(mut self, input: &[u8], cx: &mut Context<'_>) -> Result<Step, ProtocolError> {
        // The COMMAND flag is not insisted on: libzmq does not, and nothing but a command can come here.
        let Some(header) = decode_header(input) else {
            return Ok(Step::Incomplete(State::Command(self)));
        };
        let Some(body) = command_body(header, input, cx.config.max_command_size)? else {
            return Ok(Step::Incomplete(State::Command(self)));
        };
        let progress = self.mechanism.handle_command(body, cx.out)?;
        let after = proceed(self.version, self.mechanism, self.grant, progress, cx)?;
        Ok(after.step(header.header_len + body.len()))
    }
}

fn establish(
    version: Version,
    metadata: Metadata,
    grant: Grant,
    security: Security,
    cx: &mut Context<'_>,
) -> Result<Established, ProtocolError> {
    let socket_type = check_socket_type(cx.config.socket_type, &metadata).inspect_err(|error| {
        let reason = match error {
            ProtocolError::MissingSocketType => "missing socket type",
            _ => "incompatible socket type",
        };
        if cx.config.mechanism.says_why() {
            put_error(cx.out, reason);
        }
    })?;
    let facts = PeerFacts {
        version,
        socket_type,
        routing_id: metadata
            .get(metadata::IDENTITY)
            .cloned()
            .unwrap_or_default(),
        mechanism: cx.config.mechanism.name(),
        properties: metadata.properties.into(),
        principal: None,
        ipc: None,
        granted: grant.metadata,
    };
    Ok(Established {
        version,
        facts,
        security,
    })
}

/// The peer's socket type, if it goes with ours. libzmq lets a peer in that does not say, and does not know then what it
/// has connected to.
fn check_socket_type(ours: SocketType, metadata: &Metadata) -> Result<SocketType, ProtocolError> {
    let Some(name) = metadata.get(metadata::SOCKET_TYPE) else {
        return Err(ProtocolError::MissingSocketType);
    };
    let Some(theirs) = SocketType::from_name(name) else {
        return Err(ProtocolError::UnknownSocketType { name: quote(name) });
    };
    check_compatible(ours, theirs).map(|()| theirs)
}

fn check_compatible(ours: SocketType, theirs: SocketType) -> Result<(), ProtocolError> {
    if ours.accepts(theirs) {
        Ok(())
    } else {
        Err(ProtocolError::IncompatibleSocketType { ours, theirs })
    }
}
