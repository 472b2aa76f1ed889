//! Which node follows for which byte.

use super::{NodeId, ROOT};

/// How many children fit into the node itself: it is the size of a cache line, and this is what is left of it.
const FEW: usize = 3;

/// How many children are searched for in a list. With 17 a table of all bytes takes 60 bytes for each, and
/// a peer can have us make such nodes by the hundred thousand, so it should not begin any earlier.
const SOME: usize = 16;

/// A map from the first byte of an edge to the node it leads to. Most nodes have no child or a few.
///
/// [`ROOT`], the child of nobody, stands for "no child".
#[derive(Debug)]
pub(super) enum Children {
    /// A list, spelled out: as a type of its own it would be padded, and no room left for the enum's tag.
    Few {
        bytes: [u8; FEW],
        ids: [NodeId; FEW],
    },
    Some(Box<List>),
    All(Box<Table>),
}

/// A list has no gap: free places hold [`ROOT`] and come last.
#[derive(Debug)]
pub(super) struct List {
    bytes: [u8; SOME],
    ids: [NodeId; SOME],
}

/// A place for every byte.
#[derive(Debug)]
pub(super) struct Table {
    ids: [NodeId; 256],
    len: usize,
}

impl Children {
    pub(super) fn new() -> Self {
        Self::Few {
            bytes: [0; FEW],
            ids: [ROOT; FEW],
        }
    }

    #[inline]
    pub(super) fn get(&self, byte: u8) -> Option<NodeId> {
        let id = match self {
            Self::Few { bytes, ids } => find(bytes, ids, byte),
            Self::Some(list) => find(&list.bytes, &list.ids, byte),
            Self::All(table) => table.ids[usize::from(byte)],
        };
        (id != ROOT).then_some(id)
    }

    /// Adds a child, or replaces the one that this byte led to.
    pub(super) fn set(&mut self, byte: u8, id: NodeId) {
        let set = match self {
            Self::Few { bytes, ids } => put(bytes, ids, byte, id),
            Self::Some(list) => put(&mut list.bytes, &mut list.ids, byte, id),
            Self::All(table) => table.set(byte, id),
        };
        if !set {
            self.grow();
            self.set(byte, id);
        }
    }

    pub(super) fn remove(&mut self, byte: u8) {
        match self {
            Self::Few { bytes, ids } => take_out(bytes, ids, byte),
            Self::Some(list) => take_out(&mut list.bytes, &mut list.ids, byte),
            Self::All(table) => table.remove(byte),
        }
        self.shrink();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The child, if there is exactly one.
    pub(super) fn only(&self) -> Option<NodeId> {
        let mut children = self.iter();
        let (_, id) = children.next()?;
        children.next().is_none().then_some(id)
    }

    fn iter(&self) -> impl Iterator<Item = (u8, NodeId)> {
        let (bytes, ids) = match self {
            Self::Few { bytes, ids } => (Some(&bytes[..]), &ids[..]),
            Self::Some(list) => (Some(&list.bytes[..]), &list.ids[..]),
            Self::All(table) => (None, &table.ids[..]),
        };
        let places = ids.iter().enumerate().filter(|&(_, &id)| id != ROOT);
        places.map(move |(place, &id)| (bytes.map_or(place as u8, |bytes| bytes[place]), id))
    }

    /// Moves to the next larger form.
    fn grow(&mut self) {
        let mut larger = match self {
            Self::Few { .. } => Self::Some(Box::new(List::new())),
            Self::Some(_) | Self::All(_) => Self::All(Box::new(Table::new())),
        };
        self.iter().for_each(|(byte, id)| larger.set(byte, id));
        *self = larger;
    }

    /// Moves to a smaller form once that has places to spare: a child that comes and goes should not allocate each time.
    fn shrink(&mut self) {
        let mut smaller = match self {
            Self::Some(list) if list.ids[FEW - 1] == ROOT => Self::new(),
            Self::All(table) if table.len < SOME - 3 => Self::Some(Box::new(List::new())),
            Self::Few { .. } | Self::Some(_) | Self::All(_) => return,
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

impl Table {
    fn new() -> Self {
        Self {
            ids: [ROOT; 256],
            len: 0,
        }
    }

    /// Never says no, as a list may.
    fn set(&mut self, byte: u8, id: NodeId) -> bool {
        let child = &mut self.ids[usize::from(byte)];
        self.len += usize::from(*child == ROOT);
        *child = id;
        true
    }

    fn remove(&mut self, byte: u8) {
        let child = &mut self.ids[usize::from(byte)];
        self.len -= usize::from(*child != ROOT);
        *child = ROOT;
    }
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
