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
}
