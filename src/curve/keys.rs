//! Keys: who somebody is (public), and how they prove it (secret).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::OnceLock;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{KEY, KeyError, random};
use crate::key_text;
use crate::process::Process;

/// Who somebody is: given to all who are to recognise them. 32 bytes; as text, 40 characters of Z85 (RFC 32).
///
/// ```
/// use zerohop::PublicKey;
///
/// let key: PublicKey = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID".parse()?;
/// assert_eq!(key.to_string(), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
/// assert_eq!(key.to_hex().parse::<PublicKey>()?, key);
/// # Ok::<(), zerohop::KeyError>(())
/// ```
#[derive(Clone, Copy)]
pub struct PublicKey([u8; KEY]);

impl PublicKey {
    /// The key with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> PublicKey {
        PublicKey(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// It in Z85, as libzmq and pyzmq give it. The same as its [`Display`](fmt::Display).
    pub fn to_z85(&self) -> String {
        key_text::to_z85(&self.0)
    }

    /// It in hexadecimal digits.
    pub fn to_hex(&self) -> String {
        key_text::to_hex(&self.0)
    }
}

impl From<PublicKey> for [u8; KEY] {
    fn from(key: PublicKey) -> [u8; KEY] {
        key.0
    }
}

/// In a time that does not depend on the keys.
impl PartialEq for PublicKey {
    fn eq(&self, other: &PublicKey) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_z85())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// From Z85, or from hexadecimal digits.
impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        let mut key = [0; KEY];
        key_text::parse(text, &mut key)?;
        Ok(PublicKey(key))
    }
}

/// How somebody proves who they are: known to nobody else. Its memory is overwritten when it is dropped, and its `Debug` does not show
/// it. Secret keys are compared in a time that does not depend on them.
///
/// ```
/// use zerohop::SecretKey;
///
/// let key: SecretKey = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6".parse()?;
/// assert_eq!(key.public_key().to_z85(), "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7");
/// assert_eq!(format!("{key:?}"), "SecretKey(***)");
/// # Ok::<(), zerohop::KeyError>(())
/// ```
#[derive(Clone, ZeroizeOnDrop)]
pub struct SecretKey {
    bytes: [u8; KEY],
    /// Computed once: it takes as long as a step of a handshake, and the checks of options ask for it, too.
    #[zeroize(skip)]
    public: OnceLock<PublicKey>,
    #[zeroize(skip)]
    process: Process,
}

impl Zeroize for SecretKey {
    fn zeroize(&mut self) {
        self.bytes.zeroize();
        self.public.take();
    }
}

impl SecretKey {
    fn new(bytes: [u8; KEY]) -> SecretKey {
        SecretKey {
            bytes,
            public: OnceLock::new(),
            process: Process::current(),
        }
    }

    /// The key with these bytes. The caller sees to it that no copy of them stays behind.
    pub fn from_bytes(bytes: [u8; 32]) -> SecretKey {
        let bytes = Zeroizing::new(bytes);
        SecretKey::new(*bytes)
    }

    /// Its bytes, for whoever needs them.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// It in Z85. The caller is answerable for the text, which is not overwritten when it is dropped.
    pub fn to_z85(&self) -> String {
        key_text::to_z85(&self.bytes)
    }

    /// It in hexadecimal digits. The caller is answerable for the text, which is not overwritten when it is dropped.
    pub fn to_hex(&self) -> String {
        key_text::to_hex(&self.bytes)
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> PublicKey {
        let compute = || {
            let mut public = [0; KEY];
            dryoc::classic::crypto_core::crypto_scalarmult_base(&mut public, &self.bytes);
            PublicKey(public)
        };
        match self.public.get() {
            Some(public) => *public,
            None if self.process.is_current() => *self.public.get_or_init(compute),
            // A forked child would wait for ever if another thread was computing it just then.
            None => compute(),
        }
    }
}

/// In a time that does not depend on the keys.
impl PartialEq for SecretKey {
    fn eq(&self, other: &SecretKey) -> bool {
        self.bytes.ct_eq(&other.bytes).into()
    }
}

impl Eq for SecretKey {}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(***)")
    }
}

/// From Z85, or from hexadecimal digits.
impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<SecretKey, KeyError> {
        let mut key = Zeroizing::new([0; KEY]);
        key_text::parse(text, &mut key)?;
        Ok(SecretKey::new(*key))
    }
}

/// A secret key and the public key that belongs to it: what a side of a CURVE connection has of its own.
///
/// ```
/// use zerohop::KeyPair;
///
/// let alice = KeyPair::generate()?;
/// println!("Tell the server that you are {}", alice.public());
/// assert_ne!(alice, KeyPair::generate()?);
/// # Ok::<(), zerohop::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPair {
    public: PublicKey,
    secret: SecretKey,
}

impl KeyPair {
    /// A new one, from the system's random bytes.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`]: the system has none to give, which does not happen on a system that has started.
    pub fn generate() -> Result<KeyPair, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY]);
        random(&mut *bytes).map_err(KeyError::Random)?;
        Ok(KeyPair::from(SecretKey::new(*bytes)))
    }

    /// The public key: who its owner is.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The secret key.
    pub fn secret(&self) -> &SecretKey {
        &self.secret
    }
}

/// The public key is computed.
impl From<SecretKey> for KeyPair {
    fn from(secret: SecretKey) -> KeyPair {
        KeyPair {
            public: secret.public_key(),
            secret,
        }
    }
}

impl From<&KeyPair> for KeyPair {
    fn from(keys: &KeyPair) -> KeyPair {
        keys.clone()
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let keys = KeyPair::generate().expect("random bytes");
        let shown = format!("{keys:?} {:?} {:#?}", keys.secret(), Some(&keys));
        assert!(shown.contains(&keys.public().to_z85()));
        for text in [keys.secret().to_z85(), keys.secret().to_hex()] {
            assert!(!shown.contains(&text), "{shown}");
            assert_eq!(text.parse().as_ref().ok(), Some(keys.secret()));
        }
    }

    #[test]
    fn keys_are_equal_by_all_their_bytes() {
        for at in 0..KEY {
            let mut bytes = [5; KEY];
            bytes[at] ^= 1;
            assert_ne!(PublicKey([5; KEY]), PublicKey(bytes));
            assert_ne!(SecretKey::new([5; KEY]), SecretKey::new(bytes));
        }
        assert_eq!(PublicKey([5; KEY]), PublicKey([5; KEY]));
    }

    /// Nearly all texts are none, and what is one says the same again.
    #[test]
    fn any_text_is_a_key_or_refused() {
        let mut random = 42_u64;
        let mut next = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let good = KeyPair::generate().expect("random bytes");
        let mut read = 0;
        for _ in 0..20_000 {
            let mut text = match next() % 2 {
                0 => good.public().to_z85().into_bytes(),
                _ => good.public().to_hex().into_bytes(),
            };
            for _ in 0..next() % 3 {
                let at = (next() % text.len() as u64) as usize;
                text[at] = next() as u8;
            }
            text.truncate(text.len() - usize::from(next() % 8 == 0));
            let text = String::from_utf8_lossy(&text).into_owned();
            let Ok(key) = text.parse::<PublicKey>() else {
                continue;
            };
            read += 1;
            let again = [key.to_z85(), key.to_hex().to_lowercase()];
            assert!(again.contains(&text) || again.contains(&text.to_lowercase()));
        }
        assert!((5_000..20_000).contains(&read), "{read}");
    }

    #[test]
    fn an_overwritten_key_is_zero() {
        let mut key = SecretKey::new([5; KEY]);
        let before = key.public_key();
        key.zeroize();
        assert_eq!(key.bytes, [0; KEY]);
        assert_ne!(key.public_key(), before, "that of zeros");
    }
}
