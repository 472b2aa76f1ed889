//! Which node follows for which byte.

use super::{NodeId, ROOT};

/// How many children fit into the node itself: it is the size of a cache line, and this is what is left of it.
const FEW: usize = 3;

/// How many children are searched for in a list. With 17 a table of all bytes takes 60 bytes for each, and
/// a peer can have us make such nodes by the hundred thousand, so it should not begin any earlier.
const SOME: usize = 16;

/// How many bytes have their upper four bits in common.
const ROW: usize = 16;

/// How many bytes there are.
const ALL: usize = 256;

/// A map from the first byte of an edge to the node it leads to. Most nodes have no child or a few.
///
/// Between calls, every form but the first holds at least [`FEW`] children.
///
/// [`ROOT`], the child of nobody, stands for "no child".
#[derive(Debug)]
pub(super) enum Children {
    /// A list, spelled out: as a type of its own it would be padded, and no room left for the enum's tag.
    Few {
        bytes: [u8; FEW],
        ids: [NodeId; FEW],
    },
    /// A place for every byte with these upper four bits, as all digits have them: nothing to search, in less
    /// memory than a list takes.
    Row {
        upper: u8,
        row: Box<Table<ROW>>,
    },
    Some(Box<List>),
    All(Box<Table<ALL>>),
}

/// A list has no gap: free places hold [`ROOT`] and come last.
#[derive(Debug)]
pub(super) struct List {
    bytes: [u8; SOME],
    ids: [NodeId; SOME],
}

/// A place for every byte, or for every byte of a row.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    ids: [NodeId; N],
    /// Four bytes, because a peer can have us make rows by the hundred thousand.
    len: u32,
}

impl Children {
    pub(super) fn new() -> Self {
        Self::Few {
            bytes: [0; FEW],
            ids: [ROOT; FEW],
        }
    }

    #[inline(always)] // As `Prefixes::descend`.
    pub(super) fn get(&self, byte: u8) -> Option<NodeId> {
        let id = match self {
            Self::Few { bytes, ids } => find(bytes, ids, byte),
            Self::Row { upper, row } if upper_bits(byte) == *upper => row.ids[lower_bits(byte)],
            Self::Row { .. } => ROOT,
            Self::Some(list) => find(&list.bytes, &list.ids, byte),
            Self::All(table) => table.ids[usize::from(byte)],
        };
        (id != ROOT).then_some(id)
    }

    /// Adds a child, or replaces the one that this byte led to.
    pub(super) fn set(&mut self, byte: u8, id: NodeId) {
        let set = match self {
            Self::Few { bytes, ids } => put(bytes, ids, byte, id),
            Self::Row { upper, row } if upper_bits(byte) == *upper => row.set(lower_bits(byte), id),
            Self::Row { .. } => false,
            Self::Some(list) => put(&mut list.bytes, &mut list.ids, byte, id),
            Self::All(table) => table.set(usize::from(byte), id),
        };
        if !set {
            self.grow(byte);
            self.set(byte, id);
        }
    }

    pub(super) fn remove(&mut self, byte: u8) {
        match self {
            Self::Few { bytes, ids } => take_out(bytes, ids, byte),
            Self::Row { upper, row } if upper_bits(byte) == *upper => row.remove(lower_bits(byte)),
            Self::Row { .. } => {}
            Self::Some(list) => take_out(&mut list.bytes, &mut list.ids, byte),
            Self::All(table) => table.remove(usize::from(byte)),
        }
        self.shrink();
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(
            self,
            Self::Few {
                ids: [ROOT, ..],
                ..
            }
        )
    }

    /// The child, if there is exactly one.
    pub(super) fn only(&self) -> Option<NodeId> {
        match *self {
            Self::Few {
                ids: [id, ROOT, _], ..
            } if id != ROOT => Some(id),
            Self::Few { .. } | Self::Row { .. } | Self::Some(_) | Self::All(_) => None,
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u8, NodeId)> {
        let (bytes, first, ids) = match self {
            Self::Few { bytes, ids } => (Some(&bytes[..]), 0, &ids[..]),
            Self::Row { upper, row } => (None, *upper, &row.ids[..]),
            Self::Some(list) => (Some(&list.bytes[..]), 0, &list.ids[..]),
            Self::All(table) => (None, 0, &table.ids[..]),
        };
        let places = ids.iter().enumerate().filter(|&(_, &id)| id != ROOT);
        places.map(move |(place, &id)| {
            let byte = bytes.map_or(first + place as u8, |bytes| bytes[place]);
            (byte, id)
        })
    }

    /// Moves to the next larger form that may have a place for this byte, too.
    fn grow(&mut self, byte: u8) {
        let upper = upper_bits(byte);
        let mut larger = match self {
            Self::Few { bytes, .. } if bytes.map(upper_bits) == [upper; FEW] => Self::Row {
                upper,
                row: Box::new(Table::new()),
            },
            Self::Few { .. } | Self::Row { .. } => Self::Some(Box::new(List::new())),
            Self::Some(_) | Self::All(_) => Self::All(Box::new(Table::new())),
        };
        self.iter().for_each(|(byte, id)| larger.set(byte, id));
        *self = larger;
    }

    /// Moves to a smaller form once that has places to spare: a child that comes and goes should not allocate each time.
    fn shrink(&mut self) {
        let mut smaller = match self {
            Self::Row { row, .. } if row.len < FEW as u32 => Self::new(),
            Self::Some(list) if list.ids[FEW - 1] == ROOT => Self::new(),
            Self::All(table) if table.len < SOME as u32 - 3 => Self::Some(Box::new(List::new())),
            Self::Few { .. } | Self::Row { .. } | Self::Some(_) | Self::All(_) => return,
        };
        self.iter().for_each(|(byte, id)| smaller.set(byte, id));
        *self = smaller;
    }
}

impl List {
    fn new() -> Self {
        Self {
            bytes: [0; SOME],
            ids: [ROOT; SOME],
        }
    }
}

impl<const N: usize> Table<N> {
    fn new() -> Self {
        Self {
            ids: [ROOT; N],
            len: 0,
        }
    }

    /// Never says no, as a list may.
    fn set(&mut self, place: usize, id: NodeId) -> bool {
        let child = &mut self.ids[place];
        self.len += u32::from(*child == ROOT);
        *child = id;
        true
    }

    fn remove(&mut self, place: usize) {
        let child = &mut self.ids[place];
        self.len -= u32::from(*child != ROOT);
        *child = ROOT;
    }
}

fn upper_bits(byte: u8) -> u8 {
    byte & 0xf0
}

fn lower_bits(byte: u8) -> usize {
    usize::from(byte & 0x0f)
}

/// The child in a list, or [`ROOT`]. A free place may hold the same byte, but comes after any child and holds [`ROOT`].
#[inline]
fn find<const N: usize>(bytes: &[u8; N], ids: &[NodeId; N], byte: u8) -> NodeId {
    // In turn and leaving early: on x86-64 that took half the time of comparing all places at once.
    let place = bytes.iter().position(|&held| held == byte);
    place.map_or(ROOT, |place| ids[place])
}

/// Puts a child into a list; says no if there is no place left.
fn put(bytes: &mut [u8], ids: &mut [NodeId], byte: u8, id: NodeId) -> bool {
    let mut places = bytes.iter_mut().zip(ids);
    let place = places.find(|(held, id)| **held == byte || **id == ROOT);
    if let Some((held, child)) = place {
        *held = byte;
        *child = id;
        return true;
    }
    false
}

/// Takes a child out of a list, and closes the gap.
fn take_out(bytes: &mut [u8], ids: &mut [NodeId], byte: u8) {
    let len = ids.iter().filter(|&&id| id != ROOT).count();
    if let Some(place) = bytes[..len].iter().position(|&held| held == byte) {
        bytes[place] = bytes[len - 1];
        ids[place] = ids[len - 1];
        ids[len - 1] = ROOT;
    }
}
