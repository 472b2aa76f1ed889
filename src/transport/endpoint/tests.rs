//! The table of endpoint forms, good and bad, with what each bad one is blamed for.

use super::*;
use EndpointError as Error;

fn parse(text: &str) -> Result<Endpoint, EndpointError> {
    text.parse()
}

#[test]
fn good_forms_have_one_canonical_spelling() {
    let forms = [
        ("tcp://127.0.0.1:5555", "tcp://127.0.0.1:5555"),
        ("tcp://127.0.0.1:0", "tcp://127.0.0.1:*"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"),
        ("tcp://127.0.0.1:007", "tcp://127.0.0.1:7"),
        ("tcp://*:65535", "tcp://*:65535"),
        ("tcp://*:*", "tcp://*:*"),
        ("tcp://localhost:5555", "tcp://localhost:5555"),
        (
            "tcp://my-host_1.example.com.:1",
            "tcp://my-host_1.example.com.:1",
        ),
        ("tcp://eth0:5555", "tcp://eth0:5555"),
        ("tcp://eth0.100:5555", "tcp://eth0.100:5555"),
        ("tcp://3com:5555", "tcp://3com:5555"),
        ("tcp://[::1]:5555", "tcp://[::1]:5555"),
        ("tcp://[0:0::1]:5555", "tcp://[::1]:5555"),
        ("tcp://[::]:*", "tcp://[::]:*"),
        ("tcp://[::ffff:1.2.3.4]:5", "tcp://1.2.3.4:5"),
        ("tcp://[0::ffff:102:304]:5", "tcp://1.2.3.4:5"),
        (
            "tcp://[::ffff:1.2.3.4]:0;[::ffff:1.2.3.5]:5",
            "tcp://1.2.3.4:*;1.2.3.5:5",
        ),
        ("tcp://[fe80::1%eth0]:5555", "tcp://[fe80::1%eth0]:5555"),
        ("tcp://[fe80::1%2]:5555", "tcp://[fe80::1%2]:5555"),
        ("tcp://eth0:0;10.0.0.1:5555", "tcp://eth0:*;10.0.0.1:5555"),
        ("tcp://[::1]:7;[::1]:8", "tcp://[::1]:7;[::1]:8"),
        ("ipc:///tmp/a.sock", "ipc:///tmp/a.sock"),
        ("ipc://relative", "ipc://relative"),
        ("ipc://with space:and;more", "ipc://with space:and;more"),
        ("ipc://*", "ipc://*"),
        ("ipc://@name", "ipc://@name"),
        ("ipc://@*", "ipc://@*"),
        (
            "inproc://anything at all: ;*@://x",
            "inproc://anything at all: ;*@://x",
        ),
    ];
    for (text, canonical) in forms {
        let endpoint = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(endpoint.to_string(), canonical);
        assert_eq!(
            parse(canonical),
            Ok(endpoint),
            "{canonical} means something else"
        );
    }
}

#[test]
fn parts_are_told_apart() {
    let address = |text: &str| parse(text).unwrap().address().clone();
    assert_eq!(
        address("tcp://eth0:0;[fe80::1%eth0]:5555"),
        Address::Tcp(TcpAddress {
            source: Some((Host::Name("eth0".into()), 0)),
            host: Host::V6 {
                address: "fe80::1".parse().unwrap(),
                zone: Some("eth0".into()),
            },
            port: 5555,
        })
    );
    assert_eq!(
        address("ipc://@a"),
        Address::Ipc(IpcAddress::Abstract("a".into()))
    );
    assert_eq!(
        address("ipc://a"),
        Address::Ipc(IpcAddress::Path("a".into()))
    );
    assert_eq!(address("ipc://*"), Address::Ipc(IpcAddress::Any));
    assert_eq!(address("inproc://*"), Address::Inproc("*".into()));
}

#[test]
fn a_missing_or_unknown_scheme_is_blamed() {
    for text in [
        "",
        "localhost:5555",
        "tcp:/x:1",
        "://x:1",
        "tcp:localhost:1",
    ] {
        let endpoint = text.to_owned();
        assert_eq!(parse(text), Err(Error::MissingScheme { endpoint }));
    }
    for (text, scheme) in [
        ("udp://*:1", "udp"),
        ("TCP://*:1", "TCP"),
        (" tcp://*:1", " tcp"),
    ] {
        let (endpoint, scheme) = (text.to_owned(), scheme.to_owned());
        assert_eq!(parse(text), Err(Error::UnknownScheme { endpoint, scheme }));
    }
    for text in ["tcp://", "ipc://", "inproc://"] {
        let endpoint = text.to_owned();
        assert_eq!(parse(text), Err(Error::EmptyAddress { endpoint }));
    }
}

#[test]
fn ports_are_strict() {
    for text in [
        "tcp://localhost",
        "tcp://[::1]",
        "tcp://*",
        "tcp://a;b:1",
        "tcp://;",
    ] {
        let endpoint = text.to_owned();
        assert_eq!(parse(text), Err(Error::MissingPort { endpoint }));
    }
    let ports = [
        "",
        "http",
        "65536",
        "70000",
        "-1",
        "+1",
        "80x",
        " 80",
        "80 ",
        "0x50",
        "**",
        "٣",
        "99999999999",
    ];
    for port in ports {
        let endpoint = format!("tcp://127.0.0.1:{port}");
        let port = port.to_owned();
        assert_eq!(parse(&endpoint), Err(Error::InvalidPort { endpoint, port }));
    }
}

#[test]
fn hosts_are_strict() {
    let long = "a".repeat(HOST_NAME_LIMIT + 1);
    let hosts = [
        "",
        " ",
        "a b",
        "10.0.0.256",
        "127.1",
        "0x7f.1",
        "1",
        "a..b",
        ".a",
        ".",
        "a/b",
        "user@host",
        "naïve",
        "[::1",
        "::1]",
        "[]",
        "[1.2.3.4]",
        "[::g]",
        "[fe80::1%]",
        "[fe80::1%a b]",
        "[::ffff:1.2.3.4%eth0]",
        "[::1]x",
        "a:b",
        "a*",
        &long,
    ];
    for host in hosts {
        let endpoint = format!("tcp://{host}:1");
        let host = host.to_owned();
        assert_eq!(parse(&endpoint), Err(Error::InvalidHost { endpoint, host }));
    }
    let endpoint = "tcp://::1:5555".to_owned();
    let address = "::1".to_owned();
    assert_eq!(
        parse(&endpoint),
        Err(Error::UnbracketedIpv6 { endpoint, address })
    );
}

#[test]
fn ipc_names_are_strict() {
    let endpoint = "ipc://@".to_owned();
    assert_eq!(parse(&endpoint), Err(Error::EmptyAbstractName { endpoint }));
    let endpoint = "ipc://a\0b".to_owned();
    assert_eq!(parse(&endpoint), Err(Error::NulInPath { endpoint }));
}

#[test]
fn bind_and_connect_accept_different_forms() {
    for text in ["tcp://*:1", "tcp://1.2.3.4:*", "tcp://[::]:0", "ipc://*"] {
        let endpoint = parse(text).unwrap();
        assert_eq!(endpoint.check_bind(), Ok(()));
        let text = endpoint.to_string();
        assert_eq!(
            endpoint.check_connect(),
            Err(Error::WildcardInConnect { endpoint: text })
        );
    }
    let sourced = parse("tcp://eth0:0;10.0.0.1:5555").unwrap();
    assert_eq!(sourced.check_connect(), Ok(()));
    let endpoint = sourced.to_string();
    assert_eq!(sourced.check_bind(), Err(Error::SourceInBind { endpoint }));
    for text in ["tcp://1.2.3.4:1", "tcp://a:1", "ipc://a", "inproc://*"] {
        let endpoint = parse(text).unwrap();
        assert_eq!(
            (endpoint.check_bind(), endpoint.check_connect()),
            (Ok(()), Ok(()))
        );
    }
}

#[test]
fn ipc_names_must_fit() {
    let limit = IPC_PATH_CAPACITY - 1;
    let fits = parse(&format!("ipc://{}", "p".repeat(limit))).unwrap();
    assert_eq!((fits.check_bind(), fits.check_connect()), (Ok(()), Ok(())));
    let long = parse(&format!("ipc://{}", "p".repeat(limit + 1))).unwrap();
    let error = Error::PathTooLong {
        endpoint: long.to_string(),
        length: limit + 1,
        limit,
    };
    assert_eq!(
        (long.check_bind(), long.check_connect()),
        (Err(error.clone()), Err(error))
    );
}

#[test]
fn only_linux_has_abstract_names() {
    let endpoint = parse("ipc://@name").unwrap();
    let expected = if cfg!(any(target_os = "linux", target_os = "android")) {
        Ok(())
    } else {
        Err(Error::AbstractUnsupported {
            endpoint: endpoint.to_string(),
        })
    };
    assert_eq!(endpoint.check_bind(), expected);
    assert_eq!(endpoint.check_connect(), expected);
}

#[test]
fn messages_quote_the_text_and_say_what_is_right() {
    let messages = [
        (
            "nonsense",
            "endpoint \"nonsense\" has no scheme: write tcp://host:port, ipc://path or inproc://name",
        ),
        (
            "tcp://h:99999",
            "invalid port \"99999\" in endpoint \"tcp://h:99999\": use a number from 0 to 65535, or * for any free port",
        ),
        (
            "tcp://::1:5",
            "IPv6 address without brackets in endpoint \"tcp://::1:5\": write [::1]",
        ),
    ];
    for (text, message) in messages {
        assert_eq!(parse(text).unwrap_err().to_string(), message);
    }
}
