//! Several messages that share a sync.

use std::ops::Range;

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

/// So many are stored at the most before they are sent together, or of so many bytes. All of them have the time of the first: a look at the clock takes
/// as long as storing one.
const GROUP: usize = 256;
const GROUP_BYTES: usize = 64 * 1024;

/// From so many on, sending takes long enough for the disk to begin with them meanwhile. Fewer are sent first.
const WORTH_BEGINNING: usize = 64;

/// Messages that are stored, with their numbers in the spool, which ascend.
struct Numbered<M> {
    messages: Vec<Unsent<M>>,
    /// Of the first ones, or all.
    numbers: Vec<Range<u64>>,
    bytes: usize,
}

impl<M: Payload> Numbered<M> {
    fn new() -> Self {
        Numbered {
            messages: Vec::new(),
            numbers: Vec::new(),
            bytes: 0,
        }
    }

    fn push(&mut self, message: Unsent<M>) {
        self.bytes += message.outgoing().map_or(0, |outgoing| outgoing.extent().0);
        self.messages.push(message);
    }

    fn append(&mut self, other: &mut Self) {
        match self.messages.is_empty() {
            true => std::mem::swap(&mut self.messages, &mut other.messages),
            false => self.messages.append(&mut other.messages),
        }
        self.numbers.append(&mut other.numbers);
        self.bytes += std::mem::take(&mut other.bytes);
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.numbers.clear();
        self.bytes = 0;
    }

    fn numbers(&self) -> impl Iterator<Item = u64> {
        self.numbers.iter().flat_map(Range::clone)
    }

    fn last(&self) -> Option<u64> {
        self.numbers.last()?.end.checked_sub(1)
    }
}

/// Messages that have been sent, and are not known to be safe.
struct Batch<'a, M> {
    spool: &'a SocketSpool,
    /// So many are safe.
    sent: usize,
    others: Numbered<M>,
}

impl<M: Payload> Batch<'_, M> {
    /// Waits until all are safe, if they are many.
    fn commit_many(&mut self) -> Result<(), SendBatchError> {
        match self.others.messages.len() >= MOST || self.others.bytes >= MOST_BYTES {
            true => self.commit(),
            false => Ok(()),
        }
    }

    fn push(&mut self, number: u64, message: Unsent<M>) -> Result<(), SendBatchError> {
        self.others.push(message);
        self.others.numbers.push(number..number + 1);
        self.commit_many()
    }

    /// Waits until all are safe. The error gives the first one back that is not.
    fn commit(&mut self) -> Result<(), SendBatchError> {
        let Some(last) = self.others.last() else {
            return Ok(());
        };
        if let Err(error) = self.spool.commit(last) {
            let mut numbers = self.others.numbers();
            let first = numbers.position(|number| !self.spool.is_safe(number));
            drop(numbers);
            if let Some(first) = first {
                let message = self.others.messages.swap_remove(first);
                let error = send_error(error, message.into_message());
                return Err(SendBatchError::new(self.sent + first, error));
            }
        }
        self.sent += self.others.messages.len();
        self.others.clear();
        Ok(())
    }
}

/// Messages that are stored and sent together. Dropped with some, for whatever reason, it gives their places back.
struct Group<'a, P: Pattern, M: Payload> {
    core: &'a Core<P>,
    spool: &'a SocketSpool,
    /// Each has a place.
    messages: Numbered<M>,
    /// Places that are kept for more of them.
    places: usize,
    /// Those are for messages of one frame that are shorter than this.
    below: usize,
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
        self.messages.messages.reserve(self.places);
    }

    /// Whether there is a place for a message like this one.
    fn takes(&self, message: &Unsent<M>) -> bool {
        match message.outgoing() {
            Some(Outgoing::Slice(slice)) => self.places > 0 && slice.len() < self.below,
            _ => false,
        }
    }

    fn push(&mut self, message: Unsent<M>) {
        self.places -= 1;
        self.messages.push(message);
    }

    fn is_full(&self) -> bool {
        let Numbered {
            messages, bytes, ..
        } = &self.messages;
        self.places == 0 || messages.len() >= GROUP || *bytes >= GROUP_BYTES
    }

    /// Stores all, and sends them. If that fails, those that are stored are sent and made safe, and the first of the others is given back. They are made
    /// safe next, unless there is `more` to share the sync.
    fn send(
        &mut self,
        opened: &OpenSpool,
        batch: &mut Batch<'_, M>,
        more: bool,
    ) -> Result<(), SendBatchError> {
        let Err((stored, error)) = self.store(opened) else {
            return self.send_stored(opened, batch, more);
        };
        let mut others = self.messages.messages.split_off(stored).into_iter();
        // They have none of their own any more.
        self.places += others.len();
        let safe = self.send_stored(opened, batch, false);
        match safe.and_then(|()| batch.commit()) {
            Ok(()) => {
                let first = others.next();
                let first = first.map_or_else(Message::new, Unsent::into_message);
                Err(SendBatchError::new(batch.sent, send_error(error, first)))
            }
            Err(error) => Err(error),
        }
        .map_err(|error| error.with_behind(others.map(Unsent::into_message)))
    }

    /// Stores all. If that fails, it gives how many were stored.
    fn store(&mut self, opened: &OpenSpool) -> Result<(), (usize, SpoolError)> {
        let Numbered {
            messages, numbers, ..
        } = &mut self.messages;
        let mut stored = 0;
        if messages.is_empty() {
            return Ok(());
        }
        let time = OpenSpool::now();
        while let Some(others @ [_, ..]) = messages.get(stored..) {
            let slices = others.iter().map_while(|message| match message.outgoing() {
                Some(Outgoing::Slice(slice)) => Some(slice),
                _ => None,
            });
            let appended = opened.append_some(slices, time);
            let appended = appended.map_err(|error| (stored, error))?;
            stored += (appended.end - appended.start) as usize;
            numbers.push(appended);
        }
        Ok(())
    }

    fn send_stored(
        &mut self,
        opened: &OpenSpool,
        batch: &mut Batch<'_, M>,
        more: bool,
    ) -> Result<(), SendBatchError> {
        let messages = &self.messages;
        let count = messages.messages.len();
        if count == 0 {
            return Ok(());
        }
        let commits = !more
            || batch.others.messages.len() + count >= MOST
            || batch.others.bytes + messages.bytes >= MOST_BYTES;
        if count >= WORTH_BEGINNING && commits {
            opened.begin_commit();
        }
        let sent = self.core.until(Wait::Forever, |pattern, net| {
            let acked = pattern.acked_out()?;
            for (number, message) in messages.numbers().zip(&messages.messages) {
                if let Some(outgoing) = message.outgoing() {
                    acked.send_stored(&mut net.peers, outgoing, number, false);
                }
            }
            let look = acked.is_look_due();
            // None of them has been set aside, so that they can be written together.
            if let Some(outgoing) = messages.messages.last().and_then(Unsent::outgoing) {
                net.pace(pattern, outgoing, true);
            }
            Some(look)
        });
        match sent {
            Ok(look) => {
                batch.others.append(&mut self.messages);
                if look {
                    // While the application sends, nobody else may read for several milliseconds.
                    let _ = self.core.until(Wait::Not, |_, _| None::<()>);
                }
                batch.commit_many()
            }
            Err(stop) => {
                batch.commit()?;
                // Nobody has released them.
                self.places += count;
                self.spool.forget(self.messages.numbers.drain(..));
                let mut unsent = self.messages.messages.drain(..).map(Unsent::into_message);
                let message = unsent.next().unwrap_or_default();
                let error = send_error(send_error_kind(stop), message);
                Err(SendBatchError::new(batch.sent, error).with_behind(unsent))
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

impl<P: Pattern, M: Payload> Drop for Group<'_, P, M> {
    fn drop(&mut self) {
        self.places += self.messages.messages.len();
        if !self.messages.numbers.is_empty() {
            self.spool.forget(self.messages.numbers.drain(..));
        }
        self.give_back();
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
            others: Numbered::new(),
        };
        let mut group = Group {
            core: &*self.core,
            spool,
            messages: Numbered::new(),
            places: 0,
            below: 0,
        };
        let opened = spool.opened().ok();
        while let Some(message) = messages.next() {
            let message = Unsent::new(message);
            // As many as are there for sure, so that none is kept from leaving by the wait for the next one.
            let (more, _) = messages.size_hint();
            group.reserve(GROUP.min(more.saturating_add(1)));
            let Some(opened) = opened.as_ref() else {
                let (number, message) = self.store_next(spool, &mut batch, message)?;
                batch.push(number, message)?;
                continue;
            };
            if group.takes(&message) {
                group.push(message);
                if more == 0 || group.is_full() {
                    group.send(opened, &mut batch, more > 0)?;
                }
            } else {
                if let Err(error) = group.send(opened, &mut batch, true) {
                    return Err(error.with_behind([message.into_message()]));
                }
                group.give_back();
                let (number, message) = self.store_next(spool, &mut batch, message)?;
                batch.push(number, message)?;
            }
        }
        if let Some(opened) = &opened {
            group.send(opened, &mut batch, false)?;
        }
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
