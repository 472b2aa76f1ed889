//! Goes through the bytes of a segment, record by record, and over damaged places. Any bytes will do.

use super::record::{ALIGN, Bad, HEADER, Record, decode};

/// What a scan comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// A record, and where.
    Record(usize, Record<'a>),
    /// Bytes that are no record, with one behind them.
    Hole(usize, usize),
    /// There is no record here or behind. `torn`: there was something that began like one, or anything at all where there should
    /// be zeros.
    End { at: usize, torn: bool },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    bytes: &'a [u8],
    seed: u32,
    at: usize,
    /// Behind the records there are zeros, unless something went wrong.
    fresh: bool,
    /// What looking for records behind damaged places may cost, in bytes that are checked: bytes that someone made to look like
    /// the headers of ever other long records must not hold us up.
    budget: usize,
}

/// How often each byte may be checked, on average, when a record is looked for behind a damaged place.
const EFFORT: usize = 16;

impl<'a> Scan<'a> {
    /// Of records from `at` on, which is a multiple of [`ALIGN`].
    pub(crate) fn new(bytes: &'a [u8], seed: u32, at: usize, fresh: bool) -> Scan<'a> {
        let budget = bytes.len().saturating_mul(EFFORT).max(1 << 16);
        Scan {
            bytes,
            seed,
            at,
            fresh,
            budget,
        }
    }

    /// The next thing. After the end, the end again.
    pub(crate) fn next(&mut self) -> Found<'a> {
        let from = self.at;
        let rest = self.bytes.get(from..).unwrap_or_default();
        match decode(rest, self.seed) {
            Ok(record) => {
                self.at += record.len();
                Found::Record(from, record)
            }
            Err(bad) => match self.search(from + ALIGN) {
                Some(found) => {
                    self.at = found;
                    Found::Hole(from, found)
                }
                None => Found::End {
                    at: from,
                    torn: bad != Bad::Header
                        || self.fresh && leading_zeros(rest) < rest.len()
                        || self.budget == 0,
                },
            },
        }
    }

    /// The next place where a record begins.
    fn search(&mut self, from: usize) -> Option<usize> {
        let mut at = from;
        while let Some(rest) = self.bytes.get(at..)
            && rest.len() >= HEADER
        {
            // No header begins with zeros, but for one in 2^32 of those without a body, and most of what is searched is zeros.
            let zeros = leading_zeros(rest) / ALIGN * ALIGN;
            if zeros > 0 {
                at += zeros;
                continue;
            }
            let cost = match decode(rest, self.seed) {
                Ok(_) => return Some(at),
                Err(Bad::Header | Bad::Short(_)) => HEADER,
                Err(Bad::Body) => super::record::padded(super::record::u32_at(rest, 4) as usize),
            };
            self.budget = self.budget.saturating_sub(cost);
            if self.budget == 0 {
                return None;
            }
            at += ALIGN;
        }
        None
    }
}

/// How many zeros there are in front. Whole blocks are compared at once, which is quick in builds without optimisation, too: a segment is made of
/// zeros, and a program that was killed has left one that is hardly used.
fn leading_zeros(bytes: &[u8]) -> usize {
    static ZEROS: [u8; 4096] = [0; 4096];
    let blocks = bytes.chunks_exact(ZEROS.len());
    let blocks = blocks.take_while(|block| *block == ZEROS).count();
    let (_, rest) = bytes.split_at(blocks * ZEROS.len());
    blocks * ZEROS.len() + rest.iter().take_while(|byte| **byte == 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_counted_to_the_first_other_byte() {
        for len in [0, 1, 4095, 4096, 4097, 8192, 10_000] {
            let mut bytes = vec![0; len];
            assert_eq!(leading_zeros(&bytes), len);
            for at in [0, 1, 4095, 4096, 8191, 9_999] {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = 1;
                    assert_eq!(leading_zeros(&bytes), at, "of {len}");
                    bytes[at] = 0;
                }
            }
        }
    }
}
