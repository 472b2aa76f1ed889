//! Where scenarios take place.

use std::time::Duration;

use zerohop::Options;

use crate::common::{loopback, unique};

/// What a scenario runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    /// A unix socket in Linux's abstract namespace: no file.
    #[cfg(target_os = "linux")]
    IpcAbstract,
    Inproc,
}

impl Transport {
    /// An endpoint that nobody else uses, fit to be bound and to be connected to, in either order.
    pub(crate) fn endpoint(self) -> String {
        match self {
            Transport::Tcp => loopback::tcp_endpoint(),
            // Not the target folder: a unix socket's path has some hundred bytes at most.
            Transport::Ipc => format!(
                "ipc://{}/{}",
                std::env::temp_dir().display(),
                unique::name()
            ),
            #[cfg(target_os = "linux")]
            Transport::IpcAbstract => format!("ipc://@{}", unique::name()),
            Transport::Inproc => format!("inproc://{}", unique::name()),
        }
    }
}

/// Options for sockets that lose their peers on purpose and have nothing to deliver at the end of a failed test.
pub(crate) fn nimble() -> Options {
    Options::new()
        .reconnect_interval(Duration::from_millis(5))
        .reconnect_interval_max(Duration::from_millis(50))
        .linger(Duration::ZERO)
}

/// Makes a test of each scenario for every transport, which plays it by each way of waiting.
///
/// `on_every_transport!(a, b)` makes `tcp::a`, `tcp::b`, `ipc::a`, …; `on_every_transport!(kind: Pairing => a, b)`
/// makes `kind::tcp::a`, … of scenarios that are generic over a pairing.
macro_rules! on_every_transport {
    ($name:ident: $pairing:ident => $($scenario:ident),+ $(,)?) => {
        mod $name {
            $(fn $scenario(transport: $crate::arena::Transport) {
                super::$scenario::<$crate::pairs::$pairing>(transport);
            })+
            $crate::arena::on_every_transport!($($scenario),+);
        }
    };
    ($($scenario:ident),+ $(,)?) => {
        on_all_transports!($($scenario),+);
    };
}

macro_rules! on_transport {
    ($module:ident, $transport:ident => $($scenario:ident),+) => {
        mod $module {
            $(#[test]
            fn $scenario() {
                $crate::sockets::by_each_way(|| {
                    super::$scenario($crate::arena::Transport::$transport);
                });
            })+
        }
    };
}

pub(crate) use {on_every_transport, on_transport};
