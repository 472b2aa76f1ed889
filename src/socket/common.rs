//! What every socket type has, as calls of the type itself.

/// What every socket type has: making one, its endpoints, waiting for peers, watching and closing. And what the traits need of it.
macro_rules! common {
    ($name:ident, $text:literal, $options:ident => $pattern:ident::$make:ident($($argument:tt)*)) => {
        common!($name, $text, $options => try Ok($pattern::$make($($argument)*)), $pattern, |_socket| Ok(None));
    };
    // One that may fail; what belongs to the socket is made behind it, and dropped with it.
    ($name:ident, $text:literal, $options:ident => try $made:expr, $pattern:ident, |$socket:ident| $beside:expr) => {
        impl $name {
            #[doc = concat!("Makes a ", $text, " socket with default options.")]
            ///
            /// # Errors
            ///
            /// The system refused what the context needs with its first socket, or the context is shut down.
            pub fn new(context: &$crate::Context) -> Result<$name, $crate::SocketError> {
                $name::with_options(context, $crate::Options::new())
            }

            #[doc = concat!("Makes a ", $text, " socket with these options.")]
            ///
            /// # Errors
            ///
            /// An option is out of its range, the system refused what the context needs with its first socket, or the
            /// context is shut down.
            pub fn with_options(
                context: &$crate::Context,
                options: $crate::Options,
            ) -> Result<$name, $crate::SocketError> {
                <$name as $crate::AnySocket>::with_options(context, options)
            }

            /// Listens at an endpoint, and returns it with everything resolved: bind `tcp://127.0.0.1:*`
            /// and get the port. May be called for any number of endpoints.
            ///
            /// | endpoint | meaning |
            /// |---|---|
            /// | `tcp://127.0.0.1:5555`, `tcp://*:5555`, `tcp://eth0:*` | an address, all of them, an interface; `*` as the port takes a free one |
            /// | `ipc:///run/shop.sock`, `ipc://*`, `ipc://@shop` | a path, a temporary one, a name in Linux's abstract namespace |
            /// | `inproc://shop` | a name within the context |
            ///
            /// # Errors
            ///
            /// The endpoint is malformed, in use, not of this machine, or not permitted; or the system refused a file descriptor.
            pub fn bind<E>(&self, endpoint: E) -> Result<$crate::Endpoint, $crate::BindError>
            where
                E: TryInto<$crate::Endpoint>,
                $crate::EndpointError: From<E::Error>,
            {
                self.socket.bind($crate::socket::endpoint(endpoint)?)
            }

            /// Listens at a socket that is bound and listens already: a [`TcpListener`](std::net::TcpListener) or
            /// [`UnixListener`](std::os::unix::net::UnixListener), or a descriptor that was handed down, as by systemd (`LISTEN_FDS`).
            /// Gives its endpoint, for [`unbind`](Self::unbind).
            ///
            /// The backlog and the permissions of a file are as whoever made it has set them, and the file stays; all else is as
            /// after [`bind`](Self::bind), and the same addresses are refused. libzmq: `ZMQ_USE_FD`.
            ///
            /// # Errors
            ///
            /// It is no such socket, other machines can reach it and everyone would be let in
            /// ([`Insecure`](crate::BindError::Insecure)), or the system refused a file descriptor. It is closed then.
            ///
            /// ```
            #[doc = concat!("# use zerohop::{Context, ", stringify!($name), "};")]
            /// use std::net::TcpListener;
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let context = Context::new();
            #[doc = concat!("let socket = ", stringify!($name), "::new(&context)?;")]
            /// let endpoint = socket.bind_listener(TcpListener::bind("127.0.0.1:0")?)?;
            /// assert!(endpoint.to_string().starts_with("tcp://127.0.0.1:"));
            /// # Ok(())
            /// # }
            /// ```
            pub fn bind_listener(
                &self,
                listener: impl Into<std::os::fd::OwnedFd>,
            ) -> Result<$crate::Endpoint, $crate::BindError> {
                self.socket.bind_listener(listener.into())
            }

            /// Connects to an endpoint, in the background and again and again until it succeeds; after
            /// every loss too. May be called for any number of endpoints, and before anything is bound
            /// there.
            ///
            /// A second call for the same endpoint changes nothing with PUB, SUB, REQ, DEALER, PAIR and CHANNEL, for which another connection would
            /// be of no use, or repeat every message. With all other types it makes one more, which takes its turn
            /// like any other. (libzmq does the same, but makes one more with all types over inproc.)
            /// [`disconnect`](Self::disconnect) ends all of them. Endpoints are the same if they are equal as
            /// [`Endpoint`](crate::Endpoint)s; names are not looked up for that.
            ///
            /// # Errors
            ///
            /// The endpoint is malformed, or an inproc name is bound by a socket of a type that does not
            /// fit; or the system refused a file descriptor with the first endpoint. An unreachable peer is not an error: watch [`monitor`](Self::monitor), or use
            /// [`wait_for_peers`](Self::wait_for_peers).
            pub fn connect<E>(&self, endpoint: E) -> Result<(), $crate::ConnectError>
            where
                E: TryInto<$crate::Endpoint>,
                $crate::EndpointError: From<E::Error>,
            {
                self.socket.connect($crate::socket::endpoint(endpoint)?)
            }

            /// Stops listening at an endpoint, as [`bind`](Self::bind) returned it, and closes the
            /// connections that were accepted there. Messages that have come by them can still be received, but for those
            /// that are to be [settled](crate::Options::delivery), which come again elsewhere.
            ///
            /// # Errors
            ///
            /// Nothing is bound there.
            pub fn unbind<E>(&self, endpoint: E) -> Result<(), $crate::UnbindError>
            where
                E: TryInto<$crate::Endpoint>,
                $crate::EndpointError: From<E::Error>,
            {
                self.socket.unbind(&$crate::socket::endpoint(endpoint)?)
            }

            /// Ends the connections to an endpoint, as given to [`connect`](Self::connect). Messages that have come by them and were
            /// not received are dropped ([`Dropped::unreceived`](crate::Dropped::unreceived)).
            ///
            /// # Errors
            ///
            /// There is no connection to that endpoint.
            pub fn disconnect<E>(&self, endpoint: E) -> Result<(), $crate::UnbindError>
            where
                E: TryInto<$crate::Endpoint>,
                $crate::EndpointError: From<E::Error>,
            {
                self.socket.disconnect(&$crate::socket::endpoint(endpoint)?)
            }

            /// The options of the socket, as they are now.
            ///
            /// ```
            #[doc = concat!("# use zerohop::{Context, ", stringify!($name), "};")]
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            #[doc = concat!("let socket = ", stringify!($name), "::new(&Context::new())?;")]
            /// assert_eq!(socket.options().get("handshake_timeout").as_deref(), Some("30 s"));
            /// # Ok(())
            /// # }
            /// ```
            pub fn options(&self) -> std::sync::Arc<$crate::Options> {
                self.socket.options()
            }

            /// Changes options while the socket is in use, from any thread. [`OPTION_TABLE`](crate::OPTION_TABLE) says of each when that
            /// takes effect: see [`Change`](crate::Change). What two threads change at once is changed both.
            ///
            /// # Errors
            ///
            /// A value is out of its range, an option can't be changed later, everyone would be let in from other machines at an endpoint
            /// that is bound ([`Insecure`](crate::ReconfigureError::Insecure)), or the socket is closed. Nothing is changed then.
            ///
            /// ```
            #[doc = concat!("# use zerohop::{Context, ", stringify!($name), "};")]
            /// use std::time::Duration;
            ///
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            #[doc = concat!("let socket = ", stringify!($name), "::new(&Context::new())?;")]
            /// socket.reconfigure(|options| options.handshake_timeout(Duration::from_secs(5)).ipv6(true))?;
            /// assert!(socket.options().ipv6);
            /// # Ok(())
            /// # }
            /// ```
            pub fn reconfigure(
                &self,
                change: impl FnOnce($crate::Options) -> $crate::Options,
            ) -> Result<(), $crate::ReconfigureError> {
                self.socket.reconfigure(change)
            }

            /// Changes an option by its name, to what the text means, as [`Options::set_for`](crate::Options::set_for) reads it. To
            /// read one: `socket.options().get(name)`.
            ///
            /// # Errors
            ///
            /// As [`reconfigure`](Self::reconfigure), and where there is no such option, or it does nothing on this type.
            ///
            /// ```
            #[doc = concat!("# use zerohop::{Context, ", stringify!($name), "};")]
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            #[doc = concat!("let socket = ", stringify!($name), "::new(&Context::new())?;")]
            /// socket.set("reconnect_interval", "1 s")?;
            /// assert_eq!(socket.options().get("reconnect_interval").as_deref(), Some("1 s"));
            /// # Ok(())
            /// # }
            /// ```
            pub fn set(&self, name: &str, value: &str) -> Result<(), $crate::ReconfigureError> {
                self.socket.set(name, value)
            }

            /// The endpoint last bound (resolved) or connected (as given). `None` in a forked child. libzmq: `ZMQ_LAST_ENDPOINT`.
            pub fn last_endpoint(&self) -> Option<$crate::Endpoint> {
                self.socket.last_endpoint()
            }

            /// Waits until at least so many peers are connected, handshake included.
            ///
            /// # Errors
            ///
            /// There were fewer when the time was up, or the socket was closed.
            pub fn wait_for_peers(
                &self,
                count: usize,
                timeout: std::time::Duration,
            ) -> Result<(), $crate::WaitError> {
                self.socket.wait_for_peers(count, timeout)
            }

            /// Watches what happens to the socket's connections, from now on. Any number of monitors may
            /// watch; none slows the socket down. In a forked child there is nothing to see, and receiving fails with `Forked`.
            pub fn monitor(&self) -> $crate::Monitor {
                self.socket.monitor()
            }

            /// What the socket and each of its peers have sent, received, queued and dropped so far. Nothing in a forked child, which
            /// cannot know it.
            pub fn stats(&self) -> $crate::Stats {
                self.socket.stats()
            }

            /// Begins to close the socket, from any thread: calls that wait in it end at once, and later ones fail, with
            /// `Closed`. What was sent leaves in the background, within [`linger`](crate::Options::linger), and what came and was not
            /// taken is dropped. libzmq has this for a whole context only, as [`Context::shutdown`](crate::Context::shutdown).
            ///
            /// ```
            #[doc = concat!("# use zerohop::{Context, ", stringify!($name), ", WaitError};")]
            /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
            /// # let context = Context::new();
            #[doc = concat!("let socket = ", stringify!($name), "::new(&context)?;")]
            /// std::thread::scope(|scope| {
            ///     // Or one that waits in `recv`, or in `send`.
            ///     let waiting = scope.spawn(|| socket.wait_for_peers(1, std::time::Duration::MAX));
            ///     socket.shutdown();
            ///     assert_eq!(waiting.join().unwrap(), Err(WaitError::Closed));
            /// });
            /// # Ok(())
            /// # }
            /// ```
            pub fn shutdown(&self) {
                self.socket.shutdown();
            }

            /// Closes the socket, waiting for at most `timeout` until all that was sent has left and the peers have
            /// read it, inproc apart.
            ///
            /// Dropping a socket does not wait: what is queued leaves in the background, within
            /// [`linger`](crate::Options::linger). A socket in a `static` is never dropped: close it before `main` returns, or
            /// what it has queued is lost (see [`Context`](crate::Context)).
            ///
            /// # Errors
            ///
            /// Messages were left unsent; the error says how many. What has left and nobody has read is not among them. In a forked
            /// child nothing is closed, and the error says so.
            pub fn close(self, timeout: std::time::Duration) -> Result<(), $crate::CloseError> {
                self.socket.close(timeout)
            }
        }

        impl $crate::socket::handle::Handle for $name {
            type Pattern = $pattern;

            fn pattern($options: &$crate::Options) -> Result<$pattern, $crate::SocketError> {
                $made
            }

            fn beside(
                $socket: &$crate::socket::Socket<$pattern>,
            ) -> Result<Option<Box<dyn std::any::Any + Send + Sync>>, $crate::SocketError> {
                $beside
            }

            fn from_socket(socket: $crate::socket::Socket<$pattern>) -> $name {
                $name { socket }
            }

            fn socket(&self) -> &$crate::socket::Socket<$pattern> {
                &self.socket
            }

            fn into_socket(self) -> $crate::socket::Socket<$pattern> {
                self.socket
            }
        }

        impl $crate::AnySocket for $name {
            const TYPE: $crate::SocketType = $crate::SocketType::$name;
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("last_endpoint", &self.last_endpoint())
                    .finish_non_exhaustive()
            }
        }
    };
}

pub(super) use common;
