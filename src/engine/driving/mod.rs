//! Who drives a socket, and when: the application's calls, or the context's caretaker.
//!
//! | file | what |
//! |---|---|
//! | `core` | one socket: its state lock, its seat, the way in for every call, closing |
//! | `time_slice` | how long a turn of whoever drives may take |
//! | `caretaker`, `deadlines` | the background thread, and when each of its sockets is due |
//! | `attention`, `presence`, `mailbox`, `ready_list`, `lingering`, `question`, `budget` | hand-overs between threads |
//! | `levels` | whether a call would wait, for whoever watches that from outside of the calls |
//! | `reactor` | the reactor of a runtime, which drives a socket that tasks wait for |
//! | `timers`, `wait`, `busy_poll`, `runtime_load` | the deadlines of a socket, how long calls wait, and how long they look before they sleep; tasks as well, where no other is ready |
//! | `left` | what a thread has left to gather, and writes before it does something else |
//! | `left_notes` | hand-over: what the caretaker remembers of that |
//! | `later` | code of the application, put off until no lock is held |
//! | `context`, `polls`, `latest` | what the sockets of a context share; polls of closed sockets for new ones; what they have alike |

pub(super) mod attention;
pub(super) mod budget;
pub(super) mod busy_poll;
pub(super) mod caretaker;
pub(super) mod context;
pub(super) mod core;
pub(super) mod deadlines;
pub(super) mod later;
pub(super) mod latest;
pub(super) mod left;
pub(super) mod left_notes;
pub(super) mod levels;
pub(super) mod lingering;
pub(super) mod mailbox;
pub(super) mod polls;
pub(super) mod presence;
pub(super) mod question;
pub(super) mod reactor;
pub(super) mod ready_list;
pub(super) mod runtime_load;
pub(super) mod time_slice;
pub(super) mod timers;
pub(super) mod wait;
