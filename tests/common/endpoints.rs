//! Endpoints no other test uses, so that tests run side by side.

use std::sync::atomic::{AtomicU32, Ordering};

/// What a scenario runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Ipc,
    /// A unix socket in Linux's abstract namespace: no file.
    #[cfg(target_os = "linux")]
    IpcAbstract,
}

impl Transport {
    /// All transports that can reach another implementation.
    pub(crate) const FOREIGN: &[Transport] = &[
        Transport::Tcp,
        Transport::Ipc,
        #[cfg(target_os = "linux")]
        Transport::IpcAbstract,
    ];

    /// An endpoint to bind; whoever binds learns from the socket what to connect to.
    pub(crate) fn endpoint(self) -> String {
        let name = unique_name();
        match self {
            Transport::Tcp => "tcp://127.0.0.1:*".to_owned(),
            // Not the target folder: a unix socket's path has some hundred bytes at most.
            Transport::Ipc => format!("ipc://{}/{name}", std::env::temp_dir().display()),
            #[cfg(target_os = "linux")]
            Transport::IpcAbstract => format!("ipc://@{name}"),
        }
    }
}

/// A name that no other test of this or any other running process has.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("zerohop-test-{}-{number}", std::process::id())
}
