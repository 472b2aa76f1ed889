//! Writes a text that looks like one, as long as you like: the same one every time.
//!
//! A few words are everywhere and most are rare, as in every language (Zipf's law: the second most frequent
//! word is half as frequent as the first, the third a third, and so on); they make sentences, lines and
//! paragraphs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use crate::Result;

const VOCABULARY: usize = 30_000;

const LINE: usize = 72;

const COMMON: [&str; 20] = [
    "the", "of", "and", "a", "to", "in", "that", "it", "is", "was", "for", "with", "as", "on",
    "not", "by", "at", "from", "or", "but",
];

const SYLLABLES: [&str; 40] = [
    "ba", "ber", "ca", "con", "da", "del", "e", "en", "fa", "fir", "ga", "gen", "ha", "in", "ka",
    "la", "len", "lo", "ma", "men", "mo", "na", "ner", "o", "or", "pa", "per", "ra", "ren", "ri",
    "sa", "ser", "so", "ta", "ter", "ti", "u", "va", "ven", "wo",
];

/// Writes `megabytes` million bytes, or a little more, to a new file.
pub(crate) fn write(path: &Path, megabytes: u64) -> Result<()> {
    let file = File::create_new(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut out = BufWriter::with_capacity(1024 * 1024, file);
    let mut random = Random(0x2545_F491_4F6C_DD1D);
    let words = vocabulary(&mut random);
    let mut left = megabytes.saturating_mul(1_000_000);
    let mut paragraph = String::new();
    while left > 0 {
        paragraph.clear();
        write_paragraph(&mut paragraph, &words, &mut random);
        out.write_all(paragraph.as_bytes())?;
        left = left.saturating_sub(paragraph.len() as u64);
    }
    out.flush()?;
    Ok(())
}

fn vocabulary(random: &mut Random) -> Vec<String> {
    let mut words: Vec<String> = COMMON.iter().map(|word| (*word).to_owned()).collect();
    while words.len() < VOCABULARY {
        let syllables = 2 + random.below(3);
        words.push(
            (0..syllables)
                .map(|_| SYLLABLES[random.below(SYLLABLES.len())])
                .collect(),
        );
    }
    words
}

fn write_paragraph(out: &mut String, words: &[String], random: &mut Random) {
    let mut column = 0;
    for _ in 0..3 + random.below(6) {
        let length = 4 + random.below(16);
        for place in 0..length {
            let word = &words[random.rank(words.len())];
            if column + word.len() > LINE {
                out.push('\n');
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            column += word.len() + 1;
            if place == 0 {
                out.push_str(&word[..1].to_ascii_uppercase());
                out.push_str(&word[1..]);
            } else {
                out.push_str(word);
            }
            if place + 1 == length {
                out.push('.');
            } else if random.below(10) == 0 {
                out.push(',');
            }
        }
    }
    out.push_str("\n\n");
}

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 33) as usize % limit
    }

    /// A place in a list by Zipf's law: each doubling of the rank is equally likely.
    fn rank(&mut self, count: usize) -> usize {
        let uniform = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let rank = ((count as f64 + 1.0).ln() * uniform).exp();
        (rank as usize - 1).min(count - 1)
    }
}
