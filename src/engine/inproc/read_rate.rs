//! How often the reader of an inproc pair looks into the channel.
//!
//! A reader that is faster than its writer reads every message or two, and then the two spend their time moving
//! the channel's lock and its memory back and forth between their cores. In a stream of messages, a reader
//! that got only a few in its last read waits for a microsecond or two before the next: that took a stream of small
//! messages from 19 to 32 M/s. Requests and replies are no such stream, since the read after each message finds nothing: nobody
//! waits there.
//!
//! A stream of which each read gets many messages is given a lane past the channel's lock, by which they come at 41 M/s.

/// After so many reads in a row that got something it is a stream.
const STREAM: u32 = 4;

/// After a read that got so many messages the reader does not wait.
const ENOUGH: usize = 64;

/// So many messages in each read make a stream dense.
const DENSE: usize = 16;

/// How long the reader waits, in rounds of a spin loop: one or two microseconds.
const PAUSE: u32 = 120;

/// So often it waits again if nothing has come.
const PAUSES: u32 = 4;

/// What the last reads got. See the module.
#[derive(Debug, Default)]
pub(crate) struct ReadRate {
    /// Reads in a row that got something.
    successes: u32,
    /// Messages that the last one got.
    last: usize,
    /// The stream has been dense for so many reads in a row.
    was_dense: bool,
}

impl ReadRate {
    /// Waits before the next read, if that is likely to pay; again for as long while there is `nothing`.
    #[inline]
    pub(crate) fn pause(&self, nothing: impl Fn() -> bool) {
        if self.pauses() {
            for _ in 0..PAUSES {
                (0..PAUSE).for_each(|_| std::hint::spin_loop());
                if !nothing() {
                    break;
                }
            }
        }
    }

    #[inline]
    fn pauses(&self) -> bool {
        self.successes >= STREAM && self.last < ENOUGH
    }

    /// Whether messages come in a stream that is worth a lane. A single burst is not.
    #[inline]
    pub(crate) fn is_dense(&self) -> bool {
        self.was_dense && self.last >= DENSE
    }

    /// Notes how many messages a read has got.
    #[inline]
    pub(crate) fn record(&mut self, messages: usize) {
        self.successes = match messages {
            0 => 0,
            _ => self.successes.saturating_add(1),
        };
        self.last = messages;
        self.was_dense |= self.successes >= STREAM && messages >= DENSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_in_a_stream_of_small_reads_the_reader_waits() {
        let mut rate = ReadRate::default();
        for _ in 0..100 {
            rate.record(1);
            assert!(
                !rate.pauses(),
                "an answer is taken, and then nothing is found"
            );
            rate.record(0);
        }
        (0..STREAM).for_each(|_| rate.record(2));
        assert!(rate.pauses());
        rate.record(ENOUGH);
        assert!(!rate.pauses(), "a big read");
        rate.record(3);
        assert!(rate.pauses());
        rate.record(0);
        assert!(!rate.pauses(), "the end of the stream");
    }

    #[test]
    fn a_stream_is_dense_after_some_reads_in_a_row_and_then_at_once() {
        let mut rate = ReadRate::default();
        (1..STREAM).for_each(|_| rate.record(DENSE));
        assert!(!rate.is_dense(), "not yet in a row");
        rate.record(DENSE - 1);
        assert!(!rate.is_dense(), "not dense");
        rate.record(DENSE);
        assert!(rate.is_dense());
        rate.record(0);
        assert!(!rate.is_dense());
        rate.record(DENSE);
        assert!(rate.is_dense(), "once known, at once");
    }
}
