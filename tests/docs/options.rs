//! `docs/options.md`, which is made from the table of options and from what is said here of libzmq's.

use std::fmt::Write;

use zerohop::{Change, OPTION_TABLE, OptionInfo};

/// What differs from libzmq on purpose, and why. An option that has libzmq's number and is not here is the same, its default included:
/// `interop/tests/interop_options.rs` asks libzmq.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "linger",
        "30 s where libzmq waits without end: a program ends although a peer is gone for good",
    ),
    (
        "reconnect_interval",
        "jittered and growing, so that many clients do not come back at once; one 0 ms is refused",
    ),
    (
        "reconnect_interval_max",
        "10 s where libzmq does not grow: a dead peer costs little",
    ),
    (
        "max_message_size",
        "256 MiB where libzmq has no limit: an open port can't make a process hold what it likes",
    ),
    (
        "backlog",
        "1024 where libzmq has 100: many clients may come at once",
    ),
    (
        "handshake_timeout",
        "the same time; when it is over, an event says so",
    ),
    (
        "tcp_keepalive",
        "on or off, where libzmq's -1 leaves it to the system, which has it off",
    ),
    ("tos", "none is libzmq's 0: the system's default"),
    (
        "routing_id",
        "a name that starts with 0 is refused everywhere: a ROUTER makes up such names itself",
    ),
    (
        "heartbeat_timeout",
        "none is the interval, as in libzmq; a peer that reads slowly is not cut off",
    ),
    (
        "heartbeat_ttl",
        "in steps of 100 ms as in libzmq; refused above 6553.5 s, where libzmq refuses it too",
    ),
    (
        "req_relaxed",
        "on: a lost reply does not make the socket unusable",
    ),
    (
        "req_correlate",
        "on: without it a late reply could be taken for another's",
    ),
    ("xpub_manual_last_value", "a draft in libzmq"),
    ("xsub_verbose_unsubscribe", "a draft in libzmq"),
    ("router_notify", "a draft in libzmq"),
    ("hello_message", "a draft in libzmq"),
    ("disconnect_message", "a draft in libzmq"),
    ("hiccup_message", "a draft in libzmq"),
    (
        "invert_matching",
        "the same; only peers that are connected are sent to, where libzmq queues for those that it dials as well",
    ),
    (
        "xpub_welcome_message",
        "sent with each connection, where libzmq sends it once for each call of connect",
    ),
    (
        "router_handover",
        "without it a newcomer is refused and told so, where libzmq leaves it connected and unheard",
    ),
    ("send_buffer", "none is libzmq's -1: the system's default"),
    ("recv_buffer", "none is libzmq's -1: the system's default"),
    (
        "connect_timeout",
        "none is libzmq's 0: the system's own time",
    ),
    (
        "plain_server",
        "a bool; the mechanism follows from it, as in libzmq",
    ),
    ("plain_username", "none is libzmq's null"),
    ("plain_password", "none is libzmq's null"),
    (
        "zap_enforce_domain",
        "on by default: without a handler nobody is let in",
    ),
];

/// Where else that is which libzmq has as an option, or why it is not there.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "ZMQ_AFFINITY",
        "not there: callers do the work in their own threads, and there is no pool of I/O threads to choose from",
    ),
    (
        "ZMQ_SUBSCRIBE",
        "`Sub::subscribe`, `Xsub::subscribe`; `Xpub::subscribe` where an XPUB is manual",
    ),
    (
        "ZMQ_UNSUBSCRIBE",
        "`Sub::unsubscribe`, `Xsub::unsubscribe`; `Xpub::unsubscribe`",
    ),
    (
        "ZMQ_RATE",
        "not there: for multicast, which zerohop does not speak",
    ),
    ("ZMQ_RECOVERY_IVL", "not there: for multicast"),
    ("ZMQ_MULTICAST_HOPS", "not there: for multicast"),
    ("ZMQ_MULTICAST_MAXTPDU", "not there: for multicast"),
    ("ZMQ_RCVMORE", "not needed: a `Message` has all its frames"),
    (
        "ZMQ_FD",
        "`recv_fd` and `send_fd`, which are level-triggered",
    ),
    ("ZMQ_EVENTS", "`Poller`, `try_recv`, `try_send`"),
    ("ZMQ_TYPE", "the Rust type, and `AnySocket::TYPE`"),
    (
        "ZMQ_LAST_ENDPOINT",
        "`last_endpoint`; `bind` returns the same",
    ),
    (
        "ZMQ_MECHANISM",
        "`PeerFacts`, which say for each connection",
    ),
    (
        "ZMQ_CONNECT_ROUTING_ID",
        "`Router::connect_with_routing_id`",
    ),
    ("ZMQ_GSSAPI_SERVER", "not there: Kerberos needs a C library"),
    (
        "ZMQ_GSSAPI_PRINCIPAL",
        "not there: Kerberos needs a C library",
    ),
    (
        "ZMQ_GSSAPI_SERVICE_PRINCIPAL",
        "not there: Kerberos needs a C library",
    ),
    (
        "ZMQ_GSSAPI_PLAINTEXT",
        "not there: Kerberos needs a C library",
    ),
    (
        "ZMQ_GSSAPI_PRINCIPAL_NAMETYPE",
        "not there: Kerberos needs a C library",
    ),
    (
        "ZMQ_GSSAPI_SERVICE_PRINCIPAL_NAMETYPE",
        "not there: Kerberos needs a C library",
    ),
    ("ZMQ_SOCKS_PROXY", "not there yet"),
    (
        "ZMQ_TCP_MAXRT",
        "not there: `heartbeat_timeout` notices a dead peer on every system",
    ),
    (
        "ZMQ_THREAD_SAFE",
        "not needed: every socket is `Send + Sync`",
    ),
    (
        "ZMQ_VMCI_BUFFER_SIZE",
        "not there: for a transport of one vendor's virtual machines",
    ),
    ("ZMQ_VMCI_BUFFER_MIN_SIZE", "not there: the same"),
    ("ZMQ_VMCI_BUFFER_MAX_SIZE", "not there: the same"),
    ("ZMQ_VMCI_CONNECT_TIMEOUT", "not there: the same"),
    ("ZMQ_USE_FD", "`bind_listener`"),
    (
        "ZMQ_BINDTODEVICE",
        "`tcp://INTERFACE:PORT` binds to the addresses of an interface; binding to the device is not there",
    ),
    (
        "ZMQ_TCP_ACCEPT_FILTER",
        "deprecated in libzmq: `Allow::by`, which knows addresses",
    ),
    ("ZMQ_IPC_FILTER_PID", "deprecated in libzmq: `Allow::by`"),
    ("ZMQ_IPC_FILTER_UID", "deprecated in libzmq: `Allow::uid`"),
    ("ZMQ_IPC_FILTER_GID", "deprecated in libzmq: `Allow::by`"),
    ("ZMQ_IPV4ONLY", "deprecated in libzmq: `ipv6`"),
    (
        "ZMQ_IO_THREADS",
        "of a context: `ContextOptions::io_threads`",
    ),
    (
        "ZMQ_MAX_SOCKETS",
        "of a context; not there: the limit is that on open files",
    ),
    (
        "ZMQ_SOCKET_LIMIT",
        "of a context; not there: there is no limit",
    ),
    (
        "ZMQ_THREAD_PRIORITY",
        "of a context; not there: the work is done in threads of the application",
    ),
    (
        "ZMQ_THREAD_SCHED_POLICY",
        "of a context; not there: the same",
    ),
    (
        "ZMQ_THREAD_AFFINITY_CPU_ADD",
        "of a context; not there: the same",
    ),
    (
        "ZMQ_THREAD_AFFINITY_CPU_REMOVE",
        "of a context; not there: the same",
    ),
    (
        "ZMQ_THREAD_NAME_PREFIX",
        "of a context; not there: the background thread is called `zerohop`",
    ),
    (
        "ZMQ_MAX_MSGSZ",
        "of a context; `max_message_size` of each socket",
    ),
    ("ZMQ_MSG_T_SIZE", "of a context; only in C"),
    (
        "ZMQ_BLOCKY",
        "of a context; the default of `linger` is bounded",
    ),
];

/// The page.
pub(super) fn page() -> String {
    let mut page = String::from(
        "# Options\n\n\
         Made from the table of options by `ZEROHOP_WRITE_DOCS=1 cargo test -p zerohop --test docs options`; do not edit it by hand. What an \
         option does is in the documentation of its setter, a method of `Options` with the same name. On the command line it is \
         `-o NAME=VALUE`.\n\n\
         *Same* means what libzmq does, with the same default; a test asks libzmq for it.\n\n\
         A socket that is in use takes changes, with `reconfigure` and `set`. *At once* holds for the connections that are there as well. \
         *Next connections* holds for endpoints and connections that begin afterwards, also for those of endpoints that are there, \
         which in libzmq keep the options that they were bound or connected with. Others are refused, for the reason that is given.\n\n\
         ## All options\n\n\
         | option | default | range | libzmq | compared with libzmq | sockets | changed later |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in OPTION_TABLE {
        let libzmq = row.libzmq.map_or("–".to_owned(), |option| {
            format!("`{}` ({})", option.name, option.id)
        });
        let default = match row.unit {
            "" | "time" => row.default.to_owned(),
            _ if row.default == "none" => row.default.to_owned(),
            unit => format!("{} {unit}", row.default),
        };
        let _ = writeln!(
            page,
            "| `{}` | {default} | {} | {libzmq} | {} | {} | {} |",
            row.name,
            row.range,
            compared(row),
            row.sockets,
            changed(row),
        );
    }
    page.push_str(
        "\n## Options of libzmq that are something else here\n\n| libzmq | here |\n|---|---|\n",
    );
    for (name, here) in ELSEWHERE {
        let _ = writeln!(page, "| `{name}` | {here} |");
    }
    page
}

fn changed(row: &OptionInfo) -> String {
    match row.change {
        Change::AtOnce => "at once".to_owned(),
        Change::Later => "next connections".to_owned(),
        Change::Fixed(why) => format!("no: {why}"),
        _ => "?".to_owned(),
    }
}

fn compared(row: &OptionInfo) -> String {
    let different = DIFFERENT.iter().find(|(name, _)| *name == row.name);
    match (row.libzmq, different) {
        (None, _) => "only here".to_owned(),
        (Some(_), None) => "same".to_owned(),
        (Some(_), Some((_, why))) => (*why).to_owned(),
    }
}

#[test]
fn what_differs_is_an_option_of_both() {
    for (name, _) in DIFFERENT {
        let row = OPTION_TABLE.iter().find(|row| row.name == *name);
        assert!(
            row.is_some_and(|row| row.libzmq.is_some()),
            "{name} is no option with a counterpart in libzmq"
        );
    }
    for (name, _) in ELSEWHERE {
        let row = OPTION_TABLE
            .iter()
            .find(|row| row.libzmq.is_some_and(|option| option.name == *name));
        assert!(row.is_none(), "{name} is an option, and elsewhere as well");
    }
}
