//! How often the reader of an inproc pair looks into the channel.
//!
//! A reader that is faster than its writer comes back for every message or two, and then the two spend their time handing
//! the channel's lock and its memory back and forth between their cores. Once messages have kept coming, a reader
//! that found only a few lets more gather first, for a microsecond or two: that took a stream of small
//! messages from 19 to 32 M/s. Where one message answers another there is no such row of finds, and no pause.
//!
//! A stream that brings many at each visit is given a lane past the channel's lock, from which they come at 41 M/s.

/// Visits in a row that found something, after which it is a stream.
const STREAM: u32 = 4;

/// So many messages are worth a visit.
const WORTH: usize = 64;

/// So many messages at a visit make a stream dense.
const DENSE: usize = 16;

/// How long more may gather, in turns of a spin loop: one or two microseconds.
const PAUSE: u32 = 120;

/// So often, while nothing comes.
const PAUSES: u32 = 4;

/// What the last visits found. See the module.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// Visits in a row that found something.
    finds: u32,
    /// Messages that the last one found.
    last: usize,
    /// There has been a row of dense finds.
    streamed: bool,
}

impl Pulse {
    /// Lets messages gather, if that seems right, before the next visit: a little longer while there is `nothing`.
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
        self.finds >= STREAM && self.last < WORTH
    }

    /// Messages come in a stream that is worth a lane of its own. A burst by itself does not make one.
    #[inline]
    pub(crate) fn streams(&self) -> bool {
        self.streamed && self.last >= DENSE
    }

    /// What the visit has found.
    #[inline]
    pub(crate) fn found(&mut self, messages: usize) {
        self.finds = match messages {
            0 => 0,
            _ => self.finds.saturating_add(1),
        };
        self.last = messages;
        self.streamed |= self.finds >= STREAM && messages >= DENSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_stream_of_small_finds_is_paused_for() {
        let mut pulse = Pulse::default();
        for _ in 0..100 {
            pulse.found(1);
            assert!(
                !pulse.pauses(),
                "an answer is taken, and then nothing is found"
            );
            pulse.found(0);
        }
        (0..STREAM).for_each(|_| pulse.found(2));
        assert!(pulse.pauses());
        pulse.found(WORTH);
        assert!(!pulse.pauses(), "a big find");
        pulse.found(3);
        assert!(pulse.pauses());
        pulse.found(0);
        assert!(!pulse.pauses(), "the end of the stream");
    }

    #[test]
    fn a_stream_is_known_after_a_row_of_dense_finds_and_then_at_once() {
        let mut pulse = Pulse::default();
        (1..STREAM).for_each(|_| pulse.found(DENSE));
        assert!(!pulse.streams(), "not yet in a row");
        pulse.found(DENSE - 1);
        assert!(!pulse.streams(), "not dense");
        pulse.found(DENSE);
        assert!(pulse.streams());
        pulse.found(0);
        assert!(!pulse.streams());
        pulse.found(DENSE);
        assert!(pulse.streams(), "once known, at once");
    }
}
