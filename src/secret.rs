//! Bytes that are to be seen by nobody who need not.

use std::fmt;
use std::hint::black_box;

/// A password. What it is shows neither in `Debug`, nor in the options of a socket, nor in the log, and its memory is overwritten when it
/// is dropped.
///
/// Two are compared in a time that depends on their lengths alone.
///
/// ```
/// let password = zerohop::Secret::from("tiger");
/// assert_eq!(format!("{password:?}"), "***");
/// assert_eq!(password.expose(), b"tiger");
/// ```
#[derive(Clone, Default)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// The bytes, for whoever needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        same_in_constant_time(&self.0, &other.0)
    }
}

impl Eq for Secret {}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.fill(0);
        // So that the compiler does not leave it out, since nobody reads it.
        black_box(&mut *self.0);
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.as_bytes().into())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret::from(text.into_bytes())
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Secret {
        Secret(bytes.into())
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Secret {
        // To shrink it could leave a copy behind.
        let secret = Secret(bytes.as_slice().into());
        drop(Secret(fill_up(bytes)));
        secret
    }
}

/// All the memory of a vector, to be overwritten.
fn fill_up(mut bytes: Vec<u8>) -> Box<[u8]> {
    bytes.resize(bytes.capacity(), 0);
    bytes.into_boxed_slice()
}

/// Whether they are the same, without telling by the time it takes where they differ.
pub(crate) fn same_in_constant_time(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let different = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    black_box(different) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_compared_and_not_shown() {
        assert_eq!(Secret::from("a"), Secret::from(b"a".to_vec()));
        assert_ne!(Secret::from("a"), Secret::from("b"));
        assert_ne!(Secret::from("a"), Secret::from("aa"));
        assert_eq!(format!("{:?}", Some(Secret::from("tiger"))), "Some(***)");
        assert!(Secret::default().is_empty());
    }
}
