//! Bytes out to established connections: when, by whom, and what becomes of those the kernel does not take.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use mio::Interest;

use super::net::{BOTH, Net};
use super::out_buffer::{OutBuffer, Unsent};
use super::outgoing::Outgoing;
use super::peers::Peers;
use super::pool::ChunkPool;
use super::state::{Link, PeerId, WRITE_AT};
use super::turn::Turn;
use super::wire;
use crate::engine::driving::attention::Changes;
use crate::engine::driving::left_notes::Left;
use crate::engine::tempo::rhythm::{Gathered, Seen, WrittenBy};
use crate::engine::tempo::{Step, Thread, Waiting};
use crate::monitor::ConnectionId;
use crate::pattern::Pattern;
use crate::transport::Stream;

impl Net {
    /// The next message is worth a write of its own, as after a pause.
    pub(crate) fn pause(&mut self) {
        self.tempo.paused();
    }

    /// A message has been queued, or set aside: write it, or see to it that somebody will. Or not `queued`, as it found no room.
    /// To be called after each attempt to send, under the same lock.
    #[inline]
    pub(crate) fn pace(&mut self, pattern: &mut dyn Pattern, outgoing: Outgoing<'_>, queued: bool) {
        if queued && self.may_wait() {
            return;
        }
        self.pace_slowly(pattern, outgoing.slice(), queued);
    }

    /// Writes what has gathered.
    pub(crate) fn write_now(&mut self, pattern: &mut dyn Pattern) {
        if !self.peers.dirty.is_empty() {
            self.peers.due.write();
            self.pace_slowly(pattern, None, true);
        }
    }

    /// Writes what a thread has left to gather that does something else now.
    pub(crate) fn write_left(&mut self, pattern: &mut dyn Pattern) {
        if self.tempo.is_gathering() {
            self.write_now(pattern);
            self.tempo.ended();
        }
    }

    /// The calling thread waits, for a message or for room.
    pub(crate) fn waits(&self) {
        Thread::current(|thread| self.tempo.waits(thread));
    }

    /// Whether nothing has to be written now.
    #[inline]
    fn may_wait(&self) -> bool {
        let Peers {
            due,
            gathered,
            dirty,
            ..
        } = &self.peers;
        // Where nothing is to be written, it is inproc, or the kernel will say when it takes more.
        due.is_nothing() && (self.tempo.just_gathers(*gathered) || dirty.is_empty())
    }

    /// What the clock decides. Not inlined: benches/instructions.rs leaves it out by its name.
    #[inline(never)]
    fn pace_slowly(&mut self, pattern: &mut dyn Pattern, slice: Option<&[u8]>, queued: bool) {
        if self.peers.due.is_send_away() {
            self.note_slow();
        }
        if self.write_aside(slice) && self.may_wait() {
            return;
        }
        if !queued {
            return self.tempo.held_up();
        }
        if !self.peers.dirty.is_empty() {
            Turn::begin(self, pattern).write_or_gather();
            if !self.changes.is_empty() {
                // A peer has room again. A call that goes the short way looks for this alone.
                self.peers.pool.later.prompt();
            }
        }
    }
}

impl Turn<'_> {
    /// Takes the step that is decided on for a message that has been queued. The time of the turn goes on to the end of a write.
    fn write_or_gather(&mut self) {
        let peers = &self.net.peers;
        let first = peers.dirty.first().and_then(|&id| peers.slab.get(id));
        let waiting = Waiting {
            due: peers.due.is_write(),
            bytes: first.map_or(0, |peer| peer.outbound.unwritten()),
        };
        let step = Thread::current(|thread| self.net.tempo.queued(waiting, thread, self.now));
        match step {
            Step::Gather => {}
            Step::TellCaretaker { writes } => self.net.caretaker.gathering(self.net.id, writes),
            Step::Leave { writes, trusted } => {
                let Net { caretaker, id, .. } = &*self.net;
                match trusted {
                    Some(by) => caretaker.left(Left {
                        id: *id,
                        writes,
                        by,
                    }),
                    None => caretaker.gathering(*id, writes),
                }
                self.net.leaves = true;
                self.net.peers.pool.later.prompt();
            }
            Step::Write(write) => {
                let peers = self.net.peers.dirty.len();
                self.write_dirty();
                self.now = Instant::now();
                Thread::current(|thread| self.net.tempo.wrote(write, peers, thread, self.now));
            }
        }
    }

    /// Writes to every peer that has something and can take it.
    pub(crate) fn write_dirty(&mut self) {
        self.net.peers.due.written();
        self.net.peers.gathered = 0;
        let mut dirty = std::mem::take(&mut self.net.peers.dirty);
        for &id in &dirty {
            self.write_peer(id);
        }
        dirty.clear();
        // Writing may have made others dirty: keep both, and the allocation.
        if !self.net.peers.dirty.is_empty() {
            dirty.append(&mut self.net.peers.dirty);
        }
        self.net.peers.dirty = dirty;
    }

    fn write_peer(&mut self, id: PeerId) {
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        peer.dirty = false;
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        if peer.being_written {
            return;
        }
        let messages = peer.outbound.messages();
        let was_full = messages >= peer.send_hwm;
        up.writable_again = false;
        let Some(writer) = &mut up.writer else {
            return;
        };
        let written = writer.write(&up.stream, &mut peer.outbound, &mut self.net.peers.pool);
        up.carried |= peer.outbound.messages() < messages;
        peer.counters.bytes_out += written.bytes as u64;
        if peer.ending && peer.outbound.is_empty() {
            self.net.peers.news.push(id);
        }
        self.net.after_write(id, written.result);
        let Some(peer) = self.net.peers.slab.get_mut(id) else {
            return;
        };
        peer.review_room();
        if was_full && peer.outbound.messages() < peer.send_hwm {
            self.announce_room(id);
        }
    }

    /// Puts back what a write without the lock has left over.
    pub(crate) fn end_write(&mut self, job: WriteJob, result: io::Result<()>) {
        let WriteJob {
            id,
            birth,
            connection,
            mut buffer,
            writer,
            messages,
            written,
            held,
            spare,
            stream,
        } = job;
        self.net.peers.pool.absorb(spare);
        let lost = self.net.lost_while_written.take();
        let lost = lost.filter(|loss| loss.connection == connection && !held);
        if let Some(loss) = lost {
            self.blame(id, &mut buffer, *loss);
        }
        let peer = self.net.peers.slab.get_mut(id);
        let Some(peer) = peer.filter(|peer| peer.birth == birth) else {
            let unsent = buffer.drain(&mut self.net.peers.pool);
            // It was dropped meanwhile, but for this last write.
            if messages > 0 {
                self.net.bid_farewell(stream, self.farewell_time());
            }
            return self.orphan(unsent, held);
        };
        peer.being_written = false;
        let parted = peer.ending && matches!(peer.link, Link::Gone);
        let was_full = peer.outbound.messages() + peer.in_flight >= peer.send_hwm;
        peer.in_flight = 0;
        if let Some(limits) = &mut peer.bytes {
            limits.in_flight = 0;
        }
        peer.commands_in_flight = 0;
        peer.counters.bytes_out += written as u64;
        let same = peer.connection == connection && matches!(peer.link, Link::Up(_));
        if let Link::Up(up) = &mut peer.link
            && same
        {
            up.carried |= buffer.messages() < messages;
            up.writer = Some(writer);
        }
        if !same {
            peer.counters.withdrawn += buffer.unwanted() as u64;
        }
        if !same && (matches!(peer.link, Link::Gone) || !self.pattern.keeps_unsent() || held) {
            let unsent = buffer.drain(&mut self.net.peers.pool);
            self.orphan(unsent, held);
        } else {
            let pool = &mut self.net.peers.pool;
            if !same {
                buffer.rewind(pool);
            }
            let later = std::mem::replace(&mut peer.outbound, buffer);
            peer.outbound.append(later, pool);
        }
        if parted && messages > 0 {
            self.net.bid_farewell(stream, self.farewell_time());
        }
        if same {
            self.net.after_write(id, result);
        } else {
            self.sort_out_refused(id);
            self.greet_late(id);
        }
        self.net.changes.add(Changes::PEERS);
        if self.net.peers.is_ending(id) {
            self.net.peers.news.push(id);
        }
        self.pattern.returned(&mut self.net.peers, id, same);
        self.net.peers.mark_dirty(id);
        if let Some(peer) = self.net.peers.slab.get_mut(id) {
            peer.review_room();
        }
        if was_full && self.net.peers.has_room(id) {
            self.announce_room(id);
        }
    }

    /// Messages whose connection broke while they were being written, and is not coming back to them.
    fn orphan(&mut self, unsent: Vec<Unsent>, held: bool) {
        if held {
            unsent
                .into_iter()
                .for_each(|unsent| self.net.peers.discard(unsent.message));
            return;
        }
        if !self.pattern.moves_unsent() {
            self.net.peers.past().dropped_disconnect += unsent.len() as u64;
        }
        self.net.changes.add(Changes::PEERS);
        self.pattern.orphaned(&mut self.net.peers, unsent);
    }
}

impl Net {
    /// Notes how a write ended. A failed one does not end the connection by itself: what the peer sent
    /// before it went may still be unread, and is read first.
    fn after_write(&mut self, id: PeerId, result: io::Result<()>) {
        let Some(peer) = self.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        match result {
            Ok(()) if up.held_pong.is_empty() => {
                let was = std::mem::replace(&mut up.writable, true);
                self.tempo.rhythm().writable(was, true);
            }
            result => self.after_odd_write(id, result),
        }
    }

    /// The same where the kernel has not taken all, or a PONG has been held back.
    #[cold]
    fn after_odd_write(&mut self, id: PeerId, result: io::Result<()>) {
        self.peers.send_held_pong(id);
        let Some(peer) = self.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        let Err(error) = result else {
            let was = std::mem::replace(&mut up.writable, true);
            self.tempo.rhythm().writable(was, true);
            return;
        };
        let refused = error.kind() == io::ErrorKind::WouldBlock;
        if refused && std::mem::take(&mut up.writable_again) {
            return;
        }
        let was = std::mem::take(&mut up.writable);
        self.tempo.rhythm().writable(was, false);
        up.refused_at = peer.outbound.unwritten();
        if refused {
            self.watch_room(id, true);
        } else {
            up.write_failed = Some(error);
            up.hung_up = true;
            up.readable = true;
            self.queue_read(id);
        }
    }

    /// Says whether the kernel is to report room on this connection, where it would report all of it. If there is room
    /// already when this begins, it says so at once.
    pub(crate) fn watch_room(&mut self, id: PeerId, watch: bool) {
        let token = self.token_of(id);
        if let Some(peer) = self.peers.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
            && up.watches_room != watch
            && up.stream.reports_all_room()
        {
            let interests = if watch { BOTH } else { Interest::READABLE };
            match self
                .registry
                .get()
                .and_then(|registry| up.stream.watch(registry, token, interests))
            {
                Ok(()) => up.watches_room = watch,
                Err(error) => self.warn(format_args!(
                    "cannot change what a connection is watched for: {error}"
                )),
            }
        }
    }

    /// Who is to write what has gathered, for a caretaker that has seen no writes of callers.
    pub(crate) fn who_writes(&self, seen: Seen, now: Instant) -> WrittenBy {
        let dirty = self.peers.dirty.iter();
        let peers = dirty.filter_map(|&id| self.peers.slab.get(id));
        let bytes = peers.map(|peer| peer.outbound.unwritten()).max();
        let gathered = Gathered {
            messages: self.peers.gathered,
            bytes: bytes.unwrap_or_default(),
            full_at_messages: super::link::unlimited(self.options.send_hwm),
            full_at_bytes: WRITE_AT,
        };
        self.tempo.who_writes(seen, gathered, now)
    }

    /// Takes one peer's buffer out, to be written without the lock.
    pub(crate) fn begin_write(&mut self) -> Option<WriteJob> {
        while let Some(id) = self.peers.dirty.pop() {
            let Some(peer) = self.peers.slab.get_mut(id) else {
                continue;
            };
            peer.dirty = false;
            let Link::Up(up) = &mut peer.link else {
                continue;
            };
            let Some(writer) = up.writer.take() else {
                continue;
            };
            peer.being_written = true;
            up.writable_again = false;
            let buffer = std::mem::take(&mut peer.outbound);
            peer.in_flight = buffer.messages();
            if let Some(limits) = &mut peer.bytes {
                limits.in_flight = buffer.bytes();
            }
            peer.commands_in_flight = buffer.commands();
            return Some(WriteJob {
                id,
                birth: peer.birth,
                connection: peer.connection,
                stream: Arc::clone(&up.stream),
                writer,
                messages: peer.in_flight,
                buffer,
                written: 0,
                held: peer.held,
                spare: ChunkPool::default(),
            });
        }
        self.peers.gathered = 0;
        self.peers.due.written();
        self.tempo.ended();
        None
    }
}

/// A peer's buffer on its way to the kernel, outside the lock. While it is, the peer is marked
/// `being_written`, so that nobody else writes and the order is kept: not on its next connection either.
pub(crate) struct WriteJob {
    id: PeerId,
    birth: ConnectionId,
    connection: ConnectionId,
    stream: Arc<Stream>,
    writer: wire::Writer,
    buffer: OutBuffer,
    /// Messages to write at the start, and bytes that have left since.
    messages: usize,
    written: usize,
    /// The pattern holds the messages, too.
    held: bool,
    /// Chunks that have come free.
    spare: ChunkPool,
}

impl WriteJob {
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let WriteJob { stream, buffer, .. } = self;
        let written = self.writer.write(stream, buffer, &mut self.spare);
        self.written += written.bytes;
        written.result
    }
}
