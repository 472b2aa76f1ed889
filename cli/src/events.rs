//! What happens to the socket's connections: as lines of JSON, in words, and as the reason when nothing moves.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use zerohop::{
    ConnectionId, ConnectionInfo, DisconnectCause, Event, IoFailure, Monitor, PeerRefusal,
};

use crate::args::SocketArgs;
use crate::console;

/// As many different things are told before one may be told again.
const MOST_TOLD: usize = 1000;

/// A thread that reads the socket's events until the socket is closed.
pub(crate) struct Watch {
    trouble: Arc<Mutex<Option<String>>>,
    refused: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

/// What is printed of the events.
#[derive(Clone, Copy)]
struct Style {
    json: bool,
    words: bool,
    /// Only what keeps messages from moving, each thing once.
    troubles: bool,
    /// What peers or we refuse, each thing once: nobody is to learn of that by looking for what is missing.
    refusals: bool,
    /// Peers have to have a key.
    server_key: bool,
}

impl Watch {
    pub(crate) fn start(monitor: Monitor, args: &SocketArgs) -> Watch {
        let style = Style {
            json: args.monitor,
            words: args.verbose,
            troubles: console::is_interactive() && !args.quiet && !args.verbose && !args.monitor,
            refusals: !args.quiet && !args.verbose && !args.monitor,
            server_key: args.security.server_key.is_some(),
        };
        let refused = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&refused);
        let trouble = Arc::new(Mutex::new(None));
        let last = Arc::clone(&trouble);
        let thread = thread::spawn(move || watch(monitor, style, &last, &count));
        Watch {
            trouble,
            refused,
            thread,
        }
    }

    /// The last trouble, if it is not over, for the end of a sentence.
    pub(crate) fn trouble(&self) -> String {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble
            .as_ref()
            .map(|trouble| format!(" ({trouble})"))
            .unwrap_or_default()
    }

    /// The number of messages that have been given up because no peer takes them; final when the session is closed.
    pub(crate) fn refused(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.refused)
    }

    /// Waits for the last events of a socket that has been closed.
    pub(crate) fn finish(self) -> String {
        let trouble = self.trouble();
        // It prints; it can't have failed.
        let _ = self.thread.join();
        trouble
    }
}

fn watch(monitor: Monitor, style: Style, last: &Mutex<Option<String>>, refused: &AtomicU64) {
    let mut told = HashSet::new();
    let mut visitors = HashSet::new();
    for event in monitor {
        // Whoever makes trouble under ever new names is not to fill our memory.
        if told.len() > MOST_TOLD {
            told.clear();
        }
        let visits = is_visit(&event, &mut visitors);
        if style.json {
            console::say(&to_json(&event).to_string());
        }
        if style.words {
            console::say(&format!("zerohop: {event}"));
        }
        if let Some((what, why)) = refusal_of(&event).or_else(|| plain_peer_of(&event))
            && style.refusals
            && told.insert(why.clone())
        {
            console::say(&format!("zerohop: {what}{why}"));
        }
        let stranger = visits.then(|| stranger_of(&event)).flatten();
        if let Some((who, what)) = &stranger
            && style.refusals
            && told.insert(what.clone())
        {
            console::say(&format!("zerohop: turned away {who}{what}"));
        }
        if let Some(gap) = gap_of(&event)
            && style.refusals
        {
            console::say(&format!("zerohop: {gap}"));
        }
        if matches!(event, Event::MessageRefused { .. }) {
            refused.fetch_add(1, Ordering::Relaxed);
        }
        let trouble = match stranger {
            Some((who, what)) => Some(format!("turned away {who}{what}")),
            None => trouble_of(&event, style.server_key),
        };
        if let Some(trouble) = &trouble
            && !visits
            && style.troubles
            && told.insert(trouble.clone())
        {
            console::say(&format!("zerohop: {trouble}; trying again"));
        }
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            // It is no trouble unless that is the last that is heard of it.
            Event::Connected { connection } => *last = Some(not_answered(&connection)),
            Event::HandshakeSucceeded { .. } => *last = None,
            _ if trouble.is_some() => *last = trouble,
            _ => {}
        }
    }
}

/// Whether the event is about a connection that somebody else has made. Nobody here tries that again.
fn is_visit(event: &Event, visitors: &mut HashSet<ConnectionId>) -> bool {
    match event {
        Event::Accepted { connection } => visitors.insert(connection.id),
        // There is no other event of it.
        Event::HandshakeFailed {
            cause: DisconnectCause::AddressLimit(_),
            ..
        } => true,
        Event::HandshakeSucceeded { connection, .. }
        | Event::HandshakeFailed { connection, .. } => visitors.remove(&connection.id),
        _ => false,
    }
}

/// Who has come to us and was not let in, and where and why: the same for all who come so.
fn stranger_of(event: &Event) -> Option<(String, String)> {
    let Event::HandshakeFailed { connection, cause } = event else {
        return None;
    };
    let ConnectionInfo { endpoint, peer, .. } = connection;
    let who = if peer.is_empty() { "somebody" } else { peer };
    Some((
        who.to_owned(),
        format!(" at {endpoint}: {}", cause_in_words(cause)),
    ))
}

/// What a peer does not take from us, or we from it, and who it is and why.
fn refusal_of(event: &Event) -> Option<(String, String)> {
    let (what, connection, why) = match event {
        Event::MessageRefused {
            connection,
            size,
            cause,
        } => {
            let what = format!("a message of {size} bytes was refused by ");
            (what, connection, cause.to_string())
        }
        Event::SubscriptionRefused {
            connection,
            length,
            cause,
        } => {
            let what = format!("a topic of {length} bytes was refused by ");
            (what, connection, cause.to_string())
        }
        Event::Disconnected {
            connection,
            cause: DisconnectCause::Protocol(error),
        } => ("disconnected ".to_owned(), connection, error.to_string()),
        _ => return None,
    };
    let ConnectionInfo { endpoint, peer, .. } = connection;
    // A unix socket's peer has no address.
    let who = if peer.is_empty() { endpoint } else { peer };
    Some((what, format!("{who}: {why}")))
}

/// Who does not settle messages, or ask for that, though this socket does; and where and why: the same for all who come so.
fn plain_peer_of(event: &Event) -> Option<(String, String)> {
    let (what, connection, why) = match event {
        Event::Unacknowledged { connection } => (
            "nothing is settled with",
            connection,
            PeerRefusal::NoDelivery.to_string(),
        ),
        Event::NoLog { connection } => (
            "nothing from before now comes from",
            connection,
            "it has no log".to_owned(),
        ),
        Event::Disconnected {
            connection,
            cause:
                DisconnectCause::Refused(
                    why @ (PeerRefusal::NoDelivery
                    | PeerRefusal::NotIdempotent
                    | PeerRefusal::MalformedDelivery),
                ),
        } => ("turned away", connection, why.to_string()),
        _ => return None,
    };
    let ConnectionInfo { endpoint, peer, .. } = connection;
    let who = if peer.is_empty() { "somebody" } else { peer };
    Some((format!("{what} {who}"), format!(" at {endpoint}: {why}")))
}

/// Messages that are missing.
fn gap_of(event: &Event) -> Option<String> {
    let Event::Gap {
        connection,
        first,
        last,
    } = event
    else {
        return None;
    };
    let ConnectionInfo { endpoint, peer, .. } = connection;
    let who = if peer.is_empty() { endpoint } else { peer };
    Some(format!(
        "messages {first} to {last} are gone from the log of {who}"
    ))
}

/// What keeps messages from moving, in words for somebody who has just mistyped a port.
fn trouble_of(event: &Event, server_key: bool) -> Option<String> {
    match event {
        Event::ConnectFailed { endpoint, error } => {
            Some(format!("{endpoint}: {}", connect_trouble(error)))
        }
        // We have closed it ourselves.
        Event::HandshakeFailed {
            cause: DisconnectCause::LocalClose,
            ..
        } => None,
        // A server says nothing to whoever means another one.
        Event::HandshakeFailed {
            connection,
            cause: DisconnectCause::PeerClosed | DisconnectCause::Reset,
        } if server_key => Some(format!(
            "{}: the peer hung up during the handshake; it may not have the key of --server-key",
            connection.endpoint
        )),
        Event::HandshakeFailed { connection, cause } => Some(format!(
            "{}: {}",
            connection.endpoint,
            cause_in_words(cause)
        )),
        _ => None,
    }
}

fn not_answered(connection: &ConnectionInfo) -> String {
    format!(
        "{}: somebody is there and has not answered; do they speak ZMTP?",
        connection.endpoint
    )
}

fn connect_trouble(error: &IoFailure) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody is listening there".to_owned(),
        io::ErrorKind::NotFound => "there is no such socket".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => error.to_string(),
    }
}

fn cause_in_words(cause: &DisconnectCause) -> String {
    match cause {
        DisconnectCause::PeerClosed | DisconnectCause::Reset => {
            "the peer hung up during the handshake; its socket type may not fit".to_owned()
        }
        _ => cause.to_string(),
    }
}

/// An event as a JSON object: `event`, `time` in seconds since 1970, and what the event knows.
fn to_json(event: &Event) -> Value {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let mut object = match serde_json::to_value(event) {
        Ok(Value::Object(object)) => object,
        // An event is a map of names, numbers and texts, for which there is always JSON.
        _ => Map::new(),
    };
    let time = json!(now.as_millis() as f64 / 1000.0);
    object.shift_insert(object.len().min(1), "time".to_owned(), time);
    Value::Object(object)
}
