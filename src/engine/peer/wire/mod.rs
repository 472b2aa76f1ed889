//! The wire: all bytes to peers in other processes leave, and all bytes from them arrive, through this module. Only what is read to be thrown
//! away, when a connection ends, does not.
//!
//! ```text
//!  OutBuffer ──▶ Writer ──▶ Stream::write …  kernel  … Stream::read_spare ──▶ Reader ──▶ InBuffer
//!  plain frames   └─ puts around them what the connection wants             └─ takes it off      plain frames
//! ```
//!
//! | file | what |
//! |---|---|
//! | `writer` | [`Writer`]: the outgoing half of a connection |
//! | `reader` | [`Reader`]: the incoming half |
//! | `handshake` | bytes before there are messages |
//! | `sealed` | frames in MESSAGEs of CURVE |
//! | `raw` | no frames: bodies alone, for peers that speak no ZMTP |
//! | `records` | for the tests: an encoding that makes frames longer |
//! | `fuzzing` | what the fuzzer of the sealed reader calls |
//!
//! Both buffers hold plain ZMTP frames, whatever is on the wire. What is put around them is a variant of both halves: nothing, or MESSAGEs of
//! CURVE; or less than nothing, where bodies travel alone. Whoever adds another (WebSocket) keeps what belongs to the connection, such as keys, counters
//! and bytes that have not left yet, in the variant; `records` shows all that is needed.
//!
//! - *Out:* a writer takes whole frames from the out-buffer, and lets them go when all bytes that it has made of them have left. So
//!   what is there after a connection has broken are the messages that have not wholly left, in whichever form.
//! - *In:* a reader gives out plain frames, in pieces of any size. What it has read and not given out it must report as more to read. If
//!   what it has read is wrong, it gives out what came before, and then says so ([`Reader::take_violation`]).
//! - The outgoing half belongs to whoever writes: under the lock it is with the connection, and otherwise in the
//!   [`WriteJob`](super::writing::WriteJob). The incoming half is always under the lock.

#[cfg(all(any(test, feature = "fuzzing"), feature = "curve"))]
pub(in crate::engine) mod fuzzing;
mod handshake;
mod raw;
mod reader;
#[cfg(feature = "curve")]
mod sealed;
mod writer;

#[cfg(test)]
mod records;
#[cfg(test)]
mod tests;

pub(super) use handshake::{flush, read_some};
pub(super) use reader::{Came, Reader};
pub(super) use writer::Writer;

use crate::zmtp::{Limits, Security};

/// Both halves of a connection whose handshake is done. Limits are for what a reader has to store before anybody else can look at it, and `exact`
/// says that this memory is accounted for.
#[cfg_attr(not(feature = "curve"), expect(unused_variables))]
pub(super) fn halves(security: Security, limits: Limits, exact: bool) -> (Writer, Reader) {
    match security {
        Security::Clear => (Writer::Frames, Reader::Frames),
        Security::Raw => (Writer::Raw(raw::RawWriter::default()), Reader::Raw),
        #[cfg(feature = "curve")]
        Security::Sealed(session) => {
            let (sealer, opener) = session.split();
            (
                Writer::Sealed(Box::new(sealed::SealedWriter::new(sealer))),
                Reader::Sealed(Box::new(sealed::SealedReader::new(opener, limits, exact))),
            )
        }
    }
}
