//! The protocol as pure state machines: bytes in, events out. No sockets, no threads, no clock.
