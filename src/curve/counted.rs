//! Boxes of one direction of a session: their nonces are a text that is always the same, and a counter.
//!
//! What XSalsa20 makes of the key and of that text is computed once, and the key streams of short boxes are made for some counters ahead,
//! side by side: see [`salsa20`](super::salsa20). A stream made ahead belongs to a counter, so that it can't be used for another;
//! that no counter is used twice to seal, sees to the caller. Long boxes are made by [`BoxKey`], and opened piece by piece, each piece while it is in
//! the cache.

use std::fmt;

use dryoc::classic::crypto_core::crypto_core_hsalsa20;
use dryoc::classic::crypto_onetimeauth::{
    OnetimeauthState, crypto_onetimeauth, crypto_onetimeauth_final, crypto_onetimeauth_init,
    crypto_onetimeauth_update, crypto_onetimeauth_verify,
};
use fearless_simd::Level;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::boxes::{BoxKey, MAC, counted};
use super::{KEY, salsa20};

/// The words of a block, of which the first are the key of the tag.
const BLOCK: usize = size_of::<salsa20::Block>();

/// How many blocks are held at the most: 4 KiB.
const AHEAD: usize = 64;

/// A box that takes more fills vectors by itself.
const SHORT: usize = AHEAD / 3;

/// What of a long text is worked on at a time: it stays in the cache nearest to the processor.
pub(crate) const PIECE: usize = 4 * Stream::UNIT;

/// Seals and opens, in any order of the counters, and fastest if each is by one more than the last.
pub(crate) struct CountedBoxes {
    key: BoxKey,
    prefix: &'static [u8; 16],
    ahead: Ahead,
}

impl fmt::Debug for CountedBoxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CountedBoxes(***)")
    }
}

impl CountedBoxes {
    pub(crate) fn new(key: BoxKey, prefix: &'static [u8; 16]) -> CountedBoxes {
        CountedBoxes::at_level(key, prefix, Level::new())
    }

    fn at_level(key: BoxKey, prefix: &'static [u8; 16], level: Level) -> CountedBoxes {
        let mut bytes = Zeroizing::new([0; KEY]);
        crypto_core_hsalsa20(&mut bytes, prefix, key.as_bytes(), None);
        let mut subkey = Zeroizing::new([0; 8]);
        for (word, bytes) in subkey.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let ahead = Ahead {
            level,
            subkey,
            blocks: Zeroizing::default(),
            first: 0,
            count: 0,
            blocks_each: 0,
            made: 0,
        };
        CountedBoxes { key, prefix, ahead }
    }

    /// Encrypts the text where it is, and gives its tag.
    pub(crate) fn seal(&mut self, counter: u64, text: &mut [u8]) -> [u8; MAC] {
        let Some((tag_key, stream)) = self.ahead.stream(counter, text.len()) else {
            return self.key.seal(&counted(self.prefix, counter), text);
        };
        salsa20::xor_words(text, stream);
        let mut mac = [0; MAC];
        crypto_onetimeauth(&mut mac, text, &tag_key);
        mac
    }

    /// Decrypts a text where it is. `false`: the tag is not that of this text, key and nonce, and the text is as it was.
    #[must_use]
    pub(crate) fn open(&mut self, counter: u64, mac: &[u8; MAC], text: &mut [u8]) -> bool {
        let Some((tag_key, stream)) = self.ahead.stream(counter, text.len()) else {
            return self.key.open(&counted(self.prefix, counter), mac, text);
        };
        if crypto_onetimeauth_verify(mac, text, &tag_key).is_err() {
            return false;
        }
        salsa20::xor_words(text, stream);
        true
    }

    /// Begins to open a long box.
    pub(crate) fn open_long(&self, counter: u64) -> LongBox {
        let stream = Box::new(self.stream(counter));
        let tag = crypto_onetimeauth_init(&stream.tag_key());
        LongBox { stream, tag }
    }

    fn stream(&self, counter: u64) -> Stream {
        let Ahead { level, subkey, .. } = &self.ahead;
        let mut first = Zeroizing::new([[0; 16]; salsa20::MANY]);
        salsa20::blocks(*level, subkey, counter, salsa20::MANY, &mut *first);
        Stream {
            level: *level,
            subkey: subkey.clone(),
            counter,
            first,
        }
    }

    /// Forgets what was made ahead, and so holds no memory.
    pub(crate) fn rest(&mut self) {
        self.ahead.blocks = Zeroizing::default();
        self.ahead.count = 0;
        self.ahead.made = 0;
        self.ahead.blocks_each = 0;
    }
}

/// Streams of the next counters.
struct Ahead {
    level: Level,
    subkey: Zeroizing<[u32; 8]>,
    blocks: Zeroizing<Box<[salsa20::Block]>>,
    /// The counter of the first of them.
    first: u64,
    blocks_each: u32,
    /// How many streams there are, and how many blocks were made for them. In a byte, since every connection has two of this.
    count: u8,
    made: u8,
}

const _: () = assert!(AHEAD <= u8::MAX as usize);

impl Ahead {
    /// The key of the tag and the words that a text is encrypted with. `None` for a long one.
    fn stream(&mut self, counter: u64, len: usize) -> Option<(Zeroizing<[u8; KEY]>, &[u32])> {
        let needed = len.saturating_add(KEY).div_ceil(BLOCK);
        let at = match self.place(counter) {
            Some(at) => at,
            None if self.make(counter, needed) => 0,
            None => return None,
        };
        let blocks_each = self.blocks_each as usize;
        if needed > blocks_each {
            return None;
        }
        let at = at * blocks_each;
        let words = self.blocks.get(at..at + needed)?.as_flattened();
        let (key, stream) = words.split_at_checked(KEY / 4)?;
        Some((tag_key(key), stream))
    }

    /// Which of them is that of a counter.
    fn place(&self, counter: u64) -> Option<usize> {
        let at = usize::try_from(counter.checked_sub(self.first)?).ok()?;
        (at < usize::from(self.count)).then_some(at)
    }

    /// Makes streams of so many blocks each, from a counter on: more each time, if boxes come one after the other. `false`: this box is as soon
    /// made by itself.
    fn make(&mut self, counter: u64, needed: usize) -> bool {
        let follows = counter.checked_sub(self.first) == Some(self.count.into());
        let goes_on = follows && needed == self.blocks_each as usize;
        if needed > salsa20::FEW && !goes_on || needed > SHORT {
            self.made = 0;
            self.first = counter.wrapping_add(1);
            self.count = 0;
            self.blocks_each = u32::try_from(needed).unwrap_or(u32::MAX);
            return false;
        }
        let least = match needed <= salsa20::FEW {
            true => salsa20::FEW,
            false => needed.next_multiple_of(salsa20::MANY),
        };
        let whole = match goes_on {
            true => (4 * usize::from(self.made)).clamp(least, AHEAD),
            false => least,
        };
        if self.blocks.len() < whole {
            self.blocks = Zeroizing::new(vec![[0; 16]; whole].into());
        }
        let blocks = &mut self.blocks[..whole];
        salsa20::blocks(self.level, &self.subkey, counter, needed, blocks);
        // All of them are 64 at the most.
        self.made = whole as u8;
        self.first = counter;
        self.count = (whole / needed) as u8;
        self.blocks_each = needed as u32;
        true
    }
}

/// The stream of one counter, that a long text is encrypted with piece by piece.
pub(crate) struct Stream {
    level: Level,
    subkey: Zeroizing<[u32; 8]>,
    counter: u64,
    /// The first blocks: the key of the tag, and what the head of the text is encrypted with.
    first: Zeroizing<[salsa20::Block; salsa20::MANY]>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream(***)")
    }
}

impl Stream {
    /// So much of the text is its head. Behind it, pieces of a multiple of [`Stream::UNIT`] fill all vectors.
    pub(crate) const HEAD: usize = Stream::UNIT - KEY;

    /// See [`Stream::HEAD`].
    pub(crate) const UNIT: usize = salsa20::MANY * BLOCK;

    fn tag_key(&self) -> Zeroizing<[u8; KEY]> {
        tag_key(&self.first[0])
    }

    /// Encrypts or decrypts the head, or as much of it as the text has.
    pub(crate) fn xor_head(&self, head: &mut [u8]) {
        salsa20::xor_words(head, &self.first.as_flattened()[KEY / 4..]);
    }

    /// Encrypts or decrypts a piece that begins at this byte of the text, behind the head.
    pub(crate) fn xor(&self, at: usize, piece: &mut [u8]) {
        let xor = |at: usize, bytes: &mut [u8]| {
            let block = (at / BLOCK) as u64;
            salsa20::xor(self.level, &self.subkey, self.counter, block, bytes);
        };
        let at = at + KEY;
        let skipped = at % BLOCK;
        let rest_of_block = (BLOCK - skipped) % BLOCK;
        let (first, rest) = piece.split_at_mut(piece.len().min(rest_of_block));
        if !first.is_empty() {
            let mut block = Zeroizing::new([0; BLOCK]);
            let place = &mut block[skipped..skipped + first.len()];
            place.copy_from_slice(first);
            xor(at, &mut *block);
            first.copy_from_slice(&block[skipped..skipped + first.len()]);
        }
        if !rest.is_empty() {
            xor(at + first.len(), rest);
        }
    }
}

/// A long box of which not all is here yet: its text is looked at as it comes, and decrypted only when the tag has been found to be its own.
pub(crate) struct LongBox {
    stream: Box<Stream>,
    tag: OnetimeauthState,
}

impl fmt::Debug for LongBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LongBox(***)")
    }
}

impl LongBox {
    /// Takes the next piece of the text, as it came.
    pub(crate) fn came(&mut self, sealed: &[u8]) {
        crypto_onetimeauth_update(&mut self.tag, sealed);
    }

    /// All has come. What decrypts it; `None`: the tag is not that of this text, key and nonce.
    #[must_use]
    pub(crate) fn verify(self, mac: &[u8; MAC]) -> Option<Box<Stream>> {
        let mut own = Zeroizing::new([0; MAC]);
        crypto_onetimeauth_final(self.tag, &mut own);
        bool::from(own.ct_eq(mac)).then_some(self.stream)
    }
}

/// The key of a tag is the beginning of a stream.
fn tag_key(stream: &[u32]) -> Zeroizing<[u8; KEY]> {
    let mut key = Zeroizing::new([0; KEY]);
    for (bytes, word) in key.as_chunks_mut().0.iter_mut().zip(stream) {
        *bytes = word.to_le_bytes();
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &[u8; 16] = b"CurveZMQMESSAGEC";

    fn levels() -> Vec<Level> {
        let mut levels = vec![Level::baseline(), Level::new()];
        #[cfg(target_arch = "x86_64")]
        levels.extend(Level::new().as_avx2().map(Level::Avx2));
        levels
    }

    /// Seals and opens a text of each length, at the counters that `next` gives, as boxes of NaCl are.
    fn are_those_of_nacl(
        lens: impl IntoIterator<Item = usize>,
        mut counter: u64,
        next: impl Fn(u64) -> u64,
    ) {
        let key = BoxKey::from_bytes(&[9; KEY]);
        let boxes = || {
            levels()
                .into_iter()
                .map(|level| CountedBoxes::at_level(key.clone(), PREFIX, level))
        };
        let mut sealing: Vec<_> = boxes().collect();
        let mut opening: Vec<_> = boxes().collect();
        for len in lens {
            let plain: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
            let mut expected = plain.clone();
            let mac = key.seal(&counted(PREFIX, counter), &mut expected);
            for (sealing, opening) in sealing.iter_mut().zip(&mut opening) {
                let mut sealed = plain.clone();
                assert_eq!(
                    sealing.seal(counter, &mut sealed),
                    mac,
                    "{len} at {counter}"
                );
                assert_eq!(sealed, expected, "{len} at {counter}");
                let mut bad = mac;
                bad[len % MAC] ^= 0x10;
                assert!(!opening.open(counter, &bad, &mut sealed));
                if let Some(byte) = sealed.last_mut() {
                    *byte ^= 1;
                    assert!(!opening.open(counter, &mac, &mut sealed));
                }
                if let Some(byte) = sealed.last_mut() {
                    *byte ^= 1;
                }
                assert_eq!(sealed, expected, "what does not open is as it was");
                assert!(opening.open(counter, &mac, &mut sealed));
                assert_eq!(sealed, plain);
            }
            counter = next(counter);
        }
    }

    #[test]
    fn boxes_of_all_lengths_are_those_of_nacl() {
        are_those_of_nacl(0..2100, 2, |counter| counter + 1);
    }

    /// Short and long ones by turns, so that what was made ahead fits at times, and at times does not.
    #[test]
    fn mixed_boxes_are_those_of_nacl() {
        let lens = [1, 65, 33, 500, 65, 65, 1025, 3000, 0, 97, 65];
        let mixed = || lens.into_iter().cycle().take(700);
        are_those_of_nacl(mixed(), 255, |counter| counter + 1);
        are_those_of_nacl(mixed(), u64::from(u32::MAX) - 300, |counter| counter + 1);
        // Who sends may leave some out, or count to the end.
        are_those_of_nacl(mixed(), 9, |counter| counter + 1 + counter % 5);
        are_those_of_nacl(mixed().take(100), u64::MAX - 99, |counter| {
            counter.wrapping_add(1)
        });
        are_those_of_nacl([65; 90], 90, |counter| counter - 1);
    }

    /// Piece by piece, however it is cut.
    #[test]
    fn long_boxes_open_piece_by_piece() {
        let key = BoxKey::from_bytes(&[9; KEY]);
        let lens = (1..300).chain([990, 991, 992, 993, 1023, 1024, 1025, 5087, 5088, 5089]);
        for (len, counter) in lens.chain([8192, 20_000]).zip(u64::from(u32::MAX) - 20..) {
            let plain: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
            let mut expected = plain.clone();
            let mac = key.seal(&counted(PREFIX, counter), &mut expected);
            for level in levels() {
                let boxes = CountedBoxes::at_level(key.clone(), PREFIX, level);
                for cut in [1, 7, 64, 1000, 1024, len] {
                    let come = |sealed: &[u8]| {
                        let mut opening = boxes.open_long(counter);
                        sealed.chunks(cut).for_each(|piece| opening.came(piece));
                        opening
                    };
                    let mut bad = mac;
                    bad[len % MAC] ^= 4;
                    assert!(come(&expected).verify(&bad).is_none());
                    let mut altered = expected.clone();
                    altered[len / 2] ^= 1;
                    assert!(come(&altered).verify(&mac).is_none());
                    assert!(come(&expected[..len - 1]).verify(&mac).is_none());
                    let stream = come(&expected).verify(&mac).expect("genuine");
                    let mut text = expected.clone();
                    let (head, rest) = text.split_at_mut(len.min(Stream::HEAD));
                    stream.xor_head(head);
                    for (n, piece) in rest.chunks_mut(cut).enumerate() {
                        stream.xor(Stream::HEAD + n * cut, piece);
                    }
                    assert!(text == plain, "{len}, {cut}");
                }
            }
        }
    }

    #[test]
    fn what_rests_holds_no_memory_and_goes_on() {
        let mut boxes = CountedBoxes::new(BoxKey::from_bytes(&[9; KEY]), PREFIX);
        let mut sealed = |counter, rests: bool| {
            let mut text = [1; 65];
            let mac = boxes.seal(counter, &mut text);
            assert!(!boxes.ahead.blocks.is_empty());
            assert!(boxes.ahead.blocks.len() <= AHEAD);
            if rests {
                boxes.rest();
                assert!(boxes.ahead.blocks.is_empty());
            }
            (mac, text)
        };
        let without: Vec<_> = (1..200).map(|counter| sealed(counter, false)).collect();
        let with: Vec<_> = (1..200).map(|counter| sealed(counter, true)).collect();
        assert_eq!(without, with);
    }
}
