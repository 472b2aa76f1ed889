//! A spool as the log of a publisher: nothing is settled one by one; the oldest segments go as a whole. For one that keeps the newest of each topic alone see
//! `cleaning`, too.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::commit::Level;
use super::error::SpoolError;
use super::latest::Extent;
use super::reading::{Reader, Stored};
use super::record::{
    self, Kind, first_frame, get_message, message_flags, message_len, put_message,
};
use super::segment::HEADER;
use super::state::{Need, State};
use super::store::{NOTE_LEN, OpenSpool, PENDING_MAX, now};
use crate::Message;
use crate::sync::lock;

/// Reads a log from some message on.
#[derive(Debug)]
pub(crate) struct LogReader(Reader);

impl LogReader {
    pub(crate) fn new() -> LogReader {
        LogReader(Reader::ahead())
    }

    /// For one message.
    pub(crate) fn one() -> LogReader {
        LogReader(Reader::one())
    }
}

/// What is done with messages that are read one after the other: by their number, their first frame, and the whole message where that is asked for. Says whether
/// to go on.
pub(crate) type EachMessage<'a> = dyn FnMut(u64, &[u8], &dyn Fn() -> Option<Message>) -> bool + 'a;

impl OpenSpool {
    /// Appends a message of one frame, if that takes no more than memory. `None`: [`make_room`](Self::make_room) comes first.
    pub(crate) fn append_slice_now(&self, body: &[u8]) -> Result<Option<u64>, SpoolError> {
        self.append_now((body.len(), 0), body, |out| out.extend_from_slice(body))
    }

    /// The same for any message.
    pub(crate) fn append_message_now(&self, message: &Message) -> Result<Option<u64>, SpoolError> {
        let form = (message_len(message), message_flags(message));
        self.append_now(form, message.first(), |out| put_message(out, message))
    }

    fn append_now(
        &self,
        (len, flags): (usize, u8),
        topic: &[u8],
        put: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Option<u64>, SpoolError> {
        if len > u32::MAX as usize - 4096 {
            return Err(SpoolError::TooLarge { size: len as u64 });
        }
        self.check_writable()?;
        let time = now();
        let mut state = lock(&self.state);
        if let Some(fault) = &state.fault {
            return Err(fault.clone());
        }
        let wanted = NOTE_LEN + record::padded(len);
        let has_room = state.fits(wanted) && state.is_timely(time);
        if state.pending >= PENDING_MAX
            || !has_room && !self.roll_at(&mut state, (wanted, Need::Log), time)
        {
            return Ok(None);
        }
        let seq = state.next_seq;
        let at = state.put((Kind::Message, flags), seq, time, put);
        let State { index, latest, .. } = &mut *state;
        index.push(seq, at, false);
        if let Some(latest) = latest {
            let len = record::padded(len) as u64;
            if let Some(old) = latest.push(seq, topic, Extent { len, time }) {
                index.settle(old, old);
            }
        }
        state.next_seq += 1;
        Ok(Some(seq))
    }

    /// Whether a message of this length would be appended without waiting.
    pub(crate) fn has_room_now(&self, len: usize) -> bool {
        let state = lock(&self.state);
        let wanted = NOTE_LEN + record::padded(len);
        let has_room = state.fits(wanted) && state.is_timely(now());
        let room = has_room || state.has_spare((HEADER + wanted) as u64, Need::Log);
        state.fault.is_some() || state.pending < PENDING_MAX && room
    }

    /// Makes what has been appended as safe as [`Sync`](super::Sync) says, and room for a message of this length.
    pub(crate) fn make_room(&self, len: usize) -> Result<(), SpoolError> {
        self.check_writable()?;
        self.reach(self.level(), u64::MAX)?;
        let wanted = NOTE_LEN + record::padded(len);
        let time = now();
        let (fits, is_timely) = {
            let state = lock(&self.state);
            (state.fits(wanted), state.is_timely(time))
        };
        if fits && is_timely {
            return Ok(());
        }
        let made = self.make_spare((HEADER + wanted) as u64, Need::Log);
        if made.is_err() && fits {
            lock(&self.state).stay(time);
            return Ok(());
        }
        made
    }

    /// Whether something was appended that is not yet as safe as it is to be.
    pub(crate) fn is_uncommitted(&self) -> bool {
        let (pending, next) = {
            let state = lock(&self.state);
            (state.pending > 0, state.next_seq)
        };
        pending || self.level() == Level::Synced && self.committed() < next
    }

    /// The first message from this one on, by its number.
    pub(crate) fn next_in_log(&self, from: u64) -> Option<u64> {
        self.next_unsettled(from)
    }

    /// Goes on reading behind the message that was read last, as far as that takes no look at the index. Messages that follow have the numbers that follow: one with another number ends it.
    pub(crate) fn read_on(
        &self,
        reader: &mut LogReader,
        mut next: u64,
        each: &mut EachMessage<'_>,
    ) {
        while let Some((seq, flags, body)) = reader.0.next_at_hand() {
            let first = first_frame(flags, body);
            let Some(first) = first.filter(|_| seq == next) else {
                // It is read again, in the long way.
                reader.0 = Reader::ahead();
                return;
            };
            if !each(seq, first, &|| get_message(flags, body)) {
                return;
            }
            next += 1;
        }
    }

    /// A message. `None`: it has gone meanwhile.
    pub(crate) fn read_in_log(
        &self,
        reader: &mut LogReader,
        seq: u64,
    ) -> Result<Option<Stored>, SpoolError> {
        self.read_by(&mut reader.0, seq)
    }

    /// The number before which messages may go: the oldest segments, as long as those that stay have `keep` bytes, and those whose messages are all
    /// older than `keep_for`. And when there will be more, if time does that.
    pub(crate) fn outdated(
        &self,
        keep: Option<u64>,
        keep_for: Option<Duration>,
    ) -> (Option<u64>, Option<Duration>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let state = lock(&self.state);
        if let Some(latest) = &state.latest {
            return self.outdated_of(latest, keep, keep_for);
        }
        let segments = &state.index.segments;
        let mut left: u64 = segments.iter().map(|segment| segment.end).sum();
        let mut upto = None;
        let mut again = None;
        for (at, (old, newer)) in segments.iter().zip(segments.iter().skip(1)).enumerate() {
            left -= old.end;
            let large = keep.is_some_and(|keep| left >= keep);
            // All of it was there when the next one was begun. If that was in the future, the clock was wrong, and one behind tells.
            let mut begun = segments
                .range(at + 1..)
                .map(|segment| segment.file.base_time);
            let begun = begun.find(|begun| Duration::from_millis(*begun) <= now);
            let begun = Duration::from_millis(begun.unwrap_or(newer.file.base_time));
            let left_for = keep_for.map(|time| begun.saturating_add(time).saturating_sub(now));
            if !large && left_for != Some(Duration::ZERO) {
                again = left_for;
                break;
            }
            if old.live_count > 0 {
                upto = Some(newer.first_seq);
            }
        }
        (upto, again)
    }
}
