//! The table of options. To add one, add a row; setter, docs, check and [`OPTION_TABLE`] follow.
//!
//! Names and numbers of libzmq are those of `zmq.h`; a row without them has no counterpart there.

use std::time::Duration;

use super::balancing::Balancing;
use super::change::Change::{AtOnce, Fixed, Later};
use super::curve::{CurveServer, PublicKey, SecretKey};
use super::delivery::Delivery;
use super::idempotent::Idempotent;
use super::log::Log;
use super::slow::SlowSubscriber;
use super::value::{
    OptionValue, any, buffer_size, from_1_ms, keepalive_time, up_to_a_second, up_to_longest,
};
use super::{LibzmqOption, OptionInfo, option_table};
use crate::{Allow, Frame, OptionError, Secret};

option_table! {
    /// How many messages may wait to be sent to one peer, counted until they are handed to the kernel.
    ///
    /// At the mark a PUSH, REQ or DEALER looks for another peer and waits for room if there is none; a PUB
    /// drops the message for that peer and counts the drop (but see [`pub_block`](Options::pub_block)), and so does a ROUTER (but see
    /// [`router_mandatory`](Options::router_mandatory)).
    /// Over inproc, where there is one queue between two sockets, the sender's mark and the receiver's add up.
    send_hwm(usize) -> usize {
        libzmq: "ZMQ_SNDHWM" = 23,
        sockets: [Push, Pub, Req, Rep, Dealer, Router, Pair, Xpub, Xsub, Stream, Scatter, Radio, Client, Server, Peer, Channel],
        change: AtOnce,
        unit: "messages",
        range: "any number, 0 is no limit", allows: any,
        default: 1000, "1000",
    }

    /// How many messages of one peer are taken in before the application has received them. Beyond,
    /// the peer's messages stay in the kernel, and then with the peer. A change does not hold for inproc connections that are there.
    recv_hwm(usize) -> usize {
        libzmq: "ZMQ_RCVHWM" = 24,
        sockets: [Pull, Sub, Req, Rep, Dealer, Router, Pair, Xpub, Xsub, Stream, Gather, Dish, Client, Server, Peer, Channel],
        change: AtOnce,
        unit: "messages",
        range: "any number, 0 is no limit", allows: any,
        default: 1000, "1000",
    }

    /// How many bytes may wait to be sent to one peer, with the headers of frames, counted until they are handed to the kernel. It holds beside
    /// [`send_hwm`](Options::send_hwm), and what happens at it is the same. A message that is longer is queued when no other waits
    /// for that peer. Over inproc it does not hold. 0 means no limit, as does libzmq, which counts messages only.
    send_hwm_bytes(usize) -> usize {
        sockets: [Push, Pub, Req, Rep, Dealer, Router, Pair, Xpub, Xsub, Stream, Scatter, Radio, Client, Server, Peer, Channel],
        change: Later,
        unit: "bytes",
        range: "any number, 0 is no limit", allows: any,
        default: 0, "0",
    }

    /// How many bytes of one peer are taken in before the application has received them, with the headers of frames. It holds beside
    /// [`recv_hwm`](Options::recv_hwm): once there is a whole message and so many bytes, the peer is not read from until half of them
    /// are received. One read more may come, of 64 KiB at most, and the rest of a message that has begun, which
    /// [`max_message_size`](Options::max_message_size) limits. What an XPUB has taken in for the application to receive is not counted, nor is inproc.
    recv_hwm_bytes(usize) -> usize {
        sockets: [Pull, Sub, Req, Rep, Dealer, Router, Pair, Xpub, Xsub, Stream, Gather, Dish, Client, Server, Peer, Channel],
        change: Later,
        unit: "bytes",
        range: "any number, 0 is no limit", allows: any,
        default: 0, "0",
    }

    /// How long closing a socket goes on delivering messages that are still unsent, and waits for peers to read
    /// what has been sent; those left then are dropped. 0 drops them at once, `None` never gives up. libzmq's default is never.
    linger(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_LINGER" = 17,
        sockets: [Push, Pub, Req, Rep, Dealer, Router, Pair, Xpub, Xsub, Stream, Scatter, Radio, Client, Server, Peer, Channel],
        change: AtOnce,
        unit: "time",
        range: "0 to 365 days, or none for no end", allows: up_to_longest,
        default: Some(Duration::from_secs(30)), "30 s",
    }

    /// How long a blocking send waits for room. `None` waits for ever, 0 not at all.
    send_timeout(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_SNDTIMEO" = 28,
        sockets: [Push, Pub, Req, Rep, Dealer, Router, Pair, Xpub, Xsub, Stream, Scatter, Radio, Client, Server, Peer, Channel],
        change: AtOnce,
        unit: "time",
        range: "0 to 365 days, or none for no end", allows: up_to_longest,
        default: None, "none",
    }

    /// How long a blocking receive waits for a message. `None` waits for ever, 0 not at all.
    recv_timeout(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_RCVTIMEO" = 27,
        sockets: [Pull, Sub, Req, Rep, Dealer, Router, Pair, Xpub, Xsub, Stream, Gather, Dish, Client, Server, Peer, Channel],
        change: AtOnce,
        unit: "time",
        range: "0 to 365 days, or none for no end", allows: up_to_longest,
        default: None, "none",
    }

    /// Whether messages are settled by who receives them, and delivered again until they are: see [`Delivery`]. Both sides have to ask for it; with a
    /// peer that does not, the socket does what it does without, and a monitor is told
    /// ([`Event::Unacknowledged`](crate::Event::Unacknowledged)). Over inproc nothing is settled.
    ///
    /// DEALER and ROUTER have it in both directions; what a ROUTER sends is for one peer, and never goes to another. On the two it goes neither with a spool nor with
    /// [`probe_router`](Options::probe_router), [`router_raw`](Options::router_raw), [`hello_message`](Options::hello_message),
    /// [`disconnect_message`](Options::disconnect_message) and [`hiccup_message`](Options::hiccup_message).
    ///
    /// With it [`send_hwm`](Options::send_hwm) counts all messages of the socket that are not settled, with a ROUTER those for each peer. By name it is `at_least_once` or
    /// `required`, and what differs from the defaults: `at_least_once, window=16, limit=5`; besides these there are `ttl`, `ordered_by`, `job_timeout`, `grace`, `backoff_first`,
    /// `backoff_longest` and `keep_dead_letters`, and of a spool `sync` (`disk` or `os`), `segment_size`, `spool_limit`, `salvage` and, as the last of all, the
    /// folder: `at_least_once, sync=os, spool=/var/spool/orders`.
    delivery(impl Into<Option<Delivery>>) -> Option<Delivery> {
        sockets: [Push, Pull, Dealer, Router],
        change: Fixed("it is agreed on in the handshake, and messages that are not settled hang on it"),
        unit: "",
        range: "none, or a valid `Delivery`", allows: |delivery| delivery.as_ref().is_none_or(Delivery::is_allowed),
        default: None, "none",
    }

    /// Whether a REQ sends requests again when their servers die, and a REP answers those that come again from memory: see [`Idempotent`]. With a peer that
    /// does not have it, a REP does what it does without, and a REQ sends again all the same, to connected peers alone; a monitor is told
    /// ([`Event::Unacknowledged`](crate::Event::Unacknowledged)), but not over inproc, where a REP remembers nothing. It needs
    /// [`req_correlate`](Options::req_correlate) and [`req_relaxed`](Options::req_relaxed).
    ///
    /// By name it is `on` or `required`, and what differs from the defaults: `on, attempt_timeout=500 ms, limit=3`; besides these there are `keep_replies`,
    /// `keep_bytes` and `keep_for`.
    idempotent(impl Into<Option<Idempotent>>) -> Option<Idempotent> {
        sockets: [Req, Rep],
        change: Fixed("it is agreed on in the handshake, and requests under way hang on it"),
        unit: "",
        range: "none, or a valid `Idempotent`", allows: |idempotent| idempotent.as_ref().is_none_or(Idempotent::is_allowed),
        default: None, "none",
    }

    /// The log in which a PUB keeps what it publishes, for subscribers that are behind, come late or come back: see [`Log`]. It cannot go with
    /// [`conflate`](Options::conflate), [`invert_matching`](Options::invert_matching), nor where a slow subscriber is waited for. Over inproc
    /// subscribers get only what is published while they are there.
    ///
    /// By name it is the folder, and what differs from the defaults: `prices.log, keep=1000000, keep_for=24 h, keep_last=1,
    /// sync=disk`; or in memory, `:memory:, keep=1000000`.
    log(impl Into<Option<Log>>) -> Option<Log> {
        sockets: [Pub],
        change: Fixed("what has been published is in it, and subscribers read it"),
        unit: "",
        range: "none, or a valid `Log`", allows: |log| log.as_ref().is_none_or(Log::is_allowed),
        default: None, "none",
    }

    /// How many connections in a row a message may break before it is given up. A peer that takes no message like it, for
    /// its size as a rule, ends the connection while the message is being written, and would do so again and again. What counts
    /// is the end of a connection, by the peer, with the message written in part, however long the connection has lived. A
    /// message given up is dropped, counted ([`Dropped::refused`](crate::Dropped::refused)) and reported
    /// ([`Event::MessageRefused`](crate::Event::MessageRefused)). `None` never gives up. Where both sides are zerohop, the peer
    /// announces its limits, and most such messages are refused by `send`.
    ///
    /// The same for the topics of a SUB: a publisher is no longer told of one over which it has ended so many connections in a row
    /// ([`Event::SubscriptionRefused`](crate::Event::SubscriptionRefused)).
    max_delivery_attempts(impl Into<Option<u32>>) -> Option<u32> {
        sockets: [Push, Sub, Req, Dealer, Router, Pair, Xsub, Scatter, Dish, Client, Server, Peer, Channel],
        change: AtOnce,
        unit: "connections",
        range: "1 or more, or none for no end", allows: |most| most.is_none_or(|most| most > 0),
        default: Some(2), "2",
    }

    /// The first wait before a broken or refused connection is tried again. Each failure doubles the wait, up to
    /// [`reconnect_interval_max`](Options::reconnect_interval_max), until a connection has brought a message, or lived for a second and longer
    /// than the wait before it; each wait is varied at random, so that
    /// many clients of one server do not return all at once. `None` never tries again.
    reconnect_interval(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_RECONNECT_IVL" = 18,
        sockets: all,
        change: Later,
        unit: "time",
        range: "1 ms to 365 days, or none for never", allows: from_1_ms,
        default: Some(Duration::from_millis(100)), "100 ms",
    }

    /// The longest wait between two tries to connect. `None`, or less than
    /// [`reconnect_interval`](Options::reconnect_interval), keeps to that interval. libzmq's default is none.
    reconnect_interval_max(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_RECONNECT_IVL_MAX" = 21,
        sockets: all,
        change: Later,
        unit: "time",
        range: "1 ms to 365 days, or none for no growth", allows: from_1_ms,
        default: Some(Duration::from_secs(10)), "10 s",
    }

    /// How long a TCP connection may take to be established. `None` leaves it to the system, which
    /// may take minutes.
    connect_timeout(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_CONNECT_TIMEOUT" = 79,
        sockets: all,
        change: Later,
        unit: "time",
        range: "1 ms to 365 days, or none", allows: from_1_ms,
        default: None, "none",
    }

    /// How long a peer may take over its handshake before the connection is closed.
    handshake_timeout(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_HANDSHAKE_IVL" = 66,
        sockets: zmtp,
        change: Later,
        unit: "time",
        range: "1 ms to 365 days, or none for no end", allows: from_1_ms,
        default: Some(Duration::from_secs(30)), "30 s",
    }

    /// Whether the socket is a server of the mechanism PLAIN (RFC 24): its peers show a name and a password, in clear, and
    /// [`allow`](Options::allow) says which are let in, or a ZAP handler; without either, none is. Whether the socket binds or connects does
    /// not matter.
    ///
    /// **Over tcp, whoever reads the wire knows the passwords, and all that is said.** Use it over `ipc`, on the loopback interface or within a
    /// tunnel; the log warns elsewhere.
    plain_server(bool) -> bool {
        libzmq: "ZMQ_PLAIN_SERVER" = 44,
        sockets: zmtp,
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// The name that a client of the mechanism PLAIN shows. With this or [`plain_password`](Options::plain_password) set, the socket is such a
    /// client; see also [`plain_client`](Options::plain_client).
    plain_username(impl Into<String>) -> String {
        libzmq: "ZMQ_PLAIN_USERNAME" = 45,
        sockets: zmtp,
        change: Later,
        unit: "bytes",
        range: "up to 255 bytes of UTF-8, or none", allows: |name| name.len() <= 255,
        default: String::new(), "none",
    }

    /// The password that goes with it. It is shown by no `Debug` and no error, and [`get`](Options::get) gives stars for it.
    plain_password(impl Into<Secret>) -> Secret {
        libzmq: "ZMQ_PLAIN_PASSWORD" = 46,
        sockets: zmtp,
        change: Later,
        unit: "bytes",
        range: "up to 255 bytes, or none", allows: |password| password.expose().len() <= 255,
        default: Secret::default(), "none",
    }

    /// Whether the socket is a server of the mechanism CURVE (RFC 26): its peers prove by a key who they are, [`allow`](Options::allow) says which are
    /// let in, or a ZAP handler, and everything that is said is encrypted. Without either, everyone is let in who knows the
    /// server's public key. Whether the socket binds or connects does not matter. Over `inproc` nothing is encrypted, nor asked for, as in libzmq.
    ///
    /// Given a `KeyPair`, that is who the server is; given `true`, [`curve_secretkey`](Options::curve_secretkey) says it. Needs the feature `curve`.
    curve_server(impl Into<CurveServer>) -> CurveServer {
        libzmq: "ZMQ_CURVE_SERVER" = 47,
        sockets: zmtp,
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: CurveServer::default(), "false",
    }

    /// The public key that belongs to [`curve_secretkey`](Options::curve_secretkey). It need not be set; where it is, it has to be the
    /// right one. Needs the feature `curve`.
    curve_publickey(impl Into<Option<PublicKey>>) -> Option<PublicKey> {
        libzmq: "ZMQ_CURVE_PUBLICKEY" = 48,
        sockets: zmtp,
        change: Later,
        unit: "",
        range: "40 characters of Z85, 64 hexadecimal digits, or none", allows: any,
        default: None, "none",
    }

    /// The secret key by which the socket proves who it is. It is shown by no `Debug` and no error, and [`get`](Options::get)
    /// gives stars for it. Needs the feature `curve`.
    curve_secretkey(impl Into<Option<SecretKey>>) -> Option<SecretKey> {
        libzmq: "ZMQ_CURVE_SECRETKEY" = 49,
        sockets: zmtp,
        change: Later,
        unit: "",
        range: "40 characters of Z85, 64 hexadecimal digits, or none", allows: any,
        default: None, "none",
    }

    /// The public key of the server that the socket is a client of: it talks to no other. Needs the feature `curve`.
    curve_serverkey(impl Into<Option<PublicKey>>) -> Option<PublicKey> {
        libzmq: "ZMQ_CURVE_SERVERKEY" = 50,
        sockets: zmtp,
        change: Later,
        unit: "",
        range: "40 characters of Z85, 64 hexadecimal digits, or none", allows: any,
        default: None, "none",
    }

    /// Whether everyone may be let in, unseen, who reaches the socket over a network. Off, `bind` refuses
    /// a tcp address that is not one of the loopback interface ([`BindError::Insecure`](crate::BindError::Insecure)) where the mechanism is
    /// NULL and nobody says who is let in ([`allow`](Options::allow), [`zap_domain`](Options::zap_domain) that is
    /// [enforced](Options::zap_enforce_domain)), or the socket is a client of PLAIN, which
    /// shows its password to whoever says that it is a server.
    ///
    /// On is for networks in which each machine may do whatever the socket does. [`insecure`](Options::insecure) sets it.
    allow_insecure(bool) -> bool {
        sockets: all,
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// The permissions of the file that `bind` makes for an `ipc` path: who may write to it may connect. 0600, in octal as `chmod` has it, is
    /// this user alone; 0660 adds the group, 0666 everyone. Linux has it so from the moment that the file is there. The name of an abstract
    /// socket (`ipc://@name`) has no permissions: everyone on the machine may connect, so use [`Allow::uid`] there.
    ///
    /// libzmq leaves it to the umask, which mostly lets everyone read and this user alone connect.
    ipc_mode(u32) -> u32 {
        sockets: zmtp,
        change: Later,
        unit: "",
        range: "0 to 511, which is 0777 in octal", allows: |&mode| mode <= 0o777,
        default: 0o600, "384",
    }

    /// The domain that a ZAP handler (RFC 27) is asked by, which is a REP or ROUTER of the same context that has bound
    /// `inproc://zeromq.zap.01`. With a domain it is asked about each peer, whatever the mechanism, and without one about those that show
    /// a password or a key where [`allow`](Options::allow) says nothing of them. Where both decide, a peer has to be let in by both.
    zap_domain(impl Into<String>) -> String {
        libzmq: "ZMQ_ZAP_DOMAIN" = 55,
        sockets: zmtp,
        change: Later,
        unit: "bytes",
        range: "up to 255 bytes of UTF-8, or none", allows: |domain| domain.len() <= 255,
        default: String::new(), "none",
    }

    /// Whether a domain also means that nobody is let in while there is no handler. Off, a missing handler lets in
    /// everyone, but for peers of PLAIN that nobody else decides on. libzmq's default is off.
    zap_enforce_domain(bool) -> bool {
        libzmq: "ZMQ_ZAP_ENFORCE_DOMAIN" = 93,
        sockets: zmtp,
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: true, "true",
    }

    /// Who is let in: see [`Allow`]. [`anyone`](Allow::anyone) is everyone who gets through the handshake of the mechanism.
    ///
    /// With NULL peers show nothing of who they are but, over `ipc`, their user of the system; so there
    /// the list of a server is one of [uids](Allow::uid), or [code](Allow::by) that knows addresses. Such a socket talks to
    /// no peer of ZMTP 2.0. A list on which nobody can be recognised by the mechanism is an error, and so is one of a client of PLAIN or CURVE,
    /// which asks about nobody.
    allow(impl Into<Allow>) -> Allow {
        sockets: zmtp,
        change: Later,
        unit: "",
        range: "anyone, a list, code, or (by name) the path of a list", allows: any,
        default: Allow::anyone(), "anyone",
    }

    /// How many accepted connections may be in their handshake at once, over all endpoints of the socket. When
    /// one more comes, the oldest of them is disconnected
    /// ([`DisconnectCause::TooManyPending`](crate::DisconnectCause::TooManyPending)): a peer that means well is done within
    /// milliseconds, and so those that never speak keep nobody out.
    max_pending_handshakes(usize) -> usize {
        sockets: zmtp,
        change: Later,
        unit: "connections",
        range: "1 or more", allows: |&count| count > 0,
        default: 1024, "1024",
    }

    /// How many accepted connections one address may have, over all endpoints of the socket. One more is closed at once
    /// ([`DisconnectCause::AddressLimit`](crate::DisconnectCause::AddressLimit)), so that one machine does not keep the others out; it comes
    /// again after a while, as after any failure. Of IPv6 the first 64 bits are an address.
    ///
    /// `None` is 512 for other machines, and no limit for this one (loopback). A number holds for both.
    max_connections_per_address(impl Into<Option<usize>>) -> Option<usize> {
        sockets: all,
        change: Later,
        unit: "connections",
        range: "any number, 0 is no limit, or none for 512 with other machines", allows: any,
        default: None, "none",
    }

    /// How many of them may be in their handshake, over all endpoints of the socket. One more is closed at once
    /// ([`DisconnectCause::AddressLimit`](crate::DisconnectCause::AddressLimit)), so that one machine does not keep the others out; it comes
    /// again after a while, as after any failure. Of IPv6 the first 64 bits are an address.
    ///
    /// `None` is 128 for other machines, and no limit for this one (loopback). A number holds for both.
    max_handshakes_per_address(impl Into<Option<usize>>) -> Option<usize> {
        sockets: all,
        change: Later,
        unit: "connections",
        range: "any number, 0 is no limit, or none for 128 with other machines", allows: any,
        default: None, "none",
    }

    /// How many of them may come in a second, and at once after a time without any, over all endpoints of the socket. One more is closed at once
    /// ([`DisconnectCause::AddressLimit`](crate::DisconnectCause::AddressLimit)), so that one machine does not keep the others out; it comes
    /// again after a while, as after any failure. Of IPv6 the first 64 bits are an address.
    ///
    /// `None` is 256 for other machines, and no limit for this one (loopback). A number holds for both.
    max_handshake_rate_per_address(impl Into<Option<usize>>) -> Option<usize> {
        sockets: all,
        change: Later,
        unit: "connections per second",
        range: "any number, 0 is no limit, or none for 256 with other machines", allows: any,
        default: None, "none",
    }

    /// The largest message that a peer may send, all frames together. A peer that begins a larger one is
    /// disconnected before anything is stored for it. zerohop peers are told the limit, and refuse such messages themselves. Over inproc it
    /// does not apply, nor does libzmq's. libzmq's option limits each frame, and its
    /// default is no limit.
    max_message_size(impl Into<Option<usize>>) -> Option<usize> {
        libzmq: "ZMQ_MAXMSGSIZE" = 22,
        sockets: [Pull, Sub, Req, Rep, Dealer, Router, Pair, Xpub, Xsub, Gather, Dish, Client, Server, Peer, Channel],
        change: Later,
        unit: "bytes",
        range: "any number, or none for no limit", allows: any,
        default: Some(256 * 1024 * 1024), "268435456",
    }

    /// The most frames that a message from a peer may have. An empty frame is 2 bytes on the wire and many
    /// times that in memory: this is what bounds them. A peer that sends more is disconnected.
    max_parts(u32) -> u32 {
        sockets: [Pull, Sub, Req, Rep, Dealer, Router, Pair, Xpub, Xsub, Gather, Client, Server, Peer, Channel],
        change: Later,
        unit: "frames",
        range: "1 or more", allows: |&parts| parts > 0,
        default: 4096, "4096",
    }

    /// The longest topic that a peer may subscribe to. A peer that sends a longer one is disconnected.
    max_subscription_length(usize) -> usize {
        sockets: [Pub, Xpub, Radio],
        change: Fixed("peers have been told of it, and keep to it"),
        unit: "bytes",
        range: "any number", allows: any,
        default: 4096, "4096",
    }

    /// The most subscriptions that one peer may hold. A peer that makes more is disconnected. zerohop peers are told the limit, and
    /// keep to it.
    max_subscriptions(usize) -> usize {
        sockets: [Pub, Xpub, Radio],
        change: Fixed("peers have been told of it, and keep to it"),
        unit: "subscriptions",
        range: "1 or more", allows: |&count| count > 0,
        default: 250_000, "250000",
    }

    /// Whether small TCP writes leave at once (`TCP_NODELAY`). Off, the kernel delays them to fill packets,
    /// which zerohop has done better already. libzmq has it always on.
    tcp_nodelay(bool) -> bool {
        sockets: all,
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: true, "true",
    }

    /// Whether the system probes silent TCP connections (`SO_KEEPALIVE`). To notice a dead peer within
    /// seconds, set [`heartbeat_interval`](Options::heartbeat_interval) instead.
    tcp_keepalive(bool) -> bool {
        libzmq: "ZMQ_TCP_KEEPALIVE" = 34,
        sockets: all,
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// With [`tcp_keepalive`](Options::tcp_keepalive): the silence before the first probe. `None` leaves
    /// it to the system.
    tcp_keepalive_idle(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_TCP_KEEPALIVE_IDLE" = 36,
        sockets: all,
        change: Later,
        unit: "time",
        range: "1 to 32767 whole seconds, or none", allows: keepalive_time,
        default: None, "none",
    }

    /// With [`tcp_keepalive`](Options::tcp_keepalive): the time between probes. `None` leaves it to the system.
    tcp_keepalive_interval(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_TCP_KEEPALIVE_INTVL" = 37,
        sockets: all,
        change: Later,
        unit: "time",
        range: "1 to 32767 whole seconds, or none", allows: keepalive_time,
        default: None, "none",
    }

    /// With [`tcp_keepalive`](Options::tcp_keepalive): how many unanswered probes end the connection. `None` leaves
    /// it to the system.
    tcp_keepalive_count(impl Into<Option<u32>>) -> Option<u32> {
        libzmq: "ZMQ_TCP_KEEPALIVE_CNT" = 35,
        sockets: all,
        change: Later,
        unit: "probes",
        range: "1 to 127, or none", allows: |count| count.is_none_or(|count| (1..=127).contains(&count)),
        default: None, "none",
    }

    /// The size of the kernel's send buffer (`SO_SNDBUF`). `None` leaves it to the system, which usually tunes it
    /// better than a fixed size does.
    send_buffer(impl Into<Option<usize>>) -> Option<usize> {
        libzmq: "ZMQ_SNDBUF" = 11,
        sockets: all,
        change: Later,
        unit: "bytes",
        range: "1 to 2147483647, or none", allows: buffer_size,
        default: None, "none",
    }

    /// The size of the kernel's receive buffer (`SO_RCVBUF`). `None` leaves it to the system.
    recv_buffer(impl Into<Option<usize>>) -> Option<usize> {
        libzmq: "ZMQ_RCVBUF" = 12,
        sockets: all,
        change: Later,
        unit: "bytes",
        range: "1 to 2147483647, or none", allows: buffer_size,
        default: None, "none",
    }

    /// The type of service of TCP packets: the whole byte, six bits of DSCP and two of ECN. `None` leaves
    /// it to the system.
    tos(impl Into<Option<u32>>) -> Option<u32> {
        libzmq: "ZMQ_TOS" = 57,
        sockets: all,
        change: Later,
        unit: "",
        range: "0 to 255, or none", allows: |tos| tos.is_none_or(|tos| tos <= 255),
        default: None, "none",
    }

    /// Whether `*` binds to IPv6 as well, and a host name with addresses of both families stands for all of them, in the
    /// order that the system prefers. Off, it stands for its IPv4 addresses.
    ///
    /// IPv6 addresses that are written out, and names that have no other, work regardless: they can mean nothing else. With
    /// libzmq's `ZMQ_IPV6` off they are accepted by `connect` and never reached.
    ipv6(bool) -> bool {
        libzmq: "ZMQ_IPV6" = 42,
        sockets: all,
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// How many connections may wait at a listener to be accepted; the system may cut it. libzmq's default is 100,
    /// too few for a thousand peers that return to a restarted server.
    backlog(u32) -> u32 {
        libzmq: "ZMQ_BACKLOG" = 19,
        sockets: all,
        change: Later,
        unit: "connections",
        range: "1 to 2147483647", allows: |&backlog| backlog >= 1 && i32::try_from(backlog).is_ok(),
        default: 1024, "1024",
    }

    /// Whether messages go only to peers whose connection stands. Off, a message may also wait for a connection
    /// that is still being made, or made again. On, a socket with no such peer blocks.
    immediate(bool) -> bool {
        libzmq: "ZMQ_IMMEDIATE" = 39,
        sockets: [Push, Req, Dealer, Router, Pair, Scatter, Client, Server, Peer, Channel],
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// Whether each peer's queue keeps only the newest message. The high-water marks then do not matter.
    conflate(bool) -> bool {
        libzmq: "ZMQ_CONFLATE" = 54,
        sockets: [Push, Pull, Pub, Sub, Dealer],
        change: Fixed("queues that are there hold more than their newest message"),
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// The name by which a peer that routes by name, such as a ROUTER, is to know this socket. It must be
    /// unique among that peer's peers. Empty lets the peer choose.
    routing_id(impl Into<Frame>) -> Frame {
        libzmq: "ZMQ_ROUTING_ID" = 5,
        sockets: [Req, Dealer, Router],
        change: Later,
        unit: "bytes",
        range: "1 to 255 bytes that do not start with 0, or none",
        allows: |id| id.len() <= 255 && id.first() != Some(&0),
        default: Frame::new(), "none",
    }

    /// Whether each new connection is told of by an empty message, so that a ROUTER at the other end knows the socket before
    /// that has something to say. It comes behind what is queued for the peer by then. libzmq sends it once for each call of
    /// `connect`, and not again when the connection is a new one; and has it for REQ as well.
    probe_router(bool) -> bool {
        libzmq: "ZMQ_PROBE_ROUTER" = 51,
        sockets: [Dealer, Router],
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// How long a connection may be silent before the peer is asked for a sign of life (PING). `None` never
    /// asks. Peers that speak ZMTP 2.0 are not asked.
    heartbeat_interval(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_HEARTBEAT_IVL" = 75,
        sockets: zmtp,
        change: Later,
        unit: "time",
        range: "1 ms to 365 days, or none for never", allows: from_1_ms,
        default: None, "none",
    }

    /// How long a peer may take to answer a PING before the connection is closed. `None` takes
    /// [`heartbeat_interval`](Options::heartbeat_interval). A peer that reads slowly has the same time again as long as messages leave
    /// for it, or as it has no room for more and its system answers (Linux): so back-pressure ends no connection. libzmq ends it.
    heartbeat_timeout(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_HEARTBEAT_TIMEOUT" = 77,
        sockets: zmtp,
        change: Later,
        unit: "time",
        range: "1 ms to 365 days, or none for the interval", allows: from_1_ms,
        default: None, "none",
    }

    /// What each PING tells the peer: to close the connection itself when it hears nothing for so long. It is sent in
    /// tenths of a second, rounded down, and as 65.5 s when longer, since libzmq misreads more.
    heartbeat_ttl(impl Into<Option<Duration>>) -> Option<Duration> {
        libzmq: "ZMQ_HEARTBEAT_TTL" = 76,
        sockets: zmtp,
        change: Later,
        unit: "time",
        range: "0 to 6553.5 s, or none",
        allows: |ttl| ttl.is_none_or(|ttl| ttl <= Duration::from_millis(6_553_500)),
        default: None, "none",
    }

    /// How long a peer may leave the answers to its PINGs unread, once 64 KiB of them have waited, and while more than half of that
    /// still waits and nothing at all leaves for it. Then its connection is closed. `None` leaves it open for as long as the peer does. A peer that reads, however slowly, is
    /// not meant, nor one that sends a PING now and then: 64 KiB are thousands of answers.
    answers_timeout(impl Into<Option<Duration>>) -> Option<Duration> {
        sockets: zmtp,
        change: Later,
        unit: "time",
        range: "1 ms to 365 days, or none for never", allows: from_1_ms,
        default: Some(Duration::from_secs(60)), "60 s",
    }

    /// Whether a new request may be made while a reply is awaited; a late reply to the earlier one is dropped. Off,
    /// a lost reply leaves the socket unusable. libzmq's default is off.
    req_relaxed(bool) -> bool {
        libzmq: "ZMQ_REQ_RELAXED" = 53,
        sockets: [Req],
        change: AtOnce,
        unit: "",
        range: "true or false", allows: any,
        default: true, "true",
    }

    /// Whether each request carries a number that its reply must bring back, so that a late reply is never taken
    /// for that of a later request. Without, what has arrived from the peer before a request is written is not taken for its reply, and what arrives
    /// later is: so a server that answers twice can mislead. libzmq's default is off.
    req_correlate(bool) -> bool {
        libzmq: "ZMQ_REQ_CORRELATE" = 52,
        sockets: [Req],
        change: AtOnce,
        unit: "",
        range: "true or false", allows: any,
        default: true, "true",
    }

    /// What a ROUTER does with a message that it cannot queue for the peer that it names. Off, as in libzmq, it drops the message, counts it
    /// ([`Dropped::unroutable`](crate::Dropped::unroutable), [`Dropped::high_water_mark`](crate::Dropped::high_water_mark)) and says so
    /// ([`Routed`](crate::Routed)). On, sending to a routing id that no peer has fails and gives the message back, and sending to a peer that is at
    /// its high-water mark waits for room.
    router_mandatory(bool) -> bool {
        libzmq: "ZMQ_ROUTER_MANDATORY" = 33,
        sockets: [Router],
        change: AtOnce,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// What a ROUTER does with a peer that asks for a routing id that another peer has. Off, it refuses the newcomer. On, the newcomer gets
    /// the routing id, and the other one's connection is closed: for clients that come back before the loss of their connection has been
    /// noticed. Then whoever knows a routing id can have what is meant for its owner.
    ///
    /// A refused peer of libzmq's ROUTER stays connected and is never heard.
    router_handover(bool) -> bool {
        libzmq: "ZMQ_ROUTER_HANDOVER" = 56,
        sockets: [Router],
        change: AtOnce,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// How long a call that has to wait looks for what it waits for, before it sleeps. Only as long as that pays: after four
    /// waits in vain it sleeps at once, and tries again at one wait in 64. Zero always sleeps.
    ///
    /// `None` is 50 µs in a dialogue, where being woken takes longer than most local exchanges: latency is less than
    /// half by it, for some processor time. In a dialogue are REQ and REP, and DEALER, CLIENT, ROUTER, SERVER, PEER, STREAM, PAIR and CHANNEL where
    /// the application has sent since it last received, unless their messages are to be settled. Where both sides share a core it does not pay: which takes less time, to look or to sleep,
    /// is measured as long as the socket waits, and done. For all others it is zero, since whoever looks keeps a core busy: a PULL at a
    /// million messages a second then has a median latency of 21 in place of 52 µs, and needs one core in place of a
    /// quarter.
    busy_poll(impl Into<Option<Duration>>) -> Option<Duration> {
        sockets: all,
        change: Fixed("it belongs to how calls wait, and some may be waiting"),
        unit: "time",
        range: "0 to 1 s, or none for what suits the type", allows: up_to_a_second,
        default: None, "none",
    }

    /// Which of its peers a message goes to: see [`Balancing`]. By name it is `round_robin` or `least_outstanding`, and behind a comma `local_first`:
    /// `least_outstanding, local_first`. When it is set anew, peers are weighed anew. A peer whose connection does not stand, and that has a share,
    /// comes after all others.
    balancing(Balancing) -> Balancing {
        sockets: [Push, Scatter, Req, Dealer, Client],
        change: AtOnce,
        unit: "",
        range: "round_robin or least_outstanding, with local_first or code", allows: any,
        default: Balancing::round_robin(), "round_robin",
    }

    /// Whether a PUB or XPUB waits for a peer at its high-water mark instead of dropping the message for it. One slow
    /// subscriber then slows all.
    pub_block(bool) -> bool {
        libzmq: "ZMQ_XPUB_NODROP" = 69,
        sockets: [Pub, Xpub, Radio],
        change: AtOnce,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// What becomes of a message for which a subscriber has no room, being at [`send_hwm`](Options::send_hwm) or another limit: by name
    /// `drop_newest`, `drop_oldest`, `disconnect` or `wait`. Each is counted, and [`Event::SubscriberSlow`](crate::Event::SubscriberSlow) says when it begins.
    /// With [`pub_block`](Options::pub_block) it is `wait`, whatever is set here.
    ///
    /// Over inproc there is no connection to end, and what the subscriber's socket has cannot be taken back: there `drop_oldest` and
    /// `disconnect` drop the newest.
    slow_subscriber(SlowSubscriber) -> SlowSubscriber {
        sockets: [Pub, Xpub, Radio],
        change: AtOnce,
        unit: "",
        range: "drop_newest, drop_oldest, disconnect or wait", allows: any,
        default: SlowSubscriber::DropNewest, "drop_newest",
    }

    /// Whether an XPUB receives every subscription that its peers make, and not only the first one to a topic.
    xpub_verbose(bool) -> bool {
        libzmq: "ZMQ_XPUB_VERBOSE" = 40,
        sockets: [Xpub],
        change: AtOnce,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// The same, and also every end of a subscription, and not only that of the last one to a topic.
    xpub_verboser(bool) -> bool {
        libzmq: "ZMQ_XPUB_VERBOSER" = 78,
        sockets: [Xpub],
        change: AtOnce,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// Whether subscriptions are the application's to make: an XPUB receives every wish of its peers, and sends them what the
    /// application subscribes them to, with [`Xpub::subscribe`](crate::Xpub::subscribe) or
    /// [`Xpub::subscribe_for`](crate::Xpub::subscribe_for). The limits hold for what peers wish.
    xpub_manual(bool) -> bool {
        libzmq: "ZMQ_XPUB_MANUAL" = 71,
        sockets: [Xpub],
        change: Fixed("what peers have been granted until then would not be known"),
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// The same, and the next message goes only to the peer whose subscription was received last, if that is subscribed to it: as the
    /// last value of its topic, which the others have had. A draft in libzmq.
    xpub_manual_last_value(bool) -> bool {
        libzmq: "ZMQ_XPUB_MANUAL_LAST_VALUE" = 98,
        sockets: [Xpub],
        change: Fixed("what peers have been granted until then would not be known"),
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// A message of one frame that an XPUB sends first on each connection, whether the peer has subscribed to it or not. A SUB
    /// receives it if it has. libzmq sends it once for each call of `connect`, and not again when the connection is a new one.
    xpub_welcome_message(impl Into<Frame>) -> Frame {
        libzmq: "ZMQ_XPUB_WELCOME_MSG" = 72,
        sockets: [Xpub],
        change: Later,
        unit: "bytes",
        range: "any number of bytes, or none", allows: any,
        default: Frame::new(), "none",
    }

    /// Whether an XSUB tells its publishers of the end of each subscription, and not only of the last one to a topic; also of one that was
    /// never made. For publishers that count, such as an XPUB that is [manual](Options::xpub_manual): for any other the first end that
    /// it is told of is the end of what this socket wants, however often the topic was subscribed. A draft in libzmq.
    xsub_verbose_unsubscribe(bool) -> bool {
        libzmq: "ZMQ_XSUB_VERBOSE_UNSUBSCRIBE" = 115,
        sockets: [Xsub],
        change: AtOnce,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// Whether subscriptions say what is not wanted: each connected peer is sent what it has not subscribed to, and everything before it
    /// has subscribed. To be set on both sides: a SUB drops on arrival what its own subscriptions match. libzmq also queues
    /// messages for a peer that it dials and that is not connected yet.
    invert_matching(bool) -> bool {
        libzmq: "ZMQ_INVERT_MATCHING" = 74,
        sockets: [Pub, Sub, Xpub],
        change: AtOnce,
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// Whether a ROUTER speaks no ZMTP but bytes of any protocol, as a [`Stream`](crate::Stream) does: each peer has a routing id that is
    /// made up here, a message that comes is what a read brought, and an empty message that is sent ends the connection. Over
    /// tcp only, and with no security, as it is there. What cannot be routed is dropped or an error, as
    /// [`router_mandatory`](Options::router_mandatory) says. Deprecated in libzmq, where STREAM is to be used in its place.
    router_raw(bool) -> bool {
        libzmq: "ZMQ_ROUTER_RAW" = 41,
        sockets: [Router],
        change: Fixed("what is spoken with peers is settled when the socket is made"),
        unit: "",
        range: "true or false", allows: any,
        default: false, "false",
    }

    /// A message of one frame that is sent first on each connection, before all that is queued for the peer. It counts as no message that
    /// waits: a connection that ends before it has left takes it along, and closing the socket does not wait for it. A peer that says that it
    /// takes none that large is not sent it ([`Event::MessageRefused`](crate::Event::MessageRefused)). With [`conflate`](Options::conflate) a
    /// newer message may take its place. A draft in libzmq.
    hello_message(impl Into<Frame>) -> Frame {
        libzmq: "ZMQ_HELLO_MSG" = 110,
        sockets: [Router, Dealer, Client, Server, Peer],
        change: Later,
        unit: "bytes",
        range: "any number of bytes, or none", allows: any,
        default: Frame::new(), "none",
    }

    /// A message of one frame that is received in the name of a peer that has gone, behind all that it has sent: of one whose connection this socket had
    /// accepted, or that had connected to it over inproc. Not of one whose handshake fails, or that the application itself sends away. A peer
    /// can send the same itself. A draft in libzmq.
    disconnect_message(impl Into<Frame>) -> Frame {
        libzmq: "ZMQ_DISCONNECT_MSG" = 111,
        sockets: [Router, Server, Peer],
        change: Later,
        unit: "bytes",
        range: "any number of bytes, or none", allows: any,
        default: Frame::new(), "none",
    }

    /// A message of one frame that is received of a peer that this socket connects to, when its connection has ended, behind all that it has
    /// sent: the connection is made again, and what the peer knew of this socket may be gone. Not over inproc, as in libzmq. A draft in libzmq.
    hiccup_message(impl Into<Frame>) -> Frame {
        libzmq: "ZMQ_HICCUP_MSG" = 114,
        sockets: [Dealer, Client, Peer],
        change: Later,
        unit: "bytes",
        range: "any number of bytes, or none", allows: any,
        default: Frame::new(), "none",
    }

    /// Whether a STREAM receives an empty message from each peer when its connection begins, and another when it ends.
    stream_notify(bool) -> bool {
        libzmq: "ZMQ_STREAM_NOTIFY" = 73,
        sockets: [Stream],
        change: Later,
        unit: "",
        range: "true or false", allows: any,
        default: true, "true",
    }

    /// Whether a ROUTER receives an empty message from each peer when its connection begins (1), when it ends (2), or both (3). It lies before
    /// what comes by the connection, or behind that. Not over inproc, as in libzmq, and not for a connection whose handshake fails or
    /// that the application itself ends. A draft in libzmq.
    router_notify(u32) -> u32 {
        libzmq: "ZMQ_ROUTER_NOTIFY" = 97,
        sockets: [Router],
        change: Later,
        unit: "",
        range: "0 to 3", allows: |&notify| notify <= 3,
        default: 0, "0",
    }
}
