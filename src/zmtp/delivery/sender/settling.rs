//! What receivers say of messages.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::super::DeliveryError;
use super::super::wire::{self, Settled};
use super::{DeadLine, Fate, Sender};

impl<T> Sender<T> {
    /// A SETTLE has come. An error ends the connection; what was settled before it counts.
    pub(crate) fn settle(
        &mut self,
        connection: usize,
        data: &[u8],
        now: Instant,
    ) -> Result<(), DeliveryError> {
        let settled = self.settle_all(connection, data, now);
        self.rank(connection);
        settled
    }

    fn settle_all(
        &mut self,
        connection: usize,
        data: &[u8],
        now: Instant,
    ) -> Result<(), DeliveryError> {
        match wire::parse_settle(data)? {
            Settled::Done(ranges) => {
                for (first, length) in ranges {
                    self.settle_range(connection, first, length)?;
                }
            }
            Settled::Retry(tag, delay) => {
                let key = self.take_out(connection, tag)?;
                if self.delivered(key, false) && !self.is_over(key) {
                    self.delay(key, delay, now);
                }
            }
            Settled::Revoked(tag) => {
                let key = self.take_out(connection, tag)?;
                if !self.is_over(key) {
                    // It has not been asked for.
                    self.give_to_others(vec![key]);
                    return Err(DeliveryError::Unasked { command: "SETTLE" });
                }
            }
            Settled::Rejected(tag, reason) => {
                let key = self.take_out(connection, tag)?;
                self.store.add_past(key, 1, 0);
                let reason = String::from_utf8_lossy(reason).into_owned();
                self.finish(key, Fate::Dead(DeadLine::Rejected(reason)));
            }
        }
        Ok(())
    }

    fn settle_range(
        &mut self,
        connection: usize,
        first: u64,
        length: u64,
    ) -> Result<(), DeliveryError> {
        let line = self.lines.get(connection).and_then(Option::as_ref);
        let (next_tag, out) = line.map_or((0, 0), |line| (line.next_tag, line.out.len()));
        // The sum was looked at as it was read.
        if first.saturating_add(length) > next_tag {
            let tag = first.max(next_tag);
            return Err(DeliveryError::NeverSent { tag });
        }
        if length > out as u64 {
            return Err(DeliveryError::Repeated { tag: first });
        }
        let (mut tag, end) = (first, first + length);
        while tag < end {
            let line = self.lines.get_mut(connection).and_then(Option::as_mut);
            let run = line.and_then(|line| {
                let run = line.out.remove_run(tag, end - tag);
                line.alone &= !line.out.is_empty();
                run
            });
            let (key, count) = run.ok_or(DeliveryError::Repeated { tag })?;
            self.settle_run(key, count);
            tag += count as u64;
        }
        Ok(())
    }

    /// So many messages are settled, whose keys follow each other.
    fn settle_run(&mut self, mut key: usize, count: usize) {
        let end = key + count;
        while key < end {
            let settled = &mut self.settled;
            let alike = match self.order.is_empty() {
                true => self.store.remove_run(key, end - key, |first, count| {
                    super::note_settled(settled, first, count);
                }),
                false => 0,
            };
            self.counts.settled += alike as u64;
            key += alike;
            if alike == 0 {
                self.finish(key, Fate::Settled);
                key += 1;
            }
        }
    }

    /// The message with this tag is out no longer.
    fn take_out(&mut self, connection: usize, tag: u64) -> Result<usize, DeliveryError> {
        let line = self.lines.get_mut(connection).and_then(Option::as_mut);
        let line = line.ok_or(DeliveryError::NeverSent { tag })?;
        if tag >= line.next_tag {
            return Err(DeliveryError::NeverSent { tag });
        }
        let key = line.out.remove(tag);
        let key = key.ok_or(DeliveryError::Repeated { tag })?;
        line.alone &= !line.out.is_empty();
        Ok(key)
    }

    fn delay(&mut self, key: usize, asked: Option<u64>, now: Instant) {
        let Some(number) = self.store.number(key) else {
            return;
        };
        let deliveries = self.store.deliveries(key);
        let delay = match asked {
            Some(delay) => Duration::from_millis(delay),
            None => self.backoff(deliveries),
        };
        // What is further away than time goes waits for as long as one can say.
        let at = now
            .checked_add(delay)
            .unwrap_or(now + Duration::from_secs(u32::MAX.into()));
        self.delayed.push(Reverse((at, number, key)));
        self.note_return(key, Some(at));
    }

    /// The wait after so many deliveries: a random part of its upper half.
    fn backoff(&mut self, deliveries: u32) -> Duration {
        let (first, longest) = self.policy.backoff;
        let doubled = first.saturating_mul(1 << deliveries.saturating_sub(1).min(20));
        let half = doubled.min(longest) / 2;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        half + half.mul_f64((self.random >> 11) as f64 / (1_u64 << 53) as f64)
    }
}
