//! Values of the application, sent and received: a message in JSON or MessagePack each.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Channel, Client, Dealer, Gather, Pair, Pub, Pull, Push, RecvSocket, Scatter, SendSocket, Sub,
    Xpub,
};
use crate::error::{RecvValueError, SendValueError};
use crate::message::Message;

fn read<T>(
    message: Message,
    parse: impl FnOnce(&Message) -> Result<T, crate::DecodeError>,
) -> Result<T, RecvValueError> {
    match parse(&message) {
        Ok(value) => Ok(value),
        Err(error) => Err(RecvValueError::Decode { error, message }),
    }
}

/// The calls of one format, for each type that sends.
macro_rules! send_values {
    ($feature:literal, $format:literal, $send:ident, $from:ident: $($name:ident),+) => {$(
        #[cfg(feature = $feature)]
        impl $name {
            #[doc = concat!("Sends a value in ", $format, ", as [`send`](Self::send) does (feature `", $feature, "`).")]
            ///
            #[doc = concat!("For other forms of sending, and for a value among other frames: [`Message::", stringify!($from), "`].")]
            ///
            /// # Errors
            ///
            #[doc = concat!("The value has no form in ", $format, ", or its message was not sent.")]
            pub fn $send<T: Serialize + ?Sized>(
                &self,
                value: &T,
            ) -> Result<<$name as SendSocket>::Sent, SendValueError> {
                Ok(self.send(Message::$from(value)?)?)
            }
        }
    )+};
}

/// The calls of one format, for each type that receives.
macro_rules! recv_values {
    ($feature:literal, $format:literal, $recv:ident, $parse:ident: $($name:ident),+) => {$(
        #[cfg(feature = $feature)]
        impl $name {
            #[doc = concat!("Receives a value in ", $format, ", as [`recv`](Self::recv) does (feature `", $feature, "`).")]
            ///
            #[doc = concat!("For other forms of receiving, and for a value among other frames: [`Message::", stringify!($parse), "`].")]
            ///
            /// # Errors
            ///
            /// As `recv`; or what has come is not such a value: the error has the message.
            pub fn $recv<T: DeserializeOwned>(&self) -> Result<T, RecvValueError> {
                read(RecvSocket::recv(self)?, |message| message.$parse())
            }
        }
    )+};
}

send_values!("json", "JSON", send_json, from_json: Channel, Client, Dealer, Pair, Pub, Push, Scatter, Xpub);
send_values!("msgpack", "MessagePack", send_msgpack, from_msgpack: Channel, Client, Dealer, Pair, Pub, Push, Scatter, Xpub);
recv_values!("json", "JSON", recv_json, parse_json: Channel, Client, Dealer, Gather, Pair, Pull, Sub);
recv_values!("msgpack", "MessagePack", recv_msgpack, parse_msgpack: Channel, Client, Dealer, Gather, Pair, Pull, Sub);
