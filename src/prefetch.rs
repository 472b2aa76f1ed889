//! Asking the processor for memory before it is needed. No more than hints, of which no result can depend.

#![allow(unsafe_code)]

use crate::sync::AtomicU64;

/// Has the line with the first byte of `bytes` fetched into the cache, and does not wait for it.
#[inline]
pub(crate) fn prefetch(bytes: &[u8]) {
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

/// Has the line with `word` fetched into the cache, and taken out of all others: a store to it does then not wait for that.
#[inline]
pub(crate) fn prefetch_to_write(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above, nothing that a program could see. Every x86-64 takes the instruction, old ones do nothing for it. The
    // intrinsic would come to a prefetch for reading, unless the whole program is compiled for newer processors.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) word.as_ptr(), options(nostack, preserves_flags));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}
