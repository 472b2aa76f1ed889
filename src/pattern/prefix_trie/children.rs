//! Which node follows for which byte.

use super::{NodeId, ROOT};

/// How many children fit into the node itself: a node is one cache line, this is what it has left.
const FEW: usize = 3;

/// How many children are searched for in a list. With 17 a table of all bytes takes 60 bytes for each, and
/// a peer can have us make such nodes by the hundred thousand, so it should not begin any earlier.
const SOME: usize = 16;

/// A map from the first byte of an edge to the node it leads to. Most nodes have no child or a few.
///
/// [`ROOT`], the child of nobody, stands for "no child".
#[derive(Debug)]
pub(super) enum Children {
    Few(List<FEW>),
    Some(Box<List<SOME>>),
    All(Box<Table>),
}

/// A list with no gap: free places hold [`ROOT`] and come last.
#[derive(Debug)]
pub(super) struct List<const N: usize> {
    bytes: [u8; N],
    ids: [NodeId; N],
}

/// A place for every byte.
#[derive(Debug)]
pub(super) struct Table {
    ids: [NodeId; 256],
    len: usize,
}

impl Children {
    pub(super) fn new() -> Self {
        Self::Few(List::new())
    }

    #[inline]
    pub(super) fn get(&self, byte: u8) -> Option<NodeId> {
        let id = match self {
            Self::Few(list) => list.get(byte),
            Self::Some(list) => list.get(byte),
            Self::All(table) => table.ids[usize::from(byte)],
        };
        (id != ROOT).then_some(id)
    }

    /// Adds a child, or replaces the one that this byte led to.
    pub(super) fn set(&mut self, byte: u8, id: NodeId) {
        let set = match self {
            Self::Few(list) => list.set(byte, id),
            Self::Some(list) => list.set(byte, id),
            Self::All(table) => table.set(byte, id),
        };
        if !set {
            self.grow();
            self.set(byte, id);
        }
    }

    pub(super) fn remove(&mut self, byte: u8) {
        match self {
            Self::Few(list) => list.remove(byte),
            Self::Some(list) => list.remove(byte),
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
            Self::Few(list) => (Some(&list.bytes[..]), &list.ids[..]),
            Self::Some(list) => (Some(&list.bytes[..]), &list.ids[..]),
            Self::All(table) => (None, &table.ids[..]),
        };
        let places = ids.iter().enumerate().filter(|&(_, &id)| id != ROOT);
        places.map(move |(place, &id)| (bytes.map_or(place as u8, |bytes| bytes[place]), id))
    }

    /// Moves to the next larger form.
    fn grow(&mut self) {
        let mut larger = match self {
            Self::Few(_) => Self::Some(Box::new(List::new())),
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
            Self::Few(_) | Self::Some(_) | Self::All(_) => return,
        };
        self.iter().for_each(|(byte, id)| smaller.set(byte, id));
        *self = smaller;
    }
}

impl<const N: usize> List<N> {
    fn new() -> Self {
        Self {
            bytes: [0; N],
            ids: [ROOT; N],
        }
    }

    /// The child or [`ROOT`]. A free place may hold the same byte, but comes after any child and holds [`ROOT`].
    #[inline]
    fn get(&self, byte: u8) -> NodeId {
        // Compares all places without a branch, which the compiler turns into one vector comparison.
        let mut equal = 0u32;
        for (place, &held) in self.bytes.iter().enumerate() {
            equal |= u32::from(held == byte) << place;
        }
        let place = equal.trailing_zeros() as usize;
        self.ids.get(place).copied().unwrap_or(ROOT)
    }

    /// Says no if there is no place left.
    fn set(&mut self, byte: u8, id: NodeId) -> bool {
        let mut places = self.bytes.iter_mut().zip(&mut self.ids);
        let place = places.find(|(held, id)| **held == byte || **id == ROOT);
        if let Some((held, child)) = place {
            *held = byte;
            *child = id;
            return true;
        }
        false
    }

    fn remove(&mut self, byte: u8) {
        let held = |id: &NodeId| *id != ROOT;
        let len = self.ids.iter().filter(|id| held(id)).count();
        let place = self.bytes[..len].iter().position(|&held| held == byte);
        if let Some(place) = place {
            self.bytes[place] = self.bytes[len - 1];
            self.ids[place] = self.ids[len - 1];
            self.ids[len - 1] = ROOT;
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
