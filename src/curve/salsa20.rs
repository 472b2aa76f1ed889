//! Salsa20 (D. J. Bernstein), for several boxes at a time.
//!
//! A box of a short message takes two or three blocks, and a processor computes sixteen side by side in little more time than one. The crate that
//! all other primitives are of knows one box at a time. This is written once for vectors of any width; which the processor has, is
//! found out by the crate `fearless_simd`.
//!
//! There are additions, rotations and XOR of words here, and nothing that depends on a secret: no branch, and no index.

use fearless_simd::prelude::*;
use fearless_simd::{Level, Simd, dispatch, u32x4};
use zeroize::Zeroizing;

/// The words of a block.
pub(super) type Block = [u32; 16];

/// "expand 32-byte k".
const SIGMA: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// The shortest vectors are of so many words, and the longest.
pub(super) const FEW: usize = 4;
pub(super) const MANY: usize = 16;

/// The first `per_nonce` blocks of each of the nonces that are counters from `first` on, most significant byte first. `out` is of [`FEW`] blocks, or of a
/// multiple of [`MANY`].
pub(super) fn blocks(
    level: Level,
    key: &[u32; 8],
    first: u64,
    per_nonce: usize,
    out: &mut [Block],
) {
    if out.len() == FEW {
        // Short vectors are ready sooner.
        dispatch!(level, simd => fill::<_, u32x4<_>>(simd, key, first, per_nonce, out));
    } else {
        dispatch!(level, simd => fill_wide(simd, key, first, per_nonce, out));
    }
}

/// Encrypts or decrypts a text where it is, with the stream of a nonce that is a counter, from one of its blocks on.
pub(super) fn xor(level: Level, key: &[u32; 8], nonce: u64, block: u64, text: &mut [u8]) {
    dispatch!(level, simd => xor_wide(simd, key, nonce, block, text));
}

#[inline(always)]
fn fill_wide<S: Simd>(simd: S, key: &[u32; 8], first: u64, per_nonce: usize, out: &mut [Block]) {
    fill::<S, S::u32s>(simd, key, first, per_nonce, out);
}

#[inline(always)]
fn fill<S: Simd, V: SimdInt<S, Element = u32>>(
    simd: S,
    key: &[u32; 8],
    first: u64,
    per_nonce: usize,
    out: &mut [Block],
) {
    let lanes = V::LEN;
    // The nonce and the number of the block within it, of the next lane.
    let (mut nonce, mut block) = (first, 0);
    for out in out.chunks_exact_mut(lanes) {
        let mut places = [[0; MANY]; 4];
        let [lows, highs, blocks, _] = &mut places;
        for ((low, high), number) in lows.iter_mut().zip(highs).zip(blocks).take(lanes) {
            let bytes = nonce.swap_bytes();
            *low = bytes as u32;
            *high = (bytes >> 32) as u32;
            *number = block;
            block += 1;
            if block as usize >= per_nonce {
                (nonce, block) = (nonce.wrapping_add(1), 0);
            }
        }
        let words = out.as_flattened_mut().chunks_exact_mut(lanes);
        for (words, x) in words.zip(lane_set::<S, V>(simd, key, &places)) {
            x.store_slice(words);
        }
    }
}

#[inline(always)]
fn xor_wide<S: Simd>(simd: S, key: &[u32; 8], nonce: u64, mut block: u64, text: &mut [u8]) {
    let lanes = S::u32s::LEN;
    let set = lanes * size_of::<Block>();
    let whole = match cfg!(target_endian = "little") {
        true => text.len() - text.len() % set,
        // The words of a vector are no bytes of the stream there.
        false => 0,
    };
    let (whole, rest) = text.split_at_mut(whole);
    for text in whole.chunks_exact_mut(set) {
        let x = lane_set::<S, S::u32s>(simd, key, &places(nonce, block));
        block = block.wrapping_add(lanes as u64);
        for (text, x) in text.chunks_exact_mut(4 * lanes).zip(x) {
            let bytes: S::u8s = x.bitcast();
            (bytes ^ S::u8s::from_slice(simd, text)).store_slice(text);
        }
    }
    for text in rest.chunks_mut(set) {
        let mut stream = Zeroizing::new([[0; 16]; MANY]);
        let x = lane_set::<S, S::u32s>(simd, key, &places(nonce, block));
        block = block.wrapping_add(lanes as u64);
        let words = stream.as_flattened_mut().chunks_exact_mut(lanes);
        for (words, x) in words.zip(x) {
            x.store_slice(words);
        }
        xor_words(text, stream.as_flattened());
    }
}

/// With words that are bytes, the least significant first. There are enough of them.
pub(super) fn xor_words(text: &mut [u8], stream: &[u32]) {
    let (words, rest) = text.as_chunks_mut();
    for (bytes, word) in words.iter_mut().zip(stream) {
        *bytes = (u32::from_le_bytes(*bytes) ^ word).to_le_bytes();
    }
    let last = stream
        .get(words.len())
        .map_or([0; 4], |word| word.to_le_bytes());
    for (byte, with) in rest.iter_mut().zip(last) {
        *byte ^= with;
    }
}

/// For [`lane_set`]: the blocks of one nonce from this one on. No closure, as vectors are as fast as they can be only in functions that become part of the
/// one that is compiled for them.
#[inline(always)]
fn places(nonce: u64, first: u64) -> [[u32; MANY]; 4] {
    let nonce = nonce.swap_bytes();
    let mut places = [
        [nonce as u32; MANY],
        [(nonce >> 32) as u32; MANY],
        [0; MANY],
        [0; MANY],
    ];
    let [_, _, blocks, blocks_high] = &mut places;
    for (lane, (low, high)) in blocks.iter_mut().zip(blocks_high).enumerate() {
        let block = first.wrapping_add(lane as u64);
        *low = block as u32;
        *high = (block >> 32) as u32;
    }
    places
}

/// As many blocks as there are lanes, one after the other: nonces and numbers of blocks, each in two words, are those of the lanes.
#[inline(always)]
fn lane_set<S: Simd, V: SimdInt<S, Element = u32>>(
    simd: S,
    key: &[u32; 8],
    places: &[[u32; MANY]; 4],
) -> [V; 16] {
    let [k0, k1, k2, k3, k4, k5, k6, k7] = *key;
    let [s0, s1, s2, s3] = SIGMA;
    let fixed = [s0, k0, k1, k2, k3, s1, 0, 0, 0, 0, s2, k4, k5, k6, k7, s3];
    let mut x = fixed.map(|word| V::splat(simd, word));
    for (word, places) in x[6..10].iter_mut().zip(places) {
        *word = V::from_slice(simd, &places[..V::LEN]);
    }
    let start = x;
    rounds(&mut x);
    for (word, start) in x.iter_mut().zip(start) {
        *word += start;
    }
    transpose(&mut x);
    x
}

#[inline(always)]
fn rounds<S: Simd, V: SimdInt<S, Element = u32>>(x: &mut [V; 16]) {
    macro_rules! step {
        ($to:literal, $a:literal, $b:literal, $by:literal) => {
            let sum = x[$a] + x[$b];
            x[$to] ^= (sum << $by) | (sum >> (32 - $by));
        };
    }
    macro_rules! quarter_round {
        ($a:literal, $b:literal, $c:literal, $d:literal) => {
            step!($b, $a, $d, 7);
            step!($c, $b, $a, 9);
            step!($d, $c, $b, 13);
            step!($a, $d, $c, 18);
        };
    }
    for _ in 0..10 {
        quarter_round!(0, 4, 8, 12);
        quarter_round!(5, 9, 13, 1);
        quarter_round!(10, 14, 2, 6);
        quarter_round!(15, 3, 7, 11);
        quarter_round!(0, 1, 2, 3);
        quarter_round!(5, 6, 7, 4);
        quarter_round!(10, 11, 8, 9);
        quarter_round!(15, 12, 13, 14);
    }
}

/// From a vector for each word of all blocks to the words of one block after the other: each pass moves one bit of a word's number from the front to
/// the back of the index.
#[inline(always)]
fn transpose<S: Simd, V: SimdInt<S, Element = u32>>(x: &mut [V; 16]) {
    for _ in 0..4 {
        let y = *x;
        let (low, high) = y.split_at(8);
        for (pair, (low, high)) in x.as_chunks_mut().0.iter_mut().zip(low.iter().zip(high)) {
            *pair = [low.zip_low(*high), low.zip_high(*high)];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The levels of vectors that this processor has.
    fn levels() -> Vec<Level> {
        let mut levels = vec![Level::baseline(), Level::new()];
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(Level::new().as_sse4_2().map(Level::Sse4_2));
            levels.extend(Level::new().as_avx2().map(Level::Avx2));
        }
        levels
    }

    fn keystream(
        level: Level,
        key: &[u8; 32],
        first: u64,
        per_nonce: usize,
        len: usize,
    ) -> Vec<u8> {
        let words = key.as_chunks::<4>().0;
        let key = std::array::from_fn(|n| u32::from_le_bytes(words[n]));
        let mut out = vec![[0; 16]; len];
        blocks(level, &key, first, per_nonce, &mut out);
        let words = out.as_flattened().iter();
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn texts_are_encrypted_with_the_same_stream() {
        let key: [u8; 32] = std::array::from_fn(|n| n as u8);
        let words = key.as_chunks::<4>().0;
        let words = std::array::from_fn(|n| u32::from_le_bytes(words[n]));
        let nonce = 0x0102_0304_0506_0708;
        let expected = keystream(Level::baseline(), &key, nonce, 64, 64);
        for level in levels() {
            for block in [0, 1, 15, 16, 40] {
                for len in (0..700).chain([1023, 1024, 1025, 1500]) {
                    let mut text = vec![0; len];
                    xor(level, &words, nonce, block as u64, &mut text);
                    assert!(text == expected[64 * block..][..len], "{block}, {len}");
                }
            }
        }
    }

    /// The number of a block has two words.
    #[test]
    fn blocks_are_counted_beyond_the_first_word() {
        let far = 1 << 32;
        for level in levels() {
            let stream = |block, len| {
                let mut text = vec![0; len];
                xor(level, &[7; 8], 9, block, &mut text);
                text
            };
            let across = stream(far - 3, 40 * 64);
            assert!(across[3 * 64..] == stream(far, 37 * 64));
            assert!(across[3 * 64..] != stream(0, 37 * 64));
        }
    }

    /// eSTREAM's test vectors for a key of 256 bits: set 1, vector 0.
    #[test]
    fn makes_the_stream_of_the_test_vectors() {
        let mut key = [0; 32];
        key[0] = 0x80;
        let expected = concat!(
            "e3be8fdd8beca2e3ea8ef9475b29a6e7003951e1097a5c38d23b7a5fad9f6844",
            "b22c97559e2723c7cbbd3fe4fc8d9a0744652a83e72a9c461876af4d7ef1a117",
        );
        for level in levels() {
            for len in [FEW, MANY] {
                let stream = keystream(level, &key, 0, 1, len);
                let hex: String = stream[..64].iter().map(|b| format!("{b:02x}")).collect();
                assert_eq!(hex, expected, "{level:?}");
            }
        }
    }

    #[test]
    fn all_vectors_make_the_same_blocks() {
        for per_nonce in 1..=33 {
            for first in [0, 255, u64::from(u32::MAX) - 3, u64::MAX - 2] {
                let key = [per_nonce as u8; 32];
                let expected = keystream(Level::baseline(), &key, first, per_nonce, 64);
                for level in levels() {
                    for len in [FEW, MANY, 64] {
                        let made = keystream(level, &key, first, per_nonce, len);
                        assert_eq!(made, expected[..64 * len]);
                    }
                }
                // Each nonce has a stream of its own, wherever it is.
                let after = first.wrapping_add(1);
                let next = keystream(Level::new(), &key, after, per_nonce, 64);
                let len = 64 * (64 - per_nonce);
                assert_eq!(expected[64 * per_nonce..][..len], next[..len]);
            }
        }
    }
}
