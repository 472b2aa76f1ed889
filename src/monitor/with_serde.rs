//! How an [`Event`] is written: as a map with its name and what it knows.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Event;
use crate::zmtp::PeerFacts;

/// The texts of properties, by their names.
struct Properties<'a>(&'a PeerFacts);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let properties = self.0.properties();
        serializer.collect_map(
            properties.map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned())),
        )
    }
}

/// A map (feature `serde`): `version`, `socket_type`, `mechanism`, of a peer over `ipc` its `pid` and `uid`, and as `metadata` the properties, with U+FFFD where one is not UTF-8.
impl Serialize for PeerFacts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("version", &self.version().to_string())?;
        map.serialize_entry("socket_type", self.socket_type().name())?;
        map.serialize_entry("mechanism", self.mechanism())?;
        if let Some(ipc) = self.ipc_credentials() {
            map.serialize_entry("pid", &ipc.pid)?;
            map.serialize_entry("uid", &ipc.uid)?;
        }
        map.serialize_entry("metadata", &Properties(self))?;
        map.end()
    }
}

/// A map (feature `serde`): `event` is the name, as in `handshake_failed`; then `endpoint`, `connection` and `peer` of those that are about one, and what
/// else the event knows, under the names of its fields. Causes and errors are the texts of their `Display`, `delay_ms` are milliseconds.
///
/// ```
/// use zerohop::Event;
///
/// let event = Event::Lost(3);
/// assert_eq!(serde_json::to_string(&event)?, r#"{"event":"lost","count":3}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("event", name_of(self))?;
        if let Some(endpoint) = self.endpoint() {
            map.serialize_entry("endpoint", endpoint)?;
        }
        if let Some(connection) = self.connection() {
            map.serialize_entry("connection", &connection.id)?;
            map.serialize_entry("peer", &connection.peer)?;
        }
        match self {
            Event::Listening { .. }
            | Event::ListenerClosed { .. }
            | Event::Accepted { .. }
            | Event::Connected { .. }
            | Event::Unacknowledged { .. }
            | Event::NoLog { .. } => {}
            Event::BindFailed { error, .. }
            | Event::AcceptFailed { error, .. }
            | Event::ConnectFailed { error, .. } => {
                map.serialize_entry("error", &error.to_string())?;
            }
            Event::Connecting { peer, .. } => map.serialize_entry("peer", peer)?,
            Event::RetryIn { delay, .. } => {
                map.serialize_entry("delay_ms", &(delay.as_secs_f64() * 1000.0))?;
            }
            Event::HandshakeSucceeded { facts, .. } => map.serialize_entry("facts", facts)?,
            Event::HandshakeFailed { cause, .. } | Event::Disconnected { cause, .. } => {
                map.serialize_entry("cause", &cause.to_string())?;
            }
            Event::MessageRefused { size, cause, .. } => {
                map.serialize_entry("size", size)?;
                map.serialize_entry("cause", &cause.to_string())?;
            }
            Event::SubscriptionRefused { length, cause, .. } => {
                map.serialize_entry("length", length)?;
                map.serialize_entry("cause", &cause.to_string())?;
            }
            Event::Gap { first, last, .. } => {
                map.serialize_entry("first", first)?;
                map.serialize_entry("last", last)?;
            }
            Event::SubscriberSlow { policy, .. } => {
                map.serialize_entry("policy", &policy.to_string())?;
            }
            Event::Lost(count) => map.serialize_entry("count", count)?,
        }
        map.end()
    }
}

fn name_of(event: &Event) -> &'static str {
    match event {
        Event::Listening { .. } => "listening",
        Event::ListenerClosed { .. } => "listener_closed",
        Event::BindFailed { .. } => "bind_failed",
        Event::AcceptFailed { .. } => "accept_failed",
        Event::Connecting { .. } => "connecting",
        Event::ConnectFailed { .. } => "connect_failed",
        Event::RetryIn { .. } => "retry_in",
        Event::Accepted { .. } => "accepted",
        Event::Connected { .. } => "connected",
        Event::HandshakeSucceeded { .. } => "handshake_succeeded",
        Event::HandshakeFailed { .. } => "handshake_failed",
        Event::Disconnected { .. } => "disconnected",
        Event::MessageRefused { .. } => "message_refused",
        Event::SubscriptionRefused { .. } => "subscription_refused",
        Event::Unacknowledged { .. } => "unacknowledged",
        Event::NoLog { .. } => "no_log",
        Event::Gap { .. } => "gap",
        Event::SubscriberSlow { .. } => "subscriber_slow",
        Event::Lost(_) => "lost",
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;
    use crate::monitor::{ConnectionInfo, DisconnectCause, IoFailure};
    use crate::{ConnectionId, PeerRefusal};

    fn json(event: &Event) -> String {
        serde_json::to_string(event).expect("JSON")
    }

    #[test]
    fn an_event_is_a_name_and_what_it_knows() {
        let connection = ConnectionInfo::new(ConnectionId::new(7), "tcp://*:1", "tcp://10.0.0.1:2");
        let cause = DisconnectCause::Refused(PeerRefusal::NoDelivery);
        let said = cause.to_string();
        let event = Event::Disconnected { connection, cause };
        let expected = format!(
            r#"{{"event":"disconnected","endpoint":"tcp://*:1","connection":7,"peer":"tcp://10.0.0.1:2","cause":"{said}"}}"#
        );
        assert_eq!(json(&event), expected);
    }

    #[test]
    fn what_is_about_no_connection_has_none() {
        let endpoint = String::from("tcp://host:1");
        let error = IoFailure::from(&io::Error::new(io::ErrorKind::TimedOut, "too late"));
        let failed = Event::ConnectFailed {
            endpoint: endpoint.clone(),
            error,
        };
        assert_eq!(
            json(&failed),
            r#"{"event":"connect_failed","endpoint":"tcp://host:1","error":"too late"}"#
        );
        let retry = Event::RetryIn {
            endpoint,
            delay: Duration::from_millis(1500),
        };
        assert_eq!(
            json(&retry),
            r#"{"event":"retry_in","endpoint":"tcp://host:1","delay_ms":1500.0}"#
        );
    }
}
