//! The verdict on its way: from the threads that decide to the handshake that waits.

use std::fmt;
use std::sync::Arc;

use super::{AuthRequest, Authenticator, Verdict};
use crate::engine::{ContextInner, Note, Place, Question, SocketMailbox, contain};
use crate::process::Process;
use crate::transport::JobQueue;
use crate::zmtp::Denial;

/// So many verdicts are made at once. Code that waits for others is for [`Allow::ask`](super::Allow::ask).
const MAX_WORKERS: usize = 4;

/// The answer to the question whether a peer is let in, to be given on any thread, and at any time before the peer's
/// [`handshake_timeout`](crate::Options::handshake_timeout) is over.
///
/// Who drops it does not let the peer in.
#[must_use]
pub struct Answer {
    question: Arc<Question<Verdict>>,
    mailbox: Arc<SocketMailbox>,
    place: Place,
    process: Process,
}

impl Answer {
    pub(crate) fn new(
        question: Arc<Question<Verdict>>,
        mailbox: Arc<SocketMailbox>,
        place: Place,
    ) -> Answer {
        Answer {
            question,
            mailbox,
            place,
            process: Process::current(),
        }
    }

    /// Says whether the peer is let in. Never waits. If nobody wants to know any more, because the peer has gone or its time is
    /// over, it comes to nothing.
    pub fn give(self, verdict: impl Into<Verdict>) {
        self.post(verdict.into());
    }

    /// Whether somebody still wants to know. May be out of date at once.
    pub fn is_wanted(&self) -> bool {
        self.process.is_current() && self.question.is_open()
    }

    fn post(&self, verdict: Verdict) {
        // A child that was forked has copies of locks that nobody may ever release.
        if self.process.is_current() && self.question.answer(verdict) {
            self.mailbox.post(Note::Verdict(self.place));
        }
    }
}

impl Drop for Answer {
    /// After [`give`](Self::give) there is an answer already, and this one comes to nothing.
    fn drop(&mut self) {
        self.post(Verdict::deny_with(
            Denial::Internal,
            "nobody has decided whether to let it in",
        ));
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").finish_non_exhaustive()
    }
}

/// A question that is to be asked, by code that must not run under a lock.
pub(crate) struct Ask {
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) request: AuthRequest,
    pub(crate) answer: Answer,
    pub(crate) context: Arc<ContextInner>,
}

impl Ask {
    /// Has it asked on a thread of its own. With no lock held.
    pub(crate) fn start(self) {
        let deciding = Arc::clone(&self.context.deciding);
        // Of peers that have come and gone while code of the application takes its time, no more than of those that still wait.
        drop(deciding.jobs.sweep(|ask| ask.answer.is_wanted()));
        if !deciding.jobs.push(self) {
            return;
        }
        let worker = Arc::clone(&deciding);
        let started = std::thread::Builder::new()
            .name("zerohop-auth".to_owned())
            .spawn(move || {
                while let Some(Ask {
                    authenticator,
                    request,
                    answer,
                    context,
                }) = worker.jobs.next()
                {
                    contain(|| {
                        if answer.is_wanted() {
                            authenticator.decide(request, answer, &context);
                        }
                    });
                }
            });
        if started.is_err() {
            // Their answers are that nobody has decided.
            drop(deciding.jobs.not_started());
        }
    }
}

/// The threads on which a context has verdicts made: started on demand, a few at most, and gone when there is nothing to decide.
pub(crate) struct Deciding {
    jobs: JobQueue<Ask>,
}

impl Default for Deciding {
    fn default() -> Deciding {
        Deciding {
            jobs: JobQueue::new(MAX_WORKERS),
        }
    }
}
