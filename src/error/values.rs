//! Errors of sending and receiving values of the application, which have to be written and read besides.

use std::error::Error;
use std::fmt;

use super::{RecvError, SendError};
use crate::message::{DecodeError, EncodeError, Message};

/// Why a value was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendValueError {
    /// It has no form in the format.
    Encode(EncodeError),
    /// The message that it became was not sent; it is in the error.
    Send(SendError),
}

impl fmt::Display for SendValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendValueError::Encode(error) => error.fmt(f),
            SendValueError::Send(error) => error.fmt(f),
        }
    }
}

impl Error for SendValueError {}

impl From<EncodeError> for SendValueError {
    fn from(error: EncodeError) -> SendValueError {
        SendValueError::Encode(error)
    }
}

impl From<SendError> for SendValueError {
    fn from(error: SendError) -> SendValueError {
        SendValueError::Send(error)
    }
}

/// Why no value was received.
#[non_exhaustive]
pub enum RecvValueError {
    /// No message was received.
    Recv(RecvError),
    /// A message was received, and is not such a value.
    Decode {
        /// What is wrong with it.
        error: DecodeError,
        /// The message, whole.
        message: Message,
    },
}

/// Without what is in the message, which may be nobody else's business.
impl fmt::Debug for RecvValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvValueError::Recv(error) => f.debug_tuple("Recv").field(error).finish(),
            RecvValueError::Decode { error, message } => f
                .debug_struct("Decode")
                .field("error", error)
                .field("message", &message.outline())
                .finish(),
        }
    }
}

impl fmt::Display for RecvValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvValueError::Recv(error) => error.fmt(f),
            RecvValueError::Decode { error, .. } => error.fmt(f),
        }
    }
}

impl Error for RecvValueError {}

impl From<RecvError> for RecvValueError {
    fn from(error: RecvError) -> RecvValueError {
        RecvValueError::Recv(error)
    }
}
