//! Endpoints no other test uses, so that tests run side by side.

use super::unique;

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
        let name = unique::name();
        match self {
            Transport::Tcp => "tcp://127.0.0.1:*".to_owned(),
            // Not the target folder: a unix socket's path has some hundred bytes at most.
            Transport::Ipc => format!("ipc://{}/{name}", std::env::temp_dir().display()),
            #[cfg(target_os = "linux")]
            Transport::IpcAbstract => format!("ipc://@{name}"),
        }
    }
}
