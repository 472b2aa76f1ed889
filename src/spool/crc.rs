//! CRC-32C (Castagnoli), by the processor's instruction where there is one.

#![allow(unsafe_code)]

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// `TABLES[n][b]`: the checksum of the byte `b` with `n` zero bytes behind it.
static TABLES: [[u32; 256]; 8] = tables();

/// The checksum of `bytes`, going on from that of what is before them: `crc32c(crc32c(0, a), b)` is that of `a` and `b` together.
#[inline]
pub(crate) fn crc32c(before: u32, bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instruction.
        return !unsafe { by_instruction(!before, bytes) };
    }
    !by_table(!before, bytes)
}

/// The two checksums of a record. The first is that of what is before it in the header, which lies there as these words; going on from it, the second is
/// that of its own lower half, of the body, and of zeros up to a multiple of 8 bytes.
#[inline]
pub(crate) fn of_record(seed: u32, words: (u64, u64, u16), body: &[u8]) -> (u32, u32) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instruction.
        return unsafe { of_record_by_instruction(seed, words, body) };
    }
    of_record_by_table(seed, words, body)
}

/// What lies in registers is not read back from memory.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn of_record_by_instruction(seed: u32, words: (u64, u64, u16), body: &[u8]) -> (u32, u32) {
    use std::arch::x86_64::{_mm_crc32_u16, _mm_crc32_u64};
    let wide = _mm_crc32_u64(u64::from(!seed), words.0);
    let wide = _mm_crc32_u64(wide, words.1);
    let head = !_mm_crc32_u16(wide as u32, words.2);
    let mut wide = u64::from(_mm_crc32_u16(!head, head as u16));
    let (whole, rest) = body.as_chunks::<8>();
    for word in whole {
        wide = _mm_crc32_u64(wide, u64::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let last = match body.last_chunk::<8>() {
            Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * rest.len()),
            None => rest
                .iter()
                .rev()
                .fold(0, |last, byte| last << 8 | u64::from(*byte)),
        };
        wide = _mm_crc32_u64(wide, last);
    }
    (head, !(wide as u32))
}

fn of_record_by_table(seed: u32, words: (u64, u64, u16), body: &[u8]) -> (u32, u32) {
    let head = [words.0, words.1]
        .into_iter()
        .fold(seed, |crc, word| !by_table(!crc, &word.to_le_bytes()));
    let head = !by_table(!head, &words.2.to_le_bytes());
    let state = by_table(!head, &(head as u16).to_le_bytes());
    let state = by_table(state, body);
    let padding = body.len().next_multiple_of(8) - body.len();
    (head, !by_table(state, &[0; 8][..padding]))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn by_instruction(mut state: u32, bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u64};
    let (words, rest) = bytes.as_chunks::<8>();
    let mut wide = u64::from(state);
    for word in words {
        wide = _mm_crc32_u64(wide, u64::from_le_bytes(*word));
    }
    // The instruction clears the upper half.
    state = wide as u32;
    for byte in rest {
        state = _mm_crc32_u8(state, *byte);
    }
    state
}

fn by_table(mut state: u32, bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word) ^ u64::from(state);
        let parts = word.to_le_bytes();
        state = 0;
        for (part, table) in parts.into_iter().zip(TABLES.iter().rev()) {
            state ^= table[usize::from(part)];
        }
    }
    for byte in rest {
        state = TABLES[0][usize::from(state as u8 ^ byte)] ^ (state >> 8);
    }
    state
}

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut state = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            state = if state & 1 == 1 {
                (state >> 1) ^ POLYNOMIAL
            } else {
                state >> 1
            };
            bit += 1;
        }
        tables[0][byte] = state;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let state = tables[zeros - 1][byte];
            tables[zeros][byte] = (state >> 8) ^ tables[0][(state & 0xff) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4.
    #[test]
    fn checksums_are_those_of_the_standard() {
        let ascending: Vec<u8> = (0..32).collect();
        for (bytes, expected) in [
            (&b"123456789"[..], 0xe306_9283),
            (&[0; 32][..], 0x8a91_36aa),
            (&[0xff; 32][..], 0x62a8_ab43),
            (&ascending[..], 0x46dd_794e),
        ] {
            assert_eq!(crc32c(0, bytes), expected);
            assert_eq!(!by_table(!0, bytes), expected);
        }
    }

    #[test]
    fn both_ways_agree_and_go_on_from_any_byte() {
        let bytes: Vec<u8> = (0..300_u32).map(|n| ((n * 131) >> 3) as u8).collect();
        for at in 0..bytes.len() {
            let (left, right) = bytes.split_at(at);
            let expected = crc32c(0, &bytes);
            assert_eq!(crc32c(crc32c(0, left), right), expected);
            assert_eq!(!by_table(by_table(!0, left), right), expected);
        }
    }

    #[test]
    fn both_ways_agree_on_records() {
        let words = (0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, 0xface);
        let body: Vec<u8> = (1..50).collect();
        for len in 0..body.len() {
            let body = &body[..len];
            let expected = of_record_by_table(7, words, body);
            assert_eq!(of_record(7, words, body), expected, "{len} bytes");
        }
    }
}
