//! The bytes on an edge of the trie.

/// The longest run kept in the node itself: it makes a node the size of a cache line.
const SHORT: usize = 22;

/// A run of bytes that needs no allocation while it is short.
#[derive(Debug)]
pub(super) enum Label {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Label {
    pub(super) fn new(label: &[u8]) -> Self {
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

    /// What follows this label in `topic`, if it starts with it. The caller has compared the first byte.
    #[inline]
    pub(super) fn strip_from<'a>(&self, topic: &'a [u8]) -> Option<&'a [u8]> {
        let label = self.bytes();
        if label.len() == 1 {
            return topic.get(1..); // Where topics are dense, and the comparison would cost most of the step.
        }
        topic.strip_prefix(label)
    }
}
