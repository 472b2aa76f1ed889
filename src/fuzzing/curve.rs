//! CURVE: a genuine conversation, always the same, in which the input alters one command: its bytes are added to those of the command
//! without carry, and what is longer is appended. So an input of zeros is the command itself.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::curve::{KEY, KeyPair, SecretKey};
use crate::zmtp::{
    Announced, CurveConfig, CurveRole, Entropy, Established, FrameKind, Grant, Handshake,
    HandshakeConfig, MechanismConfig, ProtocolError, Sealer, Session, SocketType, own_metadata,
};

const GREETING: usize = 64;
const HELLO: usize = GREETING + 202;
const WELCOME: usize = GREETING + 170;

/// Any bytes as HELLO, to a server.
pub fn curve_hello(data: &[u8]) {
    alter(true, GREETING, HELLO, data);
}

/// Any bytes as INITIATE.
pub fn curve_initiate(data: &[u8]) {
    alter(true, HELLO, usize::MAX, data);
}

/// Any bytes as WELCOME, to a client.
pub fn curve_welcome(data: &[u8]) {
    alter(false, GREETING, WELCOME, data);
}

/// Any bytes as MESSAGE. Only the genuine one opens.
pub fn curve_message(data: &[u8]) {
    let (client, server) = Session::pair(3);
    let ((mut sealer, _), (_, mut opener)) = (client.split(), server.split());
    let body = b"what is said";
    let mut genuine = Vec::new();
    assert!(sealer.seal(FrameKind::More, body, &mut genuine));
    assert_eq!(genuine.len(), Sealer::sealed_len(body.len()));
    let genuine = &genuine[2..];
    let altered = add(genuine, data);
    let mut opened = altered.clone();
    match opener.open(&mut opened) {
        Ok((kind, frame)) => {
            assert_eq!((altered, kind), (genuine.to_vec(), FrameKind::More));
            assert_eq!(frame[2..], *body);
        }
        Err(_) => assert_eq!(opened, altered),
    }
}

fn add(genuine: &[u8], data: &[u8]) -> Vec<u8> {
    let common = genuine.len().min(data.len());
    let sum = genuine.iter().zip(data).map(|(one, other)| one ^ other);
    let rest = genuine[common..].iter().chain(&data[common..]);
    sum.chain(rest.copied()).collect()
}

/// Alters what one side has said from one place to another; the other side takes it, however it is cut.
fn alter(by_client: bool, from: usize, to: usize, data: &[u8]) {
    let (client, server) = SAID.get_or_init(converse);
    let said = if by_client { client } else { server };
    let to = to.min(said.len());
    let altered = [&said[..from], &add(&said[from..to], data), &said[to..]].concat();
    let mut whole = Side::new(by_client);
    whole.feed(&altered);
    let mut bytewise = Side::new(by_client);
    altered.chunks(1).for_each(|byte| bytewise.feed(byte));
    assert_eq!(whole.outcome, bytewise.outcome);
    assert_eq!(whole.out, bytewise.out);
    if altered == *said {
        assert!(matches!(whole.outcome, Some(Ok(_))));
    }
}

/// What a client and a server say to each other. It is always the same, and takes longer than all that is made of an input.
static SAID: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();

/// Those of the client, and of the server. Their keys take long to compute.
static CONFIGS: OnceLock<[Arc<HandshakeConfig>; 2]> = OnceLock::new();

fn converse() -> (Vec<u8>, Vec<u8>) {
    let (mut client, mut server) = (Side::new(false), Side::new(true));
    let (mut by_client, mut by_server) = (0, 0);
    while client.out.len() > by_client || server.out.len() > by_server {
        let (one, two) = (
            client.out[by_client..].to_vec(),
            server.out[by_server..].to_vec(),
        );
        by_client += one.len();
        by_server += two.len();
        server.feed(&one);
        client.feed(&two);
    }
    (client.out, server.out)
}

fn config(server: bool) -> Arc<HandshakeConfig> {
    let keys = |seed| KeyPair::from(SecretKey::from_bytes([seed; KEY]));
    let (socket_type, own, role) = match server {
        true => (SocketType::Pull, 1, CurveRole::Server),
        false => (SocketType::Push, 2, CurveRole::Client(keys(1).public())),
    };
    let mechanism = MechanismConfig::Curve(Arc::new(CurveConfig {
        keys: keys(own),
        role,
        entropy: Entropy::Fixed(own),
    }));
    Arc::new(HandshakeConfig {
        socket_type,
        routing_id: Bytes::new(),
        mechanism,
        authenticates: false,
        metadata: own_metadata(socket_type, b"", Announced::default()),
        max_command_size: 1000,
    })
}

struct Side {
    handshake: Handshake,
    input: Vec<u8>,
    out: Vec<u8>,
    outcome: Option<Result<Established, ProtocolError>>,
}

impl Side {
    fn new(server: bool) -> Side {
        let configs = CONFIGS.get_or_init(|| [config(false), config(true)]);
        let config = Arc::clone(&configs[usize::from(server)]);
        let mut out = Vec::new();
        Side {
            handshake: Handshake::new(config, &mut out),
            input: Vec::new(),
            out,
            outcome: None,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        if self.outcome.is_some() {
            return;
        }
        self.input.extend_from_slice(bytes);
        let mut established = match self.handshake.handle_input(&self.input, &mut self.out) {
            Err(error) => return self.outcome = Some(Err(error)),
            Ok((consumed, established)) => {
                self.input.drain(..consumed);
                established
            }
        };
        if self.handshake.take_question().is_some() {
            match self.handshake.admit(Grant::default(), &mut self.out) {
                Ok(done) => established = done,
                Err(error) => return self.outcome = Some(Err(error)),
            }
        }
        self.outcome = established.map(Ok);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzers do, in small: one byte altered, or a few, cut short or made longer.
    #[test]
    fn altered_conversations_keep_all_promises() {
        let mut state = 9_u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize
        };
        for target in [curve_hello, curve_initiate, curve_welcome, curve_message] {
            target(&[]);
            for _ in 0..150 {
                let mut data = vec![0; random() % 320];
                for _ in 0..random() % 3 {
                    let len = data.len();
                    if let Some(byte) = data.get_mut(random() % len.max(1)) {
                        *byte = random() as u8;
                    }
                }
                target(&data);
            }
        }
    }
}
