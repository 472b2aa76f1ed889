//! What CURVE is made of (RFC 26): keys, and boxes that only two of them open.
//!
//! | file | what |
//! |---|---|
//! | `keys` | [`PublicKey`], [`SecretKey`], [`KeyPair`]: made, compared, and as text |
//! | `files` | keys in files: ours, and those of pyzmq and czmq |
//! | `boxes` | a box of NaCl: sealed with a key that two sides have in common, and opened |
//! | `counted` | the same, for the many of a session, whose nonces are counters |
//! | `salsa20` | the stream cipher, for several short boxes at a time, and for pieces of long ones |
//! | `error` | [`KeyError`] |
//!
//! What keys are as text is in `key_text.rs`, which allow-lists need without this, too.
//!
//! The primitives are those of the crate `dryoc`: X25519, XSalsa20 and Poly1305 in Rust, with vector instructions where the processor has them. Why
//! that one, and what it costs, is in `docs/experiments.md`. Nothing here does arithmetic on secrets by itself but `salsa20`.

mod boxes;
mod counted;
mod error;
mod files;
mod keys;
mod salsa20;

pub(crate) use boxes::{BoxKey, MAC, NONCE, Nonce, counted, random};
pub(crate) use counted::{CountedBoxes, LongBox, PIECE, Stream};
pub use error::KeyError;
pub use keys::{KeyPair, PublicKey, SecretKey};

pub(crate) use crate::key_text::KEY;
