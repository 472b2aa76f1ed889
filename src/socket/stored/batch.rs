//! Several messages that share a sync.

use super::SocketSpool;
use crate::engine::{Core, Outgoing, Wait};
use crate::error::{SendBatchError, SendErrorKind};
use crate::message::{Message, Payload};
use crate::pattern::{Pattern, Sending};
use crate::socket::futures::Unsent;
use crate::socket::{Socket, send_error, send_error_kind};
use crate::spool::{OpenSpool, SpoolError};

/// After so many messages, or bytes, those are made safe, so that a batch without end holds no more.
const MOST: usize = 4096;
const MOST_BYTES: usize = 1 << 20;

/// Of messages that are stored together, so many have the time of the first of them.
const SAME_TIME: usize = 8;

/// So many are stored at the most before they are sent together, or of so many bytes.
const GROUP: usize = 256;
const GROUP_BYTES: usize = 64 * 1024;

/// From so many on, sending takes long enough for another thread to begin with the sync meanwhile.
const WORTH_A_THREAD: usize = 64;

/// Messages that have been sent, and are not known to be safe.
struct Batch<'a, M> {
    spool: &'a SocketSpool,
    /// So many are safe.
    sent: usize,
    /// The others, with their numbers, which ascend.
    others: Vec<(u64, Unsent<M>)>,
    bytes: usize,
}

impl<M: Payload> Batch<'_, M> {
    /// Waits until all are safe, if they are many.
    fn commit_many(&mut self) -> Result<(), SendBatchError> {
        match self.others.len() >= MOST || self.bytes >= MOST_BYTES {
            true => self.commit(),
            false => Ok(()),
        }
    }

    fn push(&mut self, number: u64, message: Unsent<M>) -> Result<(), SendBatchError> {
        self.bytes += size(&message);
        self.others.push((number, message));
        self.commit_many()
    }

    /// Waits until all are safe. The error gives the first one back that is not.
    fn commit(&mut self) -> Result<(), SendBatchError> {
        let Some(&(last, _)) = self.others.last() else {
            return Ok(());
        };
        if let Err(error) = self.spool.commit(last) {
            let safe = |(number, _): &(u64, Unsent<M>)| self.spool.is_safe(*number);
            let first = self.others.iter().position(|other| !safe(other));
            if let Some(first) = first {
                let (_, message) = self.others.swap_remove(first);
                let error = send_error(error, message.into_message());
                return Err(SendBatchError::new(self.sent + first, error));
            }
        }
        self.sent += self.others.len();
        self.others.clear();
        self.bytes = 0;
        Ok(())
    }
}

fn size<M: Payload>(message: &Unsent<M>) -> usize {
    message.outgoing().map_or(0, |outgoing| outgoing.extent().0)
}

/// Messages that are stored, and have yet to be sent. Dropped with some, for whatever reason, it gives their places back.
struct Group<'a, P: Pattern, M> {
    core: &'a Core<P>,
    spool: &'a SocketSpool,
    messages: Vec<(u64, Unsent<M>)>,
    bytes: usize,
    /// Places that are kept for more of them.
    places: usize,
    /// Those are for messages of one frame that are shorter than this.
    below: usize,
    /// When they are stored, in milliseconds since 1970, as far as that was looked at.
    time: Option<u64>,
}

impl<P: Pattern, M: Payload> Group<'_, P, M> {
    /// Keeps places for up to so many messages, if there are any at once.
    fn reserve(&mut self, most: usize) {
        if self.places > 0 {
            return;
        }
        let reserved = self.core.until(Wait::Not, |pattern, net| {
            pattern.acked_out()?.reserve_many(&net.peers, most)
        });
        (self.places, self.below) = reserved.unwrap_or_default();
    }

    /// Stores a message, if there is a place for one like it.
    fn store(&mut self, spool: &OpenSpool, message: &Unsent<M>) -> Option<Result<u64, SpoolError>> {
        let slice = match message.outgoing()? {
            Outgoing::Slice(slice) if self.places > 0 && slice.len() < self.below => slice,
            _ => return None,
        };
        // A look at the clock takes as long as all the rest.
        let time = match self
            .time
            .filter(|_| !self.messages.len().is_multiple_of(SAME_TIME))
        {
            Some(time) => time,
            None => *self.time.insert(OpenSpool::now()),
        };
        Some(spool.append_at(slice, time))
    }

    /// Sends all that are stored. If that fails, they are not sent, and the first one is given back. They are made safe next, unless there
    /// is `more` to share the sync.
    fn send(&mut self, batch: &mut Batch<'_, M>, more: bool) -> Result<(), SendBatchError> {
        self.time = None;
        if self.messages.is_empty() {
            return Ok(());
        }
        let messages = &self.messages;
        let commits = !more
            || batch.others.len() + messages.len() >= MOST
            || batch.bytes + self.bytes >= MOST_BYTES;
        if let Some(&(last, _)) = messages.last()
            && messages.len() >= WORTH_A_THREAD
            && commits
        {
            self.spool.hasten(last);
        }
        let sent = self.core.until(Wait::Forever, |pattern, net| {
            let acked = pattern.acked_out()?;
            for (number, message) in messages {
                if let Some(outgoing) = message.outgoing() {
                    acked.send_stored(&mut net.peers, outgoing, *number, false);
                }
            }
            let look = acked.is_look_due();
            // None of them has been set aside, so that they can be written together.
            if let Some(outgoing) = messages.last().and_then(|(_, last)| last.outgoing()) {
                net.pace(pattern, outgoing, true);
            }
            Some(look)
        });
        match sent {
            Ok(look) => {
                batch.bytes += std::mem::take(&mut self.bytes);
                batch.others.append(&mut self.messages);
                if look {
                    // While the application sends, nobody else may read for several milliseconds.
                    let _ = self.core.until(Wait::Not, |_, _| None::<()>);
                }
                batch.commit_many()
            }
            Err(stop) => {
                batch.commit()?;
                let numbers: Vec<u64> = self.messages.iter().map(|(number, _)| *number).collect();
                // Nobody has released them.
                self.places += numbers.len();
                self.spool.forget(numbers);
                let first = self.messages.drain(..).next();
                let message = first.map_or_else(Message::new, |(_, first)| first.into_message());
                let error = send_error(send_error_kind(stop), message);
                Err(SendBatchError::new(batch.sent, error))
            }
        }
    }

    /// Gives places back that are kept for more messages.
    fn give_back(&mut self) {
        let places = std::mem::take(&mut self.places);
        if places > 0 {
            self.core.give_up(|pattern, _| {
                if let Some(acked) = pattern.acked_out() {
                    acked.release(places);
                }
            });
        }
    }
}

impl<P: Pattern, M> Drop for Group<'_, P, M> {
    fn drop(&mut self) {
        let numbers: Vec<u64> = self.messages.iter().map(|(number, _)| *number).collect();
        let places = self.places + numbers.len();
        if !numbers.is_empty() {
            self.spool.forget(numbers);
        }
        if places > 0 {
            self.core.give_up(|pattern, _| {
                if let Some(acked) = pattern.acked_out() {
                    acked.release(places);
                }
            });
        }
    }
}

impl<P: Sending + 'static> Socket<P> {
    /// Sends messages one after the other. They travel at once, as far as it is known that there are more a few at a time, and are made safe together; but before this waits for
    /// room, it makes safe what it has sent.
    pub(in crate::socket) fn store_batch<M: Payload>(
        &self,
        spool: &SocketSpool,
        mut messages: impl Iterator<Item = M>,
    ) -> Result<usize, SendBatchError> {
        let mut batch = Batch {
            spool,
            sent: 0,
            others: Vec::new(),
            bytes: 0,
        };
        let mut group = Group {
            core: &*self.core,
            spool,
            messages: Vec::new(),
            bytes: 0,
            places: 0,
            below: 0,
            time: None,
        };
        let opened = spool.opened();
        while let Some(message) = messages.next() {
            let message = Unsent::new(message);
            // As many as are there for sure, so that none is kept from leaving by the wait for the next one.
            let (more, _) = messages.size_hint();
            group.reserve(GROUP.min(more.saturating_add(1)));
            let stored = opened.as_ref().ok();
            match stored.and_then(|opened| group.store(opened, &message)) {
                Some(Ok(number)) => {
                    group.places -= 1;
                    group.bytes += size(&message);
                    group.messages.push((number, message));
                    let is_full = group.messages.len() >= GROUP || group.bytes >= GROUP_BYTES;
                    if more == 0 || group.places == 0 || is_full {
                        group.send(&mut batch, more > 0)?;
                    }
                }
                Some(Err(error)) => {
                    group.send(&mut batch, false)?;
                    batch.commit()?;
                    let error = send_error(error, message.into_message());
                    return Err(SendBatchError::new(batch.sent, error));
                }
                None => {
                    group.send(&mut batch, true)?;
                    group.give_back();
                    let (number, message) = self.store_next(spool, &mut batch, message)?;
                    batch.push(number, message)?;
                }
            }
        }
        group.send(&mut batch, false)?;
        batch.commit()?;
        Ok(batch.sent)
    }

    /// Stores a message of any kind and sends it, waiting for room.
    fn store_next<M: Payload>(
        &self,
        spool: &SocketSpool,
        batch: &mut Batch<'_, M>,
        message: Unsent<M>,
    ) -> Result<(u64, Unsent<M>), SendBatchError> {
        let store = |wait| {
            let outgoing = message.outgoing();
            let stored =
                outgoing.map(|outgoing| self.store(spool, outgoing, wait, &|| false, false));
            stored.unwrap_or(Ok(None))
        };
        let mut stored = store(Wait::Not);
        if let Err(refused) = &stored
            && refused.kind == SendErrorKind::WouldBlock
        {
            batch.commit()?;
            stored = store(self.send_wait());
        }
        match stored {
            Ok(Some(id)) => Ok((id.number, message)),
            // Nobody halts it.
            Ok(None) => Err(SendBatchError::new(
                batch.sent,
                send_error(SendErrorKind::WouldBlock, message.into_message()),
            )),
            Err(refused) => {
                batch.commit()?;
                let error = send_error(refused, message.into_message());
                Err(SendBatchError::new(batch.sent, error))
            }
        }
    }
}
