//! Several messages that share a sync.

use super::SocketSpool;
use crate::engine::{Outgoing, Wait};
use crate::error::{SendBatchError, SendErrorKind};
use crate::message::{Message, Payload};
use crate::pattern::Sending;
use crate::socket::{Socket, send_error};

/// After so many messages, or bytes, those are made safe, so that a batch without end holds no more.
const MOST: usize = 4096;
const MOST_BYTES: usize = 1 << 20;

/// Messages that have been sent, and are not known to be safe.
struct Batch<'a> {
    spool: &'a SocketSpool,
    /// So many are safe.
    sent: usize,
    /// The others, with their numbers, which ascend.
    others: Vec<(u64, Message)>,
    bytes: usize,
}

impl Batch<'_> {
    fn push(&mut self, number: u64, message: Message) -> Result<(), SendBatchError> {
        self.bytes += message.size();
        self.others.push((number, message));
        match self.others.len() >= MOST || self.bytes >= MOST_BYTES {
            true => self.commit(),
            false => Ok(()),
        }
    }

    /// Waits until all are safe. The error gives the first one back that is not.
    fn commit(&mut self) -> Result<(), SendBatchError> {
        let Some(&(last, _)) = self.others.last() else {
            return Ok(());
        };
        if let Err(error) = self.spool.commit(last) {
            let safe = |(number, _): &(u64, Message)| self.spool.is_safe(*number);
            let first = self.others.iter().position(|other| !safe(other));
            if let Some(first) = first {
                let (_, message) = self.others.swap_remove(first);
                let error = send_error(error, message);
                return Err(SendBatchError::new(self.sent + first, error));
            }
        }
        self.sent += self.others.len();
        self.others.clear();
        self.bytes = 0;
        Ok(())
    }
}

impl<P: Sending + 'static> Socket<P> {
    /// Sends messages one after the other. They travel at once, and are made safe together; but before this waits for room, it makes safe what it has sent.
    pub(in crate::socket) fn store_batch<M: Payload>(
        &self,
        spool: &SocketSpool,
        messages: impl Iterator<Item = M>,
    ) -> Result<usize, SendBatchError> {
        let mut batch = Batch {
            spool,
            sent: 0,
            others: Vec::new(),
            bytes: 0,
        };
        for message in messages {
            let message = message.into_message();
            let outgoing = Outgoing::Message(&message);
            let store = |wait| self.store(spool, outgoing, wait, &|| false, false);
            let mut stored = store(Wait::Not);
            if let Err(refused) = &stored
                && refused.kind == SendErrorKind::WouldBlock
            {
                batch.commit()?;
                stored = store(self.send_wait());
            }
            match stored {
                Ok(Some(id)) => batch.push(id.number, message)?,
                // Nobody halts it.
                Ok(None) => {}
                Err(refused) => {
                    batch.commit()?;
                    return Err(SendBatchError::new(
                        batch.sent,
                        send_error(refused, message),
                    ));
                }
            }
        }
        batch.commit()?;
        Ok(batch.sent)
    }
}
