//! A stranger on the wire between a server of CURVE and a client of ours: what either says passes through the test's hands, frame by frame.

use std::net::TcpListener;
use std::time::Duration;

use zerohop::{Context, KeyPair, Monitor, Options, Pull, Push};

use super::raw::{RawPeer, frame};

/// A PULL that is a server of CURVE, and the keys of a client that it lets in.
pub(crate) struct Victim {
    pub(crate) pull: Pull,
    pub(crate) monitor: Monitor,
    pub(crate) endpoint: String,
    server: KeyPair,
    client: KeyPair,
}

impl Victim {
    pub(crate) fn new() -> Victim {
        Victim::with(Options::new())
    }

    pub(crate) fn with(options: Options) -> Victim {
        Victim::within(&Context::new(), options)
    }

    pub(crate) fn within(context: &Context, options: Options) -> Victim {
        let keys = || KeyPair::generate().expect("random bytes");
        let (server, client) = (keys(), keys());
        let options = options.curve_server(&server).allow([client.public()]);
        let pull = Pull::with_options(context, options).expect("a PULL");
        let monitor = pull.monitor();
        let endpoint = pull.bind("tcp://127.0.0.1:*").expect("bound").to_string();
        Victim {
            pull,
            monitor,
            endpoint,
            server,
            client,
        }
    }

    /// Options of a client that is let in.
    pub(crate) fn friend(&self) -> Options {
        Options::new()
            .curve_client(&self.client, self.server.public())
            .linger(Duration::ZERO)
    }

    pub(crate) fn push(&self, endpoint: &str) -> Push {
        let options = self.friend().reconnect_interval(None);
        let push = Push::with_options(&Context::new(), options).expect("a PUSH");
        push.connect(endpoint).expect("connected");
        push
    }
}

/// Both ends of the wire, as the stranger has them.
pub(crate) struct Between {
    pub(crate) push: Push,
    pub(crate) client: RawPeer,
    pub(crate) server: RawPeer,
}

impl Between {
    /// Greetings have been passed on.
    pub(crate) fn greeted(victim: &Victim) -> Between {
        Between::greeted_by(victim, RawPeer::connect(&victim.endpoint))
    }

    /// The same by a connection to the server that is there.
    pub(crate) fn greeted_by(victim: &Victim, server: RawPeer) -> Between {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let near = listener.local_addr().expect("an address");
        let push = victim.push(&format!("tcp://{near}"));
        let client = RawPeer::accept(&listener);
        let mut between = Between {
            push,
            client,
            server,
        };
        // The signature, and what follows when the other side's is there.
        for part in [11, 53] {
            let bytes = between.client.read(part);
            between.server.write(&bytes);
            let bytes = between.server.read(part);
            between.client.write(&bytes);
        }
        between
    }

    /// The next frame that the client says.
    pub(crate) fn client_says(&mut self) -> Vec<u8> {
        let (flags, body) = self.client.read_frame();
        frame(flags, &body)
    }

    /// Passes one on from the client, and gives it.
    pub(crate) fn forward(&mut self) -> Vec<u8> {
        let said = self.client_says();
        self.server.write(&said);
        said
    }

    /// Passes one on from the server, and gives it.
    pub(crate) fn back(&mut self) -> Vec<u8> {
        let (flags, body) = self.server.read_frame();
        let said = frame(flags, &body);
        self.client.write(&said);
        said
    }

    /// HELLO has been answered, and INITIATE is on its way: gives both.
    pub(crate) fn initiating(victim: &Victim) -> (Between, Vec<u8>, Vec<u8>) {
        let mut between = Between::greeted(victim);
        let hello = between.forward();
        between.back();
        let initiate = between.client_says();
        (between, hello, initiate)
    }

    /// The handshake is done.
    pub(crate) fn established(victim: &Victim) -> Between {
        let (mut between, _, initiate) = Between::initiating(victim);
        between.server.write(&initiate);
        between.back();
        between
    }

    /// What the client makes of a message.
    pub(crate) fn sealed(&mut self, message: &str) -> Vec<u8> {
        self.push.send(message).expect("queued");
        self.client_says()
    }
}
