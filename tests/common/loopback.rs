//! TCP endpoints known before they are bound.

use super::unique;

/// All of 127/8 is this machine's: an address of its own for each test, so that no connection of another one
/// happens to leave from the port.
#[cfg(target_os = "linux")]
pub(crate) fn tcp_endpoint() -> String {
    let number = unique::number();
    let [_, high, middle, low] = (std::process::id() << 8 | number & 0xff).to_be_bytes();
    // Below those that the system gives to connections.
    let port = 5555 + (number >> 8) % 20_000;
    format!("tcp://127.{}.{middle}.{low}:{port}", high | 1)
}

/// A port that was free a moment ago.
#[cfg(not(target_os = "linux"))]
pub(crate) fn tcp_endpoint() -> String {
    let _ = unique::number();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!("tcp://{}", listener.local_addr().expect("its address"))
}
