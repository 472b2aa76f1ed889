//! What can be wrong with a key.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::key_text::KeyTextError;

/// A key could not be read, written or made. Never says what a secret key is.
#[derive(Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is neither Z85 nor hexadecimal digits: its length is wrong.
    Length {
        /// How many characters it has.
        given: usize,
    },
    /// A character that does not occur in Z85, or in hexadecimal digits, as the length says.
    Character {
        /// Where in the text it is, counted from 0 in bytes.
        position: usize,
    },
    /// Five characters of Z85 that stand for more than four bytes hold.
    Overflow {
        /// Where in the text they begin.
        position: usize,
    },
    /// The file holds no such key.
    Missing {
        /// The file.
        path: PathBuf,
        /// What was looked for: `public` or `secret`.
        kind: &'static str,
    },
    /// What is in the file cannot be read as a key.
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: Box<KeyError>,
    },
    /// The public key in a file, or one that was given, does not belong to the secret key beside it.
    Mismatch,
    /// The file holds a secret key and others than its owner may read or change it.
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The system refused to read or write the file. One that exists is never overwritten.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system gave no random bytes.
    Random(io::Error),
}

impl KeyError {
    pub(super) fn io(path: &Path, error: io::Error) -> KeyError {
        let path = path.to_owned();
        KeyError::Io { path, error }
    }

    pub(super) fn malformed(path: &Path, error: KeyError) -> KeyError {
        KeyError::Malformed {
            path: path.to_owned(),
            error: Box::new(error),
        }
    }
}

impl From<KeyTextError> for KeyError {
    fn from(error: KeyTextError) -> KeyError {
        match error {
            KeyTextError::Length { given } => KeyError::Length { given },
            KeyTextError::Character { position } => KeyError::Character { position },
            KeyTextError::Overflow { position } => KeyError::Overflow { position },
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Length { given } => write!(
                f,
                "a key is 40 characters of Z85 or 64 hexadecimal digits, and these are {given} characters"
            ),
            KeyError::Character { position } => {
                write!(f, "character {} does not belong into a key", position + 1)
            }
            KeyError::Overflow { position } => write!(
                f,
                "the five characters from {} on stand for nothing in Z85",
                position + 1
            ),
            KeyError::Missing { path, kind } => {
                write!(f, "there is no {kind} key in {}", path.display())
            }
            KeyError::Malformed { path, error } => {
                write!(f, "no key can be read from {}: {error}", path.display())
            }
            KeyError::Mismatch => f.write_str("the public key does not belong to the secret key"),
            KeyError::Exposed { path, mode } => write!(
                f,
                "{} holds a secret key, and its permissions {mode:03o} let others than its owner have it; chmod 600 mends that",
                path.display()
            ),
            KeyError::Io { path, error } => write!(f, "{}: {error}", path.display()),
            KeyError::Random(error) => write!(f, "the system gives no random bytes: {error}"),
        }
    }
}

impl Error for KeyError {}

#[cfg(test)]
mod tests {
    use crate::PublicKey;

    #[test]
    fn says_what_is_wrong_with_a_text() {
        let wrong = |text: &str| text.parse::<PublicKey>().expect_err("no key").to_string();
        let good = "HelloWorld".repeat(4);
        assert!(wrong(&good[1..]).contains("39 characters"));
        assert!(wrong(&good.replace('W', "~")).contains("character 6 "));
        assert!(wrong(&"%nSc1".repeat(8)).contains("from 1 on"));
    }
}
