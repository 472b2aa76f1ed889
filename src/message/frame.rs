//! One frame: a run of bytes that the wire keeps apart from its neighbours.
//!
//! ```text
//!              0                                     64          72
//!  inline      | data: 64 bytes, the first len count | len      |
//!  shared      | Bytes: pointer, length, owner | ... | 65       |
//! ```
//!
//! Most frames of most systems are short. A short one lives in the value itself: it costs no
//! allocation, its clone is a copy, and it can cross threads without the sender's allocator or a
//! reference count being touched by another core, which is what queues of shared buffers pay for.

use std::borrow::{Borrow, Cow};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::str::Utf8Error;

use bytes::Bytes;

/// The longest frame that is stored in the value itself.
///
/// With it a [`Frame`] and a [`Message`](super::Message) are 72 bytes: the data and its length.
pub(crate) const INLINE_MAX: usize = 64;

/// `Debug` shows this much of a frame.
const DEBUG_MAX: usize = 64;

/// One frame of a [`Message`](crate::Message): a cheaply cloned run of bytes of any content and length.
///
/// Short frames (up to 64 bytes) are stored inside the value; longer ones are a shared, reference
/// counted buffer. Neither shows: a frame reads like a byte slice, and equality, order and hash are
/// those of its bytes.
///
/// ```
/// use zerohop::Frame;
///
/// let frame = Frame::from("hello");
/// assert_eq!(frame, "hello");
/// assert_eq!(frame.len(), 5);
/// assert!(frame.starts_with(b"he"));
/// ```
#[derive(Clone)]
pub struct Frame(Repr);

/// How a frame is held.
///
/// A `Shared` frame may be short as well (nothing relies on its length), though no constructor
/// makes one.
#[derive(Clone)]
enum Repr {
    Inline(Inline),
    Shared(Bytes),
}

/// A short frame. What lies behind the first `len` bytes is never shown.
///
/// The order matters, and that the length is a whole word: a message on its way to the application is moved, by
/// the compiler's choice 16 bytes at a time and then 8. A read of memory that was just written is fast only if one
/// single write covers it. With one byte of length before the data no read was, and receiving took half as
/// long again.
#[derive(Clone, Copy)]
#[repr(C)]
struct Inline {
    data: [u8; INLINE_MAX],
    len: Len,
}

/// Declares [`Len`].
macro_rules! lengths {
    ($($name:ident)+) => {
        /// A number from 0 to [`INLINE_MAX`], as a type that does not use its other values: one of them tells that
        /// the frame is shared, and others tell of what frames are part of, so that no room is spent on tags.
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[repr(u64)]
        enum Len { $($name),+ }

        impl Len {
            const ALL: [Len; INLINE_MAX + 1] = [$(Len::$name),+];
        }
    };
}

lengths! {
    L0 L1 L2 L3 L4 L5 L6 L7 L8 L9 L10 L11 L12 L13 L14 L15 L16 L17 L18 L19 L20 L21 L22 L23 L24 L25 L26 L27 L28 L29 L30
    L31 L32 L33 L34 L35 L36 L37 L38 L39 L40 L41 L42 L43 L44 L45 L46 L47 L48 L49 L50 L51 L52 L53 L54 L55 L56 L57 L58
    L59 L60 L61 L62 L63 L64
}

impl Inline {
    const EMPTY: Inline = Inline {
        data: [0; INLINE_MAX],
        len: Len::L0,
    };

    #[inline]
    fn as_slice(&self) -> &[u8] {
        // The range is always inside the array; `get` only spares the code a panic path.
        self.data.get(..self.len as usize).unwrap_or(&self.data)
    }
}

const _: () = assert!(size_of::<Frame>() == 72);

impl Frame {
    /// The empty frame.
    ///
    /// ```
    /// assert!(zerohop::Frame::new().is_empty());
    /// ```
    #[inline]
    pub const fn new() -> Frame {
        Frame(Repr::Inline(Inline::EMPTY))
    }

    /// A frame with a copy of `bytes`: inside the value when short, else in an allocation of exactly that size.
    ///
    /// ```
    /// let frame = zerohop::Frame::copy_from_slice(&[1, 2, 3]);
    /// assert_eq!(frame, [1, 2, 3]);
    /// ```
    #[inline]
    pub fn copy_from_slice(bytes: &[u8]) -> Frame {
        let mut frame = Frame::new();
        frame.fill(bytes);
        frame
    }

    /// Becomes the first `len` bytes of `window`, if that is long enough for any short frame, and this frame was and will be one.
    ///
    /// For whoever takes frames out of a buffer: as long as a whole inline frame can be read, a short one is
    /// copied by a few wide moves whose number the compiler knows. What lies behind it comes along and is
    /// never shown. In place, because each further move of a fresh frame stalls on the one before.
    #[inline]
    pub(crate) fn set_short(&mut self, window: &[u8], len: usize) -> bool {
        match (window.first_chunk(), &mut self.0, Len::ALL.get(len)) {
            (Some(window), Repr::Inline(inline), Some(len)) => {
                inline.data = *window;
                inline.len = *len;
                true
            }
            _ => false,
        }
    }

    /// Becomes the first `len` bytes of `window`, which may reach beyond them; all of it, if it is shorter.
    #[inline]
    pub(crate) fn set_from_window(&mut self, window: &[u8], len: usize) {
        if !self.set_short(window, len) {
            *self = Frame::copy_from_slice(window.get(..len).unwrap_or(window));
        }
    }

    /// Makes this frame, which is a new one, a copy of `bytes`.
    ///
    /// Not inlined, so that it is filled where it stands. Inlined, its parts are built elsewhere and copied
    /// together, which takes a frame of 128 bytes 27 ns instead of 17.
    #[inline(never)]
    fn fill(&mut self, bytes: &[u8]) {
        if let Repr::Inline(inline) = &mut self.0
            && let Some(data) = inline.data.get_mut(..bytes.len())
            && let Some(len) = Len::ALL.get(bytes.len())
        {
            data.copy_from_slice(bytes);
            inline.len = *len;
            return;
        }
        self.0 = Repr::Shared(Bytes::copy_from_slice(bytes));
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(inline) => inline.as_slice(),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The bytes as a shared buffer. Long frames give theirs away; short ones are copied into a new allocation.
    ///
    /// ```
    /// use zerohop::{Bytes, Frame};
    ///
    /// let payload = Bytes::from(vec![7; 1000]);
    /// let address = payload.as_ptr();
    /// assert_eq!(Frame::from(payload).into_bytes().as_ptr(), address);
    /// ```
    #[inline]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Repr::Inline(_) => Bytes::copy_from_slice(self.as_slice()),
            Repr::Shared(bytes) => bytes,
        }
    }

    /// The bytes as text, if they are UTF-8.
    ///
    /// # Errors
    ///
    /// The frame is not UTF-8.
    #[inline]
    pub fn to_str(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(self.as_slice())
    }

    /// The bytes as text, with what is not UTF-8 replaced by U+FFFD.
    pub fn to_string_lossy(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.as_slice())
    }

    /// The shared buffer of a long frame.
    #[inline]
    pub(crate) fn shared(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Inline(_) => None,
            Repr::Shared(bytes) => Some(bytes),
        }
    }

    /// Whether dropping the frame may run code of the application: the buffer's owner is unknown, or somebody else holds it too.
    #[inline]
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(&self.0, Repr::Shared(bytes) if !bytes.is_unique())
    }

    /// The memory of a long frame that nobody else holds.
    pub(crate) fn into_memory(self) -> Option<Vec<u8>> {
        match self.0 {
            Repr::Shared(bytes) if bytes.is_unique() => Some(Vec::from(bytes)),
            Repr::Inline(_) | Repr::Shared(_) => None,
        }
    }

    /// Whether the bytes are in the value itself.
    #[cfg(test)]
    pub(super) fn is_inline(&self) -> bool {
        matches!(self.0, Repr::Inline(_))
    }
}

impl Default for Frame {
    #[inline]
    fn default() -> Frame {
        Frame::new()
    }
}

impl Deref for Frame {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl AsRef<[u8]> for Frame {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Borrow<[u8]> for Frame {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Kept by reference when long, copied into the value when short.
impl From<Bytes> for Frame {
    #[inline]
    fn from(bytes: Bytes) -> Frame {
        if bytes.len() > INLINE_MAX {
            return Frame(Repr::Shared(bytes));
        }
        Frame::copy_from_slice(&bytes)
    }
}

/// Takes the vector's allocation over when long, copies into the value when short.
impl From<Vec<u8>> for Frame {
    #[inline]
    fn from(bytes: Vec<u8>) -> Frame {
        if bytes.len() > INLINE_MAX {
            return Frame(Repr::Shared(Bytes::from(bytes)));
        }
        Frame::copy_from_slice(&bytes)
    }
}

/// Takes the string's allocation over when long, copies into the value when short.
impl From<String> for Frame {
    #[inline]
    fn from(text: String) -> Frame {
        Frame::from(text.into_bytes())
    }
}

/// Shares the buffer when long, copies into the value when short.
impl From<&Bytes> for Frame {
    #[inline]
    fn from(bytes: &Bytes) -> Frame {
        if bytes.len() > INLINE_MAX {
            return Frame(Repr::Shared(bytes.clone()));
        }
        Frame::copy_from_slice(bytes)
    }
}

/// A clone: long frames share their buffer.
impl From<&Frame> for Frame {
    #[inline]
    fn from(frame: &Frame) -> Frame {
        frame.clone()
    }
}

/// `From` for borrowed types, all of which are copied.
macro_rules! frame_copies {
    ($([$($generics:tt)*] $source:ty),+ $(,)?) => {$(
        /// Copies the bytes.
        impl<$($generics)*> From<$source> for Frame {
            #[inline]
            fn from(source: $source) -> Frame {
                let bytes: &[u8] = source.as_ref();
                Frame::copy_from_slice(bytes)
            }
        }
    )+};
}

frame_copies! {
    [] &[u8],
    [] &str,
    [] &String,
    [] &Vec<u8>,
    [const N: usize] [u8; N],
    [const N: usize] &[u8; N],
}

impl Eq for Frame {}

impl PartialEq for Frame {
    #[inline]
    fn eq(&self, other: &Frame) -> bool {
        self.as_slice() == other.as_slice()
    }
}

/// Comparison with whatever is seen as bytes.
macro_rules! frame_equals {
    ($([$($generics:tt)*] $other:ty),+ $(,)?) => {$(
        impl<$($generics)*> PartialEq<$other> for Frame {
            #[inline]
            fn eq(&self, other: &$other) -> bool {
                let bytes: &[u8] = other.as_ref();
                self.as_slice() == bytes
            }
        }
    )+};
}

frame_equals! {
    [] [u8],
    [] &[u8],
    [] str,
    [] &str,
    [] Vec<u8>,
    [] String,
    [] Bytes,
    [const N: usize] [u8; N],
    [const N: usize] &[u8; N],
}

impl PartialOrd for Frame {
    #[inline]
    fn partial_cmp(&self, other: &Frame) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Frame {
    #[inline]
    fn cmp(&self, other: &Frame) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Hash for Frame {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

/// Gives a long buffer away, and copies a short frame.
impl From<Frame> for Bytes {
    #[inline]
    fn from(frame: Frame) -> Bytes {
        frame.into_bytes()
    }
}

/// Gives the memory of a long frame away if nobody else holds it, and copies any other.
impl From<Frame> for Vec<u8> {
    fn from(frame: Frame) -> Vec<u8> {
        match frame.0 {
            Repr::Inline(inline) => inline.as_slice().to_vec(),
            Repr::Shared(bytes) => Vec::from(bytes),
        }
    }
}

/// Short, so that a log line stays one: the first 64 bytes, and the length. Text is shown as text; control characters and what
/// is not UTF-8 are escaped, so that nothing acts on a terminal and each byte can be told.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.get(..DEBUG_MAX).unwrap_or(self);
        f.write_str("Frame(\"")?;
        for chunk in shown.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        let cut = if shown.len() < self.len() { "…" } else { "" };
        let unit = if self.len() == 1 { "byte" } else { "bytes" };
        write!(f, "\"{cut}, {} {unit})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn only_frames_that_fit_are_inline() {
        for len in [
            0,
            1,
            INLINE_MAX - 1,
            INLINE_MAX,
            INLINE_MAX + 1,
            255,
            256,
            5000,
        ] {
            let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let made = [
                Frame::copy_from_slice(&bytes),
                Frame::from(bytes.clone()),
                Frame::from(Bytes::from(bytes.clone())),
                Frame::from(&Bytes::from(bytes.clone())),
                Frame::from(&bytes),
            ];
            for frame in made {
                assert_eq!(frame.is_inline(), len <= INLINE_MAX, "{len}");
                assert_eq!(frame.as_slice(), bytes);
                assert_eq!(frame.clone(), frame);
                assert_eq!(frame.into_bytes(), bytes);
            }
        }
    }

    #[test]
    fn a_window_shows_only_its_frame() {
        let buffer: Vec<u8> = (0..200).collect();
        for reach in [0, 1, 63, 64, 65, 200] {
            for len in [0, 1, 63, 64, 65, 200] {
                let window = &buffer[..reach];
                for mut frame in [Frame::new(), Frame::from(vec![9; 300])] {
                    frame.set_from_window(window, len);
                    assert_eq!(frame, window[..len.min(reach)], "{len} of {reach}");
                }
            }
        }
        let (mut frame, mut other) = (Frame::new(), Frame::new());
        frame.set_from_window(&[1; 100], 4);
        other.set_from_window(&[[1; 4].as_slice(), &[2; 100]].concat(), 4);
        assert_eq!(frame, other);
        assert_eq!(frame.into_bytes().len(), 4);
    }

    #[test]
    fn long_buffers_are_kept_by_reference() {
        let vec = vec![1u8; 200];
        let address = vec.as_ptr();
        let frame = Frame::from(vec);
        assert_eq!(frame.as_ptr(), address);
        let clone = frame.clone();
        assert_eq!(clone.as_ptr(), address);
        assert_eq!(Frame::from(clone.into_bytes()).as_ptr(), address);
    }

    #[test]
    fn text_in_and_out() {
        assert_eq!(Frame::from("grüße").to_str(), Ok("grüße"));
        assert_eq!(Frame::from(String::from("a")), *"a");
        assert_eq!(Frame::from(&String::from("a")), String::from("a"));
        assert!(Frame::from([0xff, 0xfe]).to_str().is_err());
    }

    #[test]
    fn equality_order_and_hash_are_those_of_the_bytes() {
        let long = "x".repeat(100);
        let mut map = HashMap::new();
        map.insert(Frame::from("key"), 1);
        map.insert(Frame::from(&long), 2);
        assert_eq!(map.get(b"key".as_slice()), Some(&1));
        assert_eq!(map.get(long.as_bytes()), Some(&2));
        let mut sorted = [&long, "b", "a"].map(Frame::from);
        sorted.sort();
        assert_eq!(
            sorted,
            [Frame::from("a"), Frame::from("b"), Frame::from(&long)]
        );
        assert_ne!(Frame::from("a"), b"b");
        assert_eq!(Frame::default(), Frame::new());
        // A shared frame that is short equals the inline one.
        assert_eq!(
            Frame(Repr::Shared(Bytes::from_static(b"key"))),
            Frame::from("key")
        );
    }

    #[test]
    fn debug_is_short_and_never_splits_badly() {
        assert_eq!(
            format!("{:?}", Frame::from("hi\n")),
            r#"Frame("hi\n", 3 bytes)"#
        );
        let long = format!("{:?}", Frame::from("é".repeat(1000)));
        assert!(long.ends_with("…, 2000 bytes)"), "{long}");
        assert!(long.len() < 200, "{long}");
        // Cut in the middle of a character.
        let odd = format!("{:?}", Frame::from(format!("a{}", "é".repeat(100))));
        assert!(odd.contains(r#"é\xc3"…, 201 bytes"#), "{odd}");
    }

    #[test]
    fn debug_tells_each_byte() {
        for (bytes, shown) in [
            (
                &b"\xff\0\x1b[2J"[..],
                r#"Frame("\xff\0\u{1b}[2J", 6 bytes)"#,
            ),
            // A backslash in the text is none of ours.
            (br"\xff", r#"Frame("\\xff", 4 bytes)"#),
            (b"\"", r#"Frame("\"", 1 byte)"#),
        ] {
            assert_eq!(format!("{:?}", Frame::from(bytes)), shown);
        }
    }
}
