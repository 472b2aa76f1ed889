//! When to write: at once, or with more messages behind.
//!
//! | file | what |
//! |---|---|
//! | `pacer` | judges by cost whether a sender writes each message by itself |
//! | `gathering` | how long the messages of a stream gather, and what the caretaker knows of it |

pub(super) mod gathering;
pub(super) mod pacer;
