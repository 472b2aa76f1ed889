//! The bytes on an edge of the trie, or those of a single topic.

/// The longest run kept in the node itself: it makes a node the size of a cache line.
const SHORT: usize = 22;

/// So many bytes are compared at once, if a topic has as many.
const WINDOW: usize = 16;

/// A run of bytes that needs no allocation while it is short.
#[derive(Debug)]
pub(in crate::pattern) enum Label {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Label {
    pub(in crate::pattern) fn new(label: &[u8]) -> Self {
        let mut bytes = [0; SHORT];
        match bytes.get_mut(..label.len()) {
            Some(start) => {
                start.copy_from_slice(label);
                let len = label.len() as u8; // At most SHORT.
                Self::Short { len, bytes }
            }
            None => Self::Long(label.into()),
        }
    }

    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len).min(SHORT)],
            Self::Long(bytes) => bytes,
        }
    }

    #[inline]
    pub(in crate::pattern) fn is_prefix_of(&self, topic: &[u8]) -> bool {
        match self {
            Self::Short { len: 1, bytes } => topic.first() == bytes.first(),
            Self::Short { .. } | Self::Long(_) => self.strip_from(topic).is_some(),
        }
    }

    /// What follows this label in `topic`, if it starts with it. The caller has compared the first byte.
    #[inline]
    pub(super) fn strip_from<'a>(&self, topic: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            // Where topics are dense: comparing would cost most of the step.
            Self::Short { len: 1, .. } => topic.get(1..),
            Self::Short { len, bytes } if usize::from(*len) <= WINDOW => {
                match (topic.first_chunk(), bytes.first_chunk()) {
                    (Some(window), Some(label)) => {
                        // In registers: for so few bytes a call of `memcmp` takes longer than the rest of the step.
                        let differ = u128::from_le_bytes(*window) ^ u128::from_le_bytes(*label);
                        let equal = differ.trailing_zeros() / u8::BITS;
                        (equal >= u32::from(*len)).then(|| topic.get(usize::from(*len)..))?
                    }
                    _ => topic.strip_prefix(self.bytes()),
                }
            }
            Self::Short { .. } | Self::Long(_) => topic.strip_prefix(self.bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At every length around those at which the way of comparing changes, and with the difference in every place.
    #[test]
    fn strips_what_begins_with_it_and_nothing_else() {
        for length in 1..=SHORT + 3 {
            let bytes: Vec<u8> = (1..).take(length).collect();
            let label = Label::new(&bytes);
            for rest in 0..SHORT {
                let mut topic = bytes.clone();
                topic.resize(length + rest, 0);
                assert_eq!(label.strip_from(&topic), Some(&vec![0; rest][..]));
                assert!(label.is_prefix_of(&topic));
                for place in 1..length {
                    topic[place] ^= 0x80;
                    assert_eq!(label.strip_from(&topic), None, "{length}, {rest}, {place}");
                    topic[place] ^= 0x80;
                }
                topic[0] ^= 0x80;
                assert!(!label.is_prefix_of(&topic));
            }
            assert!(!label.is_prefix_of(&bytes[1..]));
            for shorter in 1..length.saturating_sub(1) {
                assert_eq!(label.strip_from(&bytes[..shorter]).map(<[u8]>::len), None);
            }
        }
    }
}
