//! TCP endpoints known before they are bound.

use super::unique;

/// All of 127/8 is this machine's: an address of its own for each test, so that no connection of another one
/// happens to leave from the port.
#[cfg(target_os = "linux")]
pub(crate) fn tcp_endpoint() -> String {
    let [_, high, middle, low] = (std::process::id() << 8 | unique::number() & 0xff).to_be_bytes();
    format!("tcp://127.{}.{middle}.{low}:5555", high | 1)
}

/// A port that was free a moment ago.
#[cfg(not(target_os = "linux"))]
pub(crate) fn tcp_endpoint() -> String {
    let _ = unique::number();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("tcp://{}", listener.local_addr().expect("its address"))
}
