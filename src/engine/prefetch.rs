//! Asking the processor for memory before it is needed.

#![allow(unsafe_code)]

/// Has the line with the first byte of `bytes` fetched into the cache, and does not wait for it. No more than a hint.
#[inline]
pub(super) fn prefetch(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing that a program could see and cannot fail, whatever the address; this one is
        // that of a reference. Every x86-64 has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}
