//! Options of libzmq's sockets that the `zmq` crate has no words for.

use std::ffi::{c_int, c_void};

pub(crate) const ZMQ_XPUB_MANUAL: c_int = 71;
pub(crate) const ZMQ_INVERT_MATCHING: c_int = 74;

/// Sets one whose value is a number.
#[allow(unsafe_code)]
pub(crate) fn set(socket: &mut zmq::Socket, option: c_int, value: c_int) {
    // SAFETY: the socket lives, and the value is as long as is said.
    let result = unsafe {
        zmq_sys::zmq_setsockopt(
            socket.as_mut_ptr(),
            option,
            (&raw const value).cast::<c_void>(),
            size_of::<c_int>(),
        )
    };
    assert_eq!(result, 0, "libzmq takes {value} for option {option}");
}
