//! A socket of libzmq of a draft type, as a [`Peer`]. The crate `zmq` knows none of them.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;
use std::{env, ptr, slice};

use super::deadline::DEADLINE;
use super::part::Part;
use super::peer::Peer;

// Draft functions, which `zmq-sys` does not declare.
unsafe extern "C" {
    fn zmq_join(socket: *mut c_void, group: *const c_char) -> c_int;
    fn zmq_msg_set_routing_id(message: *mut zmq_sys::zmq_msg_t, id: u32) -> c_int;
    fn zmq_msg_routing_id(message: *mut zmq_sys::zmq_msg_t) -> u32;
    fn zmq_msg_set_group(message: *mut zmq_sys::zmq_msg_t, group: *const c_char) -> c_int;
    fn zmq_msg_group(message: *mut zmq_sys::zmq_msg_t) -> *const c_char;
}

/// `ZMQ_HELLO_MSG`.
pub(crate) const HELLO: c_int = 110;

const SERVER: c_int = 12;
const RADIO: c_int = 14;
const DISH: c_int = 15;
const PEER: c_int = 19;

/// The number of a type in zmq.h.
pub(crate) fn number(socket_type: &str) -> c_int {
    match socket_type {
        "SERVER" => SERVER,
        "CLIENT" => 13,
        "RADIO" => RADIO,
        "DISH" => DISH,
        "GATHER" => 16,
        "SCATTER" => 17,
        "PEER" => PEER,
        "CHANNEL" => 20,
        other => panic!("{other} is no draft type"),
    }
}

/// A socket and its context, for one thread.
pub(crate) struct Draft {
    context: *mut c_void,
    socket: *mut c_void,
    socket_type: c_int,
    /// Who has sent the message that was received last.
    routing_id: u32,
}

impl Draft {
    /// `None`, after a visible note, where libzmq was built without its draft API; under `CI` that is a panic.
    pub(crate) fn open(socket_type: c_int) -> Option<Draft> {
        // SAFETY: it reads a string.
        if unsafe { zmq_sys::zmq_has(c"draft".as_ptr()) } != 1 {
            let reason = "libzmq is built without its draft API: is CXXFLAGS set?";
            assert!(env::var_os("CI").is_none_or(|ci| ci.is_empty()), "{reason}");
            eprintln!("skipped: {reason}");
            return None;
        }
        // SAFETY: a context of our own, which is ended after the socket.
        let context = unsafe { zmq_sys::zmq_ctx_new() };
        // SAFETY: the context is there.
        let socket = unsafe { zmq_sys::zmq_socket(context, socket_type) };
        assert!(!socket.is_null(), "libzmq has no type {socket_type}");
        let mut draft = Draft {
            context,
            socket,
            socket_type,
            routing_id: 0,
        };
        let patience = DEADLINE.as_millis() as c_int;
        draft.set(zmq_sys::ZMQ_LINGER as c_int, &0_i32.to_ne_bytes());
        draft.set(zmq_sys::ZMQ_SNDTIMEO as c_int, &patience.to_ne_bytes());
        Some(draft)
    }

    pub(crate) fn set(&mut self, option: c_int, value: &[u8]) {
        // SAFETY: the socket is there, and the value is as long as is said.
        let result = unsafe {
            zmq_sys::zmq_setsockopt(self.socket, option, value.as_ptr().cast(), value.len())
        };
        assert_eq!(result, 0, "libzmq takes option {option}");
    }
}

/// A message of libzmq's that is closed when it is dropped.
struct Message(Box<zmq_sys::zmq_msg_t>);

impl Message {
    fn with(body: &[u8]) -> Message {
        // SAFETY: bytes, of which the next call makes a message.
        let mut message: Box<zmq_sys::zmq_msg_t> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: it is initialised here, and its data has this length.
        unsafe {
            assert_eq!(zmq_sys::zmq_msg_init_size(&raw mut *message, body.len()), 0);
            let data = zmq_sys::zmq_msg_data(&raw mut *message).cast::<u8>();
            ptr::copy_nonoverlapping(body.as_ptr(), data, body.len());
        }
        Message(message)
    }

    fn body(&mut self) -> Vec<u8> {
        let message = &raw mut *self.0;
        // SAFETY: libzmq says where the data is and how long.
        unsafe {
            let data = zmq_sys::zmq_msg_data(message).cast::<u8>();
            slice::from_raw_parts(data, zmq_sys::zmq_msg_size(message)).to_vec()
        }
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        // SAFETY: it is initialised.
        unsafe { zmq_sys::zmq_msg_close(&raw mut *self.0) };
    }
}

/// With the NUL that ends a string in C.
fn c_string(text: &[u8]) -> Vec<u8> {
    [text, &[0]].concat()
}

impl Peer for Draft {
    fn bind(&mut self, endpoint: &str) -> String {
        let endpoint = c_string(endpoint.as_bytes());
        let (mut bound, mut length) = ([0_u8; 256], 256);
        // SAFETY: strings that end with NUL, and a buffer that is as long as is said.
        let results = unsafe {
            [
                zmq_sys::zmq_bind(self.socket, endpoint.as_ptr().cast()),
                zmq_sys::zmq_getsockopt(
                    self.socket,
                    zmq_sys::ZMQ_LAST_ENDPOINT as c_int,
                    bound.as_mut_ptr().cast(),
                    &raw mut length,
                ),
            ]
        };
        assert_eq!(results, [0, 0], "libzmq binds");
        let bound = &bound[..length - 1];
        String::from_utf8(bound.to_vec()).expect("an endpoint in UTF-8")
    }

    fn connect(&mut self, endpoint: &str) {
        let endpoint = c_string(endpoint.as_bytes());
        // SAFETY: a string that ends with NUL.
        let result = unsafe { zmq_sys::zmq_connect(self.socket, endpoint.as_ptr().cast()) };
        assert_eq!(result, 0, "libzmq connects");
    }

    fn send(&mut self, parts: &[Part]) {
        let frames: Vec<Vec<u8>> = parts.iter().map(Part::to_frame).collect();
        let mut message = Message::with(frames.last().expect("a frame"));
        let raw = &raw mut *message.0;
        match self.socket_type {
            RADIO => {
                let group = c_string(&frames[0]);
                // SAFETY: a string that ends with NUL.
                let set = unsafe { zmq_msg_set_group(raw, group.as_ptr().cast()) };
                assert_eq!((set, frames.len()), (0, 2), "a group and a body");
            }
            SERVER | PEER => {
                // SAFETY: the message is initialised.
                let set = unsafe { zmq_msg_set_routing_id(raw, self.routing_id) };
                assert_eq!((set, frames.len()), (0, 1), "somebody has sent something");
            }
            _ => assert_eq!(frames.len(), 1, "one frame"),
        }
        // SAFETY: the message is initialised, and libzmq's once it is sent.
        let sent = unsafe { zmq_sys::zmq_msg_send(raw, self.socket, 0) };
        assert_ne!(sent, -1, "libzmq sends before the deadline");
    }

    fn recv_within(&mut self, patience: Duration) -> Option<Vec<Part>> {
        let patience = patience.as_millis() as c_int;
        self.set(zmq_sys::ZMQ_RCVTIMEO as c_int, &patience.to_ne_bytes());
        let mut message = Message::with(b"");
        let raw = &raw mut *message.0;
        // SAFETY: the message is initialised.
        if unsafe { zmq_sys::zmq_msg_recv(raw, self.socket, 0) } == -1 {
            return None;
        }
        let body = Part::from_frame(&message.body());
        match self.socket_type {
            DISH => {
                // SAFETY: libzmq gives a string that lives as long as the message.
                let group = unsafe { std::ffi::CStr::from_ptr(zmq_msg_group(raw)) };
                return Some(vec![Part::from_frame(group.to_bytes()), body]);
            }
            // SAFETY: the message is initialised.
            SERVER | PEER => self.routing_id = unsafe { zmq_msg_routing_id(raw) },
            _ => {}
        }
        Some(vec![body])
    }

    /// A group of a DISH.
    fn subscribe(&mut self, group: &str) {
        let group = c_string(group.as_bytes());
        // SAFETY: a string that ends with NUL.
        let joined = unsafe { zmq_join(self.socket, group.as_ptr().cast()) };
        assert_eq!(joined, 0, "libzmq joins");
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // SAFETY: both are there, and nobody else has them.
        unsafe {
            zmq_sys::zmq_close(self.socket);
            zmq_sys::zmq_ctx_term(self.context);
        }
    }
}
