//! Bytes in and out of established connections.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::Interest;

use super::in_buffer::{ReadError, ReadOutcome};
use super::net::{BOTH, Net};
use super::out_buffer::{MAX_SLICES, OutBuffer};
use super::pacer::COST_CAP;
use super::peers::{Connected, Link, MAX_COMMAND_BYTES, PeerId, WRITE_AT};
use super::pool::{CHUNK, ChunkPool};
use crate::message::Message;
use crate::monitor::{ConnectionId, DisconnectCause};
use crate::pattern::Pattern;
use crate::transport::Stream;
use crate::zmtp::{Command, ProtocolError, put_pong};

/// While messages gather, the clock is read every so many of them …
const CLOCK_EVERY: usize = 64;

/// … and they are written when the oldest has waited this long, should the caretaker not have come by. Or as long as
/// writing to all peers has taken lately: where there are a thousand, they are not to take all the sender's time …
pub(crate) const GATHER_AT_MOST: Duration = Duration::from_micros(50);

/// … but no longer than this.
const GATHER_AT_MOST_EVER: Duration = Duration::from_millis(20);

/// What the kernel is asked for at once, at the least. It is what libzmq's decoder always reads …
const SMALL_READ: usize = 8 * 1024;

/// … and so much for each message up to the high-water mark, so that a small mark means a small read-ahead.
const READ_PER_MESSAGE: usize = 64;

/// What all peers together may read ahead in one round, as far as each gets its [`SMALL_READ`]: as much as stays in the
/// cache until the application has taken it, one message from each peer in turn.
const READ_AHEAD: usize = 512 * 1024;

/// Reads ahead of the application, in one turn and for one peer, before the others get theirs.
const READS_PER_TURN: usize = 4;

impl Net {
    /// Reads from every readable peer, each in its turn.
    pub(crate) fn read_round(&mut self, now: Instant, pattern: &mut dyn Pattern) {
        while let Some(id) = self.peers.resumable.pop() {
            if let Some(peer) = self.peers.slab.get_mut(id)
                && let Link::Up(up) = &mut peer.link
            {
                up.heartbeat.resume(now);
            }
            self.queue_read(id);
        }
        let readers = self.readable.len().max(1);
        self.read_share = (READ_AHEAD / readers).clamp(SMALL_READ, CHUNK);
        for _ in 0..readers {
            let Some(id) = self.readable.pop_front() else {
                return;
            };
            if let Some(peer) = self.peers.slab.get_mut(id)
                && let Link::Up(up) = &mut peer.link
            {
                up.queued = false;
                self.read_peer(id, now, pattern);
            }
        }
    }

    /// Puts a peer in the queue for reading, if there may be something.
    fn queue_read(&mut self, id: PeerId) {
        if let Some(peer) = self.peers.slab.get_mut(id)
            && let Link::Up(up) = &mut peer.link
            && up.readable
            && !up.queued
            && !peer.paused
        {
            up.queued = true;
            self.readable.push_back(id);
        }
    }

    fn read_peer(&mut self, id: PeerId, now: Instant, pattern: &mut dyn Pattern) {
        let mut arrived = false;
        for _ in 0..READS_PER_TURN {
            let outcome = match self.read_once(id, now, pattern) {
                None => break,
                Some(Ok(outcome)) => outcome,
                Some(Err(cause)) => {
                    self.announce(id, pattern);
                    return self.connection_lost(id, cause, pattern);
                }
            };
            arrived |= outcome.messages > 0;
            if outcome.messages > 0 || !outcome.more {
                break;
            }
        }
        if arrived {
            self.announce(id, pattern);
        }
        self.queue_read(id);
    }

    /// Tells the pattern of whole messages, if there are any.
    pub(crate) fn announce(&mut self, id: PeerId, pattern: &mut dyn Pattern) {
        if self.peers.messages(id) > 0
            && let Err(error) = pattern.readable(&mut self.peers, id)
        {
            self.connection_lost(id, DisconnectCause::Protocol(error), pattern);
        }
    }

    /// One read. `None`: nothing to read, or not now.
    fn read_once(
        &mut self,
        id: PeerId,
        now: Instant,
        pattern: &mut dyn Pattern,
    ) -> Option<Result<ReadOutcome, DisconnectCause>> {
        let peer = self.peers.slab.get_mut(id)?;
        let Link::Up(up) = &mut peer.link else {
            return None;
        };
        if peer.inbound.messages() >= peer.recv_hwm {
            peer.paused = true;
            up.heartbeat.suspend(now);
            return None;
        }
        if peer.outbound.unwritten() > MAX_COMMAND_BYTES && peer.outbound.messages() == 0 {
            // The peer makes us talk and does not listen. Its next turn comes once it has.
            return None;
        }
        let limit = peer.recv_hwm.saturating_mul(READ_PER_MESSAGE);
        let limit = limit.clamp(SMALL_READ, self.read_share);
        let mut asked = Asked::default();
        let result = peer.inbound.read(
            &up.stream,
            &mut up.scanner,
            &mut self.peers.pool,
            limit,
            &mut |command| asked.handle(id, command, pattern),
        );
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(ReadError::Protocol(error)) => return Some(Err(DisconnectCause::Protocol(error))),
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                up.readable = false;
                up.hung_up = false;
                return None;
            }
            Err(ReadError::Io(error)) => return Some(Err(DisconnectCause::from(&error))),
        };
        if outcome.eof {
            return Some(Err(DisconnectCause::PeerClosed));
        }
        up.readable = outcome.more || up.hung_up;
        up.heartbeat.received(now);
        if let Some(ttl) = asked.ttl {
            up.heartbeat.peer_ttl(ttl, now);
        }
        peer.counters.bytes_in += outcome.bytes as u64;
        peer.counters.messages_in += outcome.messages as u64;
        if self.peers.conflate {
            let replaced = peer.inbound.keep_newest(&mut self.peers.pool);
            peer.counters.dropped_conflated += replaced as u64;
        }
        if !asked.pongs.is_empty() {
            self.peers.send_commands(id, &asked.pongs);
        }
        self.arm_heartbeat(id);
        Some(Ok(outcome))
    }

    /// Bytes that came in one piece with the end of the handshake.
    pub(crate) fn preload(
        &mut self,
        id: PeerId,
        bytes: &[u8],
        now: Instant,
        pattern: &mut dyn Pattern,
    ) {
        let Some(peer) = self.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        let mut asked = Asked::default();
        let preloaded = peer.inbound.preload(
            bytes,
            &mut up.scanner,
            &mut self.peers.pool,
            &mut |command| asked.handle(id, command, pattern),
        );
        match preloaded {
            Ok(messages) => {
                if let Some(ttl) = asked.ttl {
                    up.heartbeat.peer_ttl(ttl, now);
                }
                peer.counters.messages_in += messages as u64;
                peer.counters.bytes_in += bytes.len() as u64;
                self.peers.send_commands(id, &asked.pongs);
                self.arm_heartbeat(id);
                self.announce(id, pattern);
            }
            Err(error) => self.connection_lost(id, DisconnectCause::Protocol(error), pattern),
        }
    }

    /// A message has been queued: write it, or see to it that somebody will. Or not `queued`, as it found no room.
    #[inline]
    pub(crate) fn pace(&mut self, pattern: &mut dyn Pattern, queued: bool) {
        if !queued {
            return self.pacer.held_up();
        }
        if self.peers.dirty.is_empty() {
            return;
        }
        if self.gathering.is_some() && !self.peers.due {
            if !self.peers.gathered.is_multiple_of(CLOCK_EVERY) {
                return;
            }
            return self.look_at_clock(pattern);
        }
        self.pace_slowly(pattern);
    }

    fn look_at_clock(&mut self, pattern: &mut dyn Pattern) {
        let now = Instant::now();
        self.pacer.sending(now);
        if let Some(since) = self.gathering
            && now.saturating_duration_since(since) > self.gather_at_most
        {
            self.write_gathered(pattern);
        }
    }

    fn pace_slowly(&mut self, pattern: &mut dyn Pattern) {
        if self.peers.due {
            return self.write_gathered(pattern);
        }
        let now = Instant::now();
        if self.pacer.write_now(now) {
            let peers = self.peers.dirty.len();
            self.write_dirty(pattern);
            self.pacer.wrote(now, Instant::now(), peers);
        } else {
            self.gathering = Some(now);
            let writes = self.flushes.load(Ordering::Relaxed);
            self.caretaker.gathering(self.id, writes);
        }
    }

    /// The caller writes what has gathered.
    fn write_gathered(&mut self, pattern: &mut dyn Pattern) {
        let started = Instant::now();
        let peers = u32::try_from(self.peers.dirty.len()).unwrap_or(u32::MAX);
        self.write_dirty(pattern);
        self.flushes.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let took = now.saturating_duration_since(started);
        // A sender that lost its core in the middle of it has learnt nothing about what writing takes.
        let took = took.min(COST_CAP.saturating_mul(peers));
        self.gather_at_most = took.clamp(GATHER_AT_MOST, GATHER_AT_MOST_EVER);
        self.pacer.sending(now);
        if self.gathering.is_some() {
            // The caretaker goes on watching: one wake-up serves the whole stream.
            self.gathering = Some(now);
        }
    }

    /// Writes to every peer that has something and can take it.
    pub(crate) fn write_dirty(&mut self, pattern: &mut dyn Pattern) {
        self.peers.due = false;
        self.peers.gathered = 0;
        let mut dirty = std::mem::take(&mut self.peers.dirty);
        for id in dirty.drain(..) {
            self.write_peer(id, pattern);
        }
        // Writing may have made others dirty: keep both, and the allocation.
        dirty.append(&mut self.peers.dirty);
        self.peers.dirty = dirty;
    }

    fn write_peer(&mut self, id: PeerId, pattern: &mut dyn Pattern) {
        let Some(peer) = self.peers.slab.get_mut(id) else {
            return;
        };
        peer.dirty = false;
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        if peer.being_written {
            return;
        }
        let was_full = peer.outbound.messages() >= peer.send_hwm;
        up.writable_again = false;
        let before = peer.outbound.unwritten();
        let result = write_all(&up.stream, &mut peer.outbound, &mut self.peers.pool);
        peer.counters.bytes_out += (before - peer.outbound.unwritten()) as u64;
        self.after_write(id, result);
        let Some(peer) = self.peers.slab.get_mut(id) else {
            return;
        };
        if was_full && peer.outbound.messages() < peer.send_hwm {
            pattern.writable(&mut self.peers, id);
        }
    }

    /// Notes how a write ended. A failed one does not end the connection by itself: what the peer sent
    /// before it went may still be unread, and reading to the end will find out the same.
    fn after_write(&mut self, id: PeerId, result: io::Result<()>) {
        let Some(peer) = self.peers.slab.get_mut(id) else {
            return;
        };
        let Link::Up(up) = &mut peer.link else {
            return;
        };
        let Err(error) = result else {
            self.unwritable -= usize::from(!std::mem::replace(&mut up.writable, true));
            return;
        };
        let refused = error.kind() == io::ErrorKind::WouldBlock;
        if refused && std::mem::take(&mut up.writable_again) {
            return;
        }
        self.unwritable += usize::from(std::mem::take(&mut up.writable));
        up.refused_at = peer.outbound.unwritten();
        if refused {
            self.watch_room(id, true);
        } else {
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
            match up.stream.watch(&self.registry, token, interests) {
                Ok(()) => up.watches_room = watch,
                Err(error) => log::warn!("cannot change what a connection is watched for: {error}"),
            }
        }
    }

    /// Whether callers have been writing, or at this rate will, within `soon`.
    pub(crate) fn caller_writes_within(&self, soon: Duration, elapsed: Duration) -> bool {
        let at_this_rate =
            |so_far: usize| so_far as u128 * soon.as_nanos() / elapsed.as_nanos().max(1);
        let dirty = self.peers.dirty.iter();
        let bytes = dirty.filter_map(|&id| self.peers.slab.get(id));
        let bytes = bytes.map(|peer| peer.outbound.unwritten()).max();
        let messages = super::link::unlimited(self.options.send_hwm).min(1_000);
        at_this_rate(self.peers.gathered) >= messages as u128
            || at_this_rate(bytes.unwrap_or_default()) >= WRITE_AT as u128
    }

    /// Whether a caller that sends on and on would not have written yet what gathers since then.
    pub(crate) fn is_too_early(&self, since: Instant) -> bool {
        self.gather_at_most > GATHER_AT_MOST && since.elapsed() < self.gather_at_most * 2
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
            peer.being_written = true;
            up.writable_again = false;
            let buffer = std::mem::take(&mut peer.outbound);
            peer.in_flight = buffer.messages();
            return Some(WriteJob {
                id,
                birth: peer.birth,
                connection: peer.connection,
                stream: Arc::clone(&up.stream),
                offered: buffer.unwritten(),
                messages: peer.in_flight,
                buffer,
                spare: ChunkPool::default(),
            });
        }
        self.peers.gathered = 0;
        self.peers.due = false;
        self.gathering = None;
        None
    }

    /// Puts back what a write without the lock has left over.
    pub(crate) fn end_write(
        &mut self,
        job: WriteJob,
        result: io::Result<()>,
        pattern: &mut dyn Pattern,
    ) {
        let WriteJob {
            id,
            birth,
            connection,
            mut buffer,
            offered,
            messages,
            spare,
            stream,
        } = job;
        self.peers.pool.absorb(spare);
        let peer = self.peers.slab.get_mut(id);
        let Some(peer) = peer.filter(|peer| peer.birth == birth) else {
            let unsent = buffer.drain(&mut self.peers.pool);
            // It was dropped meanwhile, but for this last write.
            if messages > 0 {
                self.bid_farewell(stream, self.farewell_time());
            }
            return self.orphan(unsent, pattern);
        };
        peer.being_written = false;
        let was_full = peer.outbound.messages() + peer.in_flight >= peer.send_hwm;
        peer.in_flight = 0;
        peer.counters.bytes_out += (offered - buffer.unwritten()) as u64;
        let same = peer.connection == connection && matches!(peer.link, Link::Up(_));
        if !same && (matches!(peer.link, Link::Gone) || !pattern.keeps_unsent()) {
            let unsent = buffer.drain(&mut self.peers.pool);
            self.orphan(unsent, pattern);
        } else {
            let pool = &mut self.peers.pool;
            if !same {
                buffer.rewind(pool);
            }
            let later = std::mem::replace(&mut peer.outbound, buffer);
            peer.outbound.append(later, pool);
        }
        if same {
            self.after_write(id, result);
        }
        self.peers.mark_dirty(id);
        if was_full && self.peers.has_room(id) {
            pattern.writable(&mut self.peers, id);
        }
    }

    /// Messages whose connection broke while they were being written, and is not coming back to them.
    fn orphan(&mut self, unsent: Vec<Message>, pattern: &mut dyn Pattern) {
        if !pattern.keeps_unsent() {
            self.peers.past.dropped_disconnect += unsent.len() as u64;
        }
        pattern.orphaned(&mut self.peers, unsent);
    }
}

/// A peer's buffer on its way to the kernel, outside the lock. While it is, the peer is marked
/// `being_written`, so that nobody else writes and the order is kept: not on its next connection either.
pub(crate) struct WriteJob {
    id: PeerId,
    birth: ConnectionId,
    connection: ConnectionId,
    stream: Arc<Stream>,
    buffer: OutBuffer,
    /// Bytes to write at the start, and messages that are done with them.
    offered: usize,
    messages: usize,
    /// Chunks that have come free.
    spare: ChunkPool,
}

impl WriteJob {
    pub(crate) fn run(&mut self) -> io::Result<()> {
        write_all(&self.stream, &mut self.buffer, &mut self.spare)
    }
}

/// Writes until the buffer is empty or the kernel will take no more.
fn write_all(stream: &Stream, buffer: &mut OutBuffer, pool: &mut ChunkPool) -> io::Result<()> {
    while !buffer.is_empty() {
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let count = buffer.slices(&mut slices);
        let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        let written = match slices.get(..count) {
            Some([single]) => stream.write(single)?,
            Some(many) => stream.write_vectored(many)?,
            None => 0,
        };
        buffer.advance(written, pool);
        if written < offered {
            // A short write means that the kernel's buffer is full: asking again would only tell the same.
            return Err(io::ErrorKind::WouldBlock.into());
        }
    }
    Ok(())
}

/// What the commands of one read ask for.
#[derive(Default)]
struct Asked {
    pongs: Vec<u8>,
    ttl: Option<Duration>,
}

impl Asked {
    fn handle(
        &mut self,
        id: PeerId,
        command: Command<'_>,
        pattern: &mut dyn Pattern,
    ) -> Result<(), ProtocolError> {
        match command {
            Command::Ping { ttl, context } => {
                self.ttl = Some(ttl);
                put_pong(&mut self.pongs, context);
            }
            Command::Subscribe(topic) => return pattern.topic(id, topic, true),
            Command::Cancel(topic) => return pattern.topic(id, topic, false),
            // Nothing to do: PONG counts as life like any byte, the others have no place after the
            // handshake and are passed over, as libzmq does.
            Command::Pong { .. }
            | Command::Ready { .. }
            | Command::Error { .. }
            | Command::Unknown(_) => {}
        }
        Ok(())
    }
}

impl Connected {
    /// Empties the kernel's receive buffer before the connection is closed by us. Closing over unread
    /// bytes makes TCP send a reset, which can destroy what we have just sent and the peer not yet read.
    pub(crate) fn discard_input(&self) {
        // To the end, to an error, or enough: in each case there is no more to do.
        let _ = self.stream.discard(WRITE_AT / SMALL_READ, SMALL_READ);
    }
}
