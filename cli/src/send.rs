//! Input into a socket: what `push`, `pub` and `xpub` do.

use std::fmt::Display;
use std::sync::atomic::Ordering;

use zerohop::{AnySocket, Bytes, Message, Options, SendError, SendErrorKind};

use crate::args::{EndpointArgs, FramingArgs, InputArgs, SocketArgs};
use crate::failure::{Failure, Outcome};
use crate::input::{self, Sink};
use crate::session::Session;
use crate::sockets::Sending;

/// The arguments of a command that sends messages one after the other. A command adds its own beside them.
#[derive(Debug, clap::Args)]
pub(crate) struct SenderArgs {
    #[command(flatten)]
    input: InputArgs,
    #[command(flatten)]
    framing: FramingArgs,
    #[command(flatten)]
    endpoints: EndpointArgs,
    #[command(flatten)]
    socket: SocketArgs,
}

impl SenderArgs {
    pub(crate) fn open<S: Sending>(&self) -> Outcome<Session<S>> {
        self.open_with(Options::new())
    }

    pub(crate) fn open_with<S: Sending>(&self, options: Options) -> Outcome<Session<S>> {
        Session::open_with(&self.endpoints, &self.socket, options, |_| Ok(()))
    }
}

/// Sends the input, and ends the session.
pub(crate) fn run<S: Sending>(session: Session<S>, args: &SenderArgs) -> Outcome {
    let (tally, outcome) = send_all(&session, args);
    tally.close(session, outcome)
}

/// Sends the input.
pub(crate) fn send_all<S: Sending>(session: &Session<S>, args: &SenderArgs) -> (Tally, Outcome) {
    let SenderArgs { input, framing, .. } = args;
    let mut sender = Sender::new(session, framing);
    let outcome = input::feed(input, framing, session, &mut sender);
    (sender.tally, outcome)
}

/// What became of messages that did not get to all that they were for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Messages that a peer missed, each counted once per peer.
    skipped: usize,
    /// Messages that nobody has subscribed to.
    unwanted: u64,
    /// Messages that no peer takes.
    refused: u64,
}

impl Tally {
    /// What nobody has subscribed to is kept for those who will.
    pub(crate) fn keep_unwanted(&mut self) {
        self.unwanted = 0;
    }

    /// Ends the session, and tells.
    pub(crate) fn close<S: Sending>(self, session: Session<S>, outcome: Outcome) -> Outcome {
        let Tally {
            skipped,
            unwanted,
            refused,
        } = self;
        if skipped > 0 {
            session.note(&format!(
                "slow subscribers missed {skipped} messages; --hwm lets more wait, --rate sends more slowly"
            ));
        }
        if unwanted > 0 {
            let messages = match unwanted {
                1 => "1 message has".to_owned(),
                count => format!("{count} messages have"),
            };
            session.note(&format!(
                "{messages} gone to nobody, because nobody had subscribed to that; --wait-subscribers waits for somebody"
            ));
        }
        let given_up = session.refused();
        let outcome = session.close(outcome);
        let given_up = match S::REFUSED_IS_LOST {
            true => given_up.load(Ordering::Relaxed),
            false => 0,
        };
        match refused + given_up {
            0 => outcome,
            1 => outcome.and(Err(Failure::of("1 message was refused"))),
            count => outcome.and(Err(Failure::Failed(format!(
                "{count} messages were refused"
            )))),
        }
    }
}

/// Sends lines.
pub(crate) struct Sender<'a, S: Sending> {
    session: &'a Session<S>,
    separator: Option<&'a [u8]>,
    pub(crate) tally: Tally,
}

impl<'a, S: Sending> Sender<'a, S> {
    pub(crate) fn new(session: &'a Session<S>, framing: &'a FramingArgs) -> Self {
        let separator = framing.parts.as_ref();
        Sender {
            session,
            separator: separator.map(|separator| separator.0.as_slice()),
            tally: Tally::default(),
        }
    }
}

impl<S: Sending> Sender<'_, S> {
    fn count(&mut self, sent: Result<S::Sent, SendError>) -> Outcome {
        match sent.or_else(|error| insist(self.session, error)) {
            Ok(sent) => {
                self.tally.skipped += S::missed(&sent);
                self.tally.unwanted += u64::from(!S::is_wanted(&sent));
                Ok(())
            }
            Err(error) if is_refusal(error.kind()) => {
                // The others are sent all the same. What is true of one may be true of thousands.
                if self.tally.refused == 0 {
                    self.session.note(&format!("not sent: {error}"));
                }
                self.tally.refused += 1;
                Ok(())
            }
            Err(error) => Err(send_failure(self.session, &error)),
        }
    }
}

/// Tries again what has timed out, until nothing has left for as long as `--timeout` allows.
#[cold]
pub(crate) fn insist<S: Sending>(
    session: &Session<S>,
    error: SendError,
) -> Result<S::Sent, SendError> {
    if error.kind() != SendErrorKind::TimedOut {
        return Err(error);
    }
    let message = error.into_message();
    let is_timeout = |error: &SendError| error.kind() == SendErrorKind::TimedOut;
    session.insist(is_timeout, || session.socket.send(&message))
}

fn is_refusal(kind: SendErrorKind) -> bool {
    matches!(
        kind,
        SendErrorKind::TooLarge { .. }
            | SendErrorKind::TooManyParts { .. }
            | SendErrorKind::Unroutable
            | SendErrorKind::NoBody
    )
}

impl<S: Sending> Sink for Sender<'_, S> {
    #[inline]
    fn line(&mut self, line: &[u8]) -> Outcome {
        let sent = self.session.socket.send_line(line, self.separator);
        self.count(sent)
    }

    fn message(&mut self, message: Message) -> Outcome {
        let sent = self.session.socket.send(message);
        self.count(sent)
    }

    fn whole(&mut self, message: Bytes) -> Outcome {
        if self.separator.is_some() || S::NAMES_ITS_PEER {
            return self.line(&message);
        }
        let sent = self.session.socket.send(message);
        self.count(sent)
    }
}

/// The frames of a message in text.
pub(crate) fn split<'a>(line: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut frames = Vec::new();
    let mut start = 0;
    for at in memchr::memmem::find_iter(line, separator) {
        frames.push(&line[start..at]);
        start = at + separator.len();
    }
    frames.push(&line[start..]);
    frames
}

/// What a failed send means for the command.
pub(crate) fn send_failure<S: Sending>(session: &Session<S>, error: &SendError) -> Failure {
    let stop = &session.stop;
    match error.kind() {
        SendErrorKind::TimedOut => Failure::TimedOut(format!(
            "a message was not sent: {error}{}",
            session.trouble()
        )),
        SendErrorKind::ContextClosed if stop.cause().is_some() => cut_short(session, error),
        _ => Failure::of(error),
    }
}

/// What it means that a stop has come before a message could be sent.
pub(crate) fn cut_short<S: AnySocket>(session: &Session<S>, error: impl Display) -> Failure {
    let stop = &session.stop;
    stop.cut_short();
    // Texts of the command line are no input: a stop ends them at once.
    if stop.holds_input() {
        session.note(&format!(
            "input was lost: no peer took it within the linger time{}",
            session.trouble()
        ));
    }
    stop.ending().unwrap_or_else(|| Failure::of(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_split_into_frames() {
        assert_eq!(split(b"a, b, ", b", "), [&b"a"[..], b"b", b""]);
        assert_eq!(split(b"", b","), [b""]);
        assert_eq!(split(b"plain", b","), [b"plain"]);
    }
}
