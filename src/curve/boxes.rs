//! Boxes, as in NaCl: a text that is encrypted and authenticated with a key, and a nonce that is never used twice with it.

use std::io;

use dryoc::classic::crypto_box;
use zeroize::Zeroizing;

use super::{KEY, PublicKey, SecretKey};

/// What a box is longer than its text: the tag that shows that nobody has altered it.
pub(crate) const MAC: usize = 16;

/// The bytes of a nonce.
pub(crate) const NONCE: usize = 24;

/// A number used once with a key.
pub(crate) type Nonce = [u8; NONCE];

/// A nonce that is a counter.
pub(crate) fn counted(prefix: &[u8; 16], counter: u64) -> Nonce {
    let mut nonce = [0; NONCE];
    nonce[..16].copy_from_slice(prefix);
    nonce[16..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// A key that seals and opens boxes: what a secret key and the other side's public key have in common, or a secret of one side alone.
#[derive(Clone)]
pub(crate) struct BoxKey(Zeroizing<[u8; KEY]>);

impl BoxKey {
    /// What only the owners of these two keys can compute. `None` for a public key that has the same in common with every
    /// secret key, and so protects nothing.
    pub(crate) fn between(theirs: &PublicKey, ours: &SecretKey) -> Option<BoxKey> {
        let shared = crypto_box::crypto_box_beforenm(theirs.as_bytes(), ours.as_bytes());
        shared.ok().map(|key| BoxKey(Zeroizing::new(key)))
    }

    /// A secret of one side.
    pub(crate) fn from_bytes(key: &[u8; KEY]) -> BoxKey {
        BoxKey(Zeroizing::new(*key))
    }

    pub(super) fn as_bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    /// Encrypts the text where it is, and gives its tag.
    pub(crate) fn seal(&self, nonce: &Nonce, text: &mut [u8]) -> [u8; MAC] {
        let mut mac = [0; MAC];
        crypto_box::crypto_box_detached_afternm_inplace(text, &mut mac, nonce, &self.0);
        mac
    }

    /// Decrypts a text where it is. `false`: the tag is not that of this text, key and nonce, and the text is as it was.
    #[must_use]
    pub(crate) fn open(&self, nonce: &Nonce, mac: &[u8; MAC], text: &mut [u8]) -> bool {
        crypto_box::crypto_box_open_detached_afternm_inplace(text, mac, nonce, &self.0).is_ok()
    }

    /// Decrypts a text into memory of the same length. `false`: the tag is not that of this text, key and nonce, and what is in that
    /// memory means nothing.
    #[must_use]
    pub(crate) fn open_into(
        &self,
        nonce: &Nonce,
        mac: &[u8; MAC],
        sealed: &[u8],
        text: &mut [u8],
    ) -> bool {
        crypto_box::crypto_box_open_detached_afternm(text, sealed, mac, nonce, &self.0).is_ok()
    }
}

/// Fills `bytes` with what nobody can foretell.
pub(crate) fn random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<const N: usize>(hex: &str) -> [u8; N] {
        let digit = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("a digit");
        std::array::from_fn(digit)
    }

    /// The example of "Cryptography in NaCl" (D. J. Bernstein), which every implementation has to reproduce.
    #[test]
    fn makes_the_box_of_the_nacl_paper() {
        let alice = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
        let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
        let both = BoxKey::between(
            &PublicKey::from_bytes(bytes(alice)),
            &SecretKey::from_bytes(bytes(bob)),
        );

        let key: [u8; 32] =
            bytes("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
        assert_eq!(*both.expect("a good key").0, key);
        let nonce: Nonce = bytes("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
        let mut text: [u8; 131] = bytes(concat!(
            "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f4",
            "1db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52",
            "f0a089bc76897040e082f937763848645e0705"
        ));
        let plain = text;
        let mac = BoxKey::from_bytes(&key).seal(&nonce, &mut text);
        assert_eq!(mac, bytes("f3ffc7703f9400e52a7dfb4b3d3305d9"));
        assert_eq!(text[..8], bytes::<8>("8e993b9f48681273"));
        assert!(BoxKey::from_bytes(&key).open(&nonce, &mac, &mut text));
        assert_eq!(text, plain);
    }

    #[test]
    fn what_was_altered_does_not_open() {
        let key = BoxKey::from_bytes(&[7; 32]);
        for len in [0, 1, 31, 32, 33, 64, 255, 1000, 5000] {
            let plain: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let mut sealed = plain.clone();
            let mac = key.seal(&[1; NONCE], &mut sealed);
            let mut into = vec![0; len];
            assert!(key.open_into(&[1; NONCE], &mac, &sealed, &mut into));
            assert_eq!(into, plain);
            let before = sealed.clone();
            let mut bad = mac;
            bad[len % MAC] ^= 1;
            assert!(!key.open(&[1; NONCE], &bad, &mut sealed));
            assert!(!key.open(&[2; NONCE], &mac, &mut sealed));
            assert!(!BoxKey::from_bytes(&[8; 32]).open(&[1; NONCE], &mac, &mut sealed));
            assert_eq!(sealed, before);
            if let Some(byte) = sealed.last_mut() {
                *byte ^= 0x80;
                assert!(!key.open(&[1; NONCE], &mac, &mut sealed));
                assert!(!key.open_into(&[1; NONCE], &mac, &sealed, &mut into));
            }
        }
    }

    #[test]
    fn a_key_that_is_no_secret_is_refused() {
        let ours = SecretKey::from_bytes([3; 32]);
        let mut one = [0; 32];
        one[0] = 1;
        for weak in [[0; 32], one] {
            assert!(BoxKey::between(&PublicKey::from_bytes(weak), &ours).is_none());
        }
    }
}
