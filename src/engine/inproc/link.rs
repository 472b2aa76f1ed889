//! One end of an inproc pair, and how to reach the other.

use std::sync::{Arc, OnceLock};

use super::channel::{Appended, Channel};
use super::read_rate::ReadRate;
use super::shelf::Shelf;
use crate::engine::peer::out_buffer::OutBuffer;
use crate::engine::peer::state::Place;
use crate::engine::{Note, SocketMailbox};
use crate::message::COPY_MAX;
use crate::sync::Writer;
use crate::zmtp::FrameKind;

/// Our end of an inproc pair.
pub(crate) struct InprocLink {
    pub(crate) outbox: Arc<Channel>,
    /// Memory for long messages.
    pub(crate) shelf: Shelf,
    pub(crate) writer: Writer,
    pub(crate) inbox: Arc<Channel>,
    /// The socket at the other end, and our place there. Unknown until it has bound the name; then it says
    /// so here before it first looks into the channel, so that whoever cannot tell it of something knows
    /// that it will see.
    pub(crate) remote: Arc<OnceLock<Remote>>,
    /// We have been told that the other end is there.
    pub(crate) accepted: bool,
    /// The receiver's mark, once it is there; 0 is none.
    pub(crate) remote_hwm: Option<usize>,
    /// Messages appended to `outbox`, ever.
    pub(crate) appended: usize,
    /// Messages received from `inbox`, ever.
    pub(crate) received: usize,
    /// Take this many messages before telling the other side that there is room.
    pub(crate) step: usize,
    pub(crate) read_rate: ReadRate,
}

/// The other end of an inproc pair.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) mailbox: Arc<SocketMailbox>,
    pub(crate) place: Place,
}

impl InprocLink {
    pub(crate) fn new(outbox: Arc<Channel>, inbox: Arc<Channel>, step: usize) -> Self {
        InprocLink {
            outbox,
            shelf: Shelf::default(),
            writer: Writer::default(),
            inbox,
            remote: Arc::default(),
            accepted: false,
            remote_hwm: None,
            appended: 0,
            received: 0,
            step,
            read_rate: ReadRate::default(),
        }
    }

    /// The mark for what is sent, if the sender's part of it is this. Over inproc there is one queue, and so one limit: the sender's plus the
    /// receiver's, none if either has none, and the sender's alone until it is known who receives.
    pub(crate) fn mark(&self, send_hwm: usize) -> usize {
        match self.remote_hwm {
            _ if send_hwm == 0 => usize::MAX,
            Some(0) => usize::MAX,
            Some(recv_hwm) => send_hwm.saturating_add(recv_hwm),
            None => send_hwm,
        }
    }

    /// Hands over a message of one frame; returns how many bytes it takes.
    #[inline]
    pub(crate) fn send_frame(&mut self, body: &[u8]) -> usize {
        let appended = match body.len() < COPY_MAX {
            true => self.outbox.append_frame(&mut self.writer, body),
            false => self.append_long(body),
        };
        self.appended += 1;
        if appended.tell {
            self.tell(Note::InprocReadable);
        }
        appended.bytes
    }

    /// Copied before the lock is taken: the reader need not wait for that.
    fn append_long(&mut self, body: &[u8]) -> Appended {
        let body = self.shelf.copy(body);
        let write = |buffer: &mut OutBuffer, pool: &mut _| {
            buffer.push_body(FrameKind::Last, body, pool);
        };
        self.outbox.append(&mut self.writer, false, write)
    }

    /// Leaves a note with the socket at the other end.
    pub(crate) fn tell(&self, note: fn(Place) -> Note) {
        if let Some(remote) = self.remote.get() {
            remote.mailbox.post(note(remote.place));
        }
    }

    /// Tells the other side how much has been taken: all but the `remaining` messages.
    pub(crate) fn release(&self, remaining: usize) {
        if self.inbox.release(self.received - remaining) {
            self.tell(Note::InprocWritable);
        }
    }
}
