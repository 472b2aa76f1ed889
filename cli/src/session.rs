//! One socket from the command line's arguments to its orderly end.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use zerohop::__cli::needs_lookup;
use zerohop::{AnySocket, BindError, ConnectError, Context, Endpoint, Options, SocketError};

use crate::args::{EndpointArgs, SocketArgs};
use crate::console;
use crate::events::Watch;
use crate::failure::{Failure, Outcome};
use crate::inherited;
use crate::progress::Progress;
use crate::stats::Report;
use crate::stop::{Stop, Waited};
use crate::value::Setting;

/// How often to look whether everything is sent.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// After a time-out, so long is given to peers that are just reading what they have been sent.
const GRACE: Duration = Duration::from_millis(100);

/// A socket that is bound and connected, and what watches it.
pub(crate) struct Session<S: AnySocket> {
    pub(crate) socket: Arc<S>,
    pub(crate) stop: Stop,
    pub(crate) timeout: Option<Duration>,
    quiet: bool,
    watch: Watch,
    report: Option<Report>,
    /// Receives while others send, until the socket is closed.
    companion: Option<JoinHandle<()>>,
    /// Whether nothing is amiss while no input comes: what comes back is something that happens, too.
    pub(crate) input_may_wait: bool,
    /// Looks at the socket when nothing more is waited for, before it is closed.
    last_look: Option<LastLook<S>>,
}

/// What it finds is how the command ends, if nothing has failed before.
type LastLook<S> = fn(&S, Quiet) -> Outcome;

/// Whether nothing but failures is to be told.
pub(crate) type Quiet = bool;

impl<S: AnySocket> Session<S> {
    /// Opens the socket with the options that all commands share.
    pub(crate) fn open(endpoints: &EndpointArgs, args: &SocketArgs) -> Outcome<Session<S>> {
        Session::open_with(endpoints, args, Options::new(), |_| Ok(()))
    }

    /// Opens the socket; `before` prepares it before it has any peer.
    pub(crate) fn open_with(
        endpoints: &EndpointArgs,
        args: &SocketArgs,
        options: Options,
        before: impl FnOnce(&S) -> Outcome,
    ) -> Outcome<Session<S>> {
        let context = Context::new();
        let stop = Stop::listen(&context, args.linger.0, args.quiet)?;
        Session::assemble(&context, stop, endpoints, args, options, before)
    }

    /// Opens the socket in a context that there is, to be stopped together with others.
    pub(crate) fn assemble(
        context: &Context,
        stop: Stop,
        endpoints: &EndpointArgs,
        args: &SocketArgs,
        options: Options,
        before: impl FnOnce(&S) -> Outcome,
    ) -> Outcome<Session<S>> {
        if args.verbose {
            console::log_verbosely();
        }
        let session =
            Session::assemble_parts(context, stop.clone(), endpoints, args, options, before);
        // What fails because of a stop is no failure.
        session.map_err(|failure| stop.ending().unwrap_or(failure))
    }

    fn assemble_parts(
        context: &Context,
        stop: Stop,
        endpoints: &EndpointArgs,
        args: &SocketArgs,
        options: Options,
        before: impl FnOnce(&S) -> Outcome,
    ) -> Outcome<Session<S>> {
        let mut options = args.security.apply(with_arguments(options, args))?;
        for Setting { name, value } in &args.option {
            let set = options.set_for(S::TYPE, name, value);
            set.map_err(Failure::usage)?;
        }
        let socket = S::with_options(context, options);
        let socket = socket.map_err(|error| socket_failure(&error))?;
        let watch = Watch::start(socket.monitor(), args);
        before(&socket)?;
        let socket = Arc::new(socket);
        attach(&socket, endpoints, args, &stop)?;
        let report = args.stats.then(|| Report::start(&socket));
        Ok(Session {
            socket,
            stop,
            timeout: args.timeout,
            quiet: args.quiet,
            watch,
            report,
            companion: None,
            input_may_wait: false,
            last_look: None,
        })
    }

    /// Does something in a thread of its own, which is to end when the socket is shut down.
    pub(crate) fn accompany(&mut self, work: impl FnOnce(&S) + Send + 'static) {
        let socket = Arc::clone(&self.socket);
        self.companion = Some(thread::spawn(move || work(&socket)));
    }

    /// Whether the person at the terminal wants to hear of failures only.
    pub(crate) fn quiet(&self) -> Quiet {
        self.quiet
    }

    /// Waits in the end until peers have settled all messages, and then looks at the socket once more.
    pub(crate) fn await_settlement(&mut self, then: LastLook<S>) {
        self.last_look = Some(then);
    }

    /// Tells the person at the terminal something that is no failure.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            console::say(&format!("zerohop: {text}"));
        }
    }

    /// What stands in the way of messages, for the end of a sentence.
    pub(crate) fn trouble(&self) -> String {
        self.watch.trouble()
    }

    /// See [`Watch::refused`].
    pub(crate) fn refused(&self) -> Arc<AtomicU64> {
        self.watch.refused()
    }

    /// Ends the session: waits for what is still to be sent, within the linger time and as long as something leaves within
    /// `--timeout`, and prints the totals. After a time-out nothing is waited for. A stop that was asked for is told after everything else.
    pub(crate) fn close(self, outcome: Outcome) -> Outcome {
        let linger = match &outcome {
            Err(Failure::TimedOut(_)) => Duration::ZERO,
            _ => self.stop.linger_left().unwrap_or(Duration::MAX),
        };
        let timed_out = linger.is_zero() || self.timeout.is_some_and(|timeout| timeout < linger);
        let stop = self.stop.clone();
        let done = match self.last_look {
            Some(_) => "settled",
            None => "sent",
        };
        let Shut {
            left,
            trouble,
            found,
        } = self.shut(linger);
        let closed = match left {
            0 => Ok(()),
            left => Err(unsent(left, done, timed_out, &trouble)),
        };
        let outcome = outcome.and(found);
        match (outcome, closed, stop.cause()) {
            (Ok(()), Err(unsent), None) => Err(unsent),
            (outcome, closed, _) => {
                if let Err(unsent) = closed {
                    unsent.tell();
                    stop.cut_short();
                }
                first_of(outcome, &stop)
            }
        }
    }

    /// Ends the session when nobody waits any more for what is still to be sent.
    pub(crate) fn close_at_once(self, outcome: Outcome) -> Outcome {
        let stop = self.stop.clone();
        self.shut(Duration::ZERO);
        first_of(outcome, &stop)
    }

    fn shut(self, linger: Duration) -> Shut {
        let look = |socket: &S| match self.last_look {
            Some(look) => look(socket, self.quiet),
            None => Ok(()),
        };
        if linger.is_zero() {
            if let Some(report) = self.report {
                report.finish();
            }
            let is_queued = Progress::of(&*self.socket).is_queued();
            let grace = if is_queued { Duration::ZERO } else { GRACE };
            let found = look(&self.socket);
            let (left, trouble) = close(self.socket, self.companion, grace, self.watch);
            return Shut {
                left,
                trouble,
                found,
            };
        }
        let end = Instant::now().checked_add(linger);
        // The totals are to be those of the end, and a closed socket has no counters.
        let waits = self.report.is_some() || self.last_look.is_some();
        let waited = if waits || self.timeout.is_some() {
            wait_until_sent(&*self.socket, end, self.timeout)
        } else {
            Waiting::Over
        };
        if let Some(report) = self.report {
            report.finish();
        }
        let left = match waited {
            Waiting::InVain => Duration::ZERO,
            // What has gone to the system is still to be read by the peer, and a timeout bounds that as well.
            Waiting::Over => end
                .map_or(Duration::MAX, |end| {
                    end.saturating_duration_since(Instant::now())
                })
                .min(self.timeout.unwrap_or(Duration::MAX)),
        };
        let found = look(&self.socket);
        let (left, trouble) = close(self.socket, self.companion, left, self.watch);
        Shut {
            left,
            trouble,
            found,
        }
    }

    /// How long one attempt of [`insist`](Session::insist) may wait.
    pub(crate) fn slice(&self) -> Option<Duration> {
        self.timeout.map(slice)
    }

    /// Repeats what times out, until nothing has left for as long as `--timeout` allows: for a slow peer something happens.
    pub(crate) fn insist<T, E>(
        &self,
        is_timeout: impl Fn(&E) -> bool,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T, E> {
        let start = Instant::now();
        let mut moved = None;
        loop {
            let result = attempt();
            match (&result, self.timeout) {
                (Err(error), Some(timeout)) if is_timeout(error) => {
                    let now = Progress::of(&*self.socket);
                    let since = match moved {
                        Some((before, at)) if before == now => at,
                        Some(_) => Instant::now(),
                        None => start,
                    };
                    if since.elapsed() >= timeout {
                        return result;
                    }
                    moved = Some((now, since));
                }
                _ => return result,
            }
        }
    }
}

/// How a session has ended.
struct Shut {
    /// Messages that were not sent, or not settled where that was waited for.
    left: u64,
    /// What stood in their way.
    trouble: String,
    /// What the last look at the socket has found.
    found: Outcome,
}

/// A part of `--timeout`, after which is looked whether anything has left.
fn slice(timeout: Duration) -> Duration {
    (timeout / 8).max(Duration::from_millis(1))
}

/// Closes the socket. All threads that shared it have ended by now, but for the companion.
fn close<S: AnySocket>(
    socket: Arc<S>,
    companion: Option<JoinHandle<()>>,
    linger: Duration,
    watch: Watch,
) -> (u64, String) {
    if let Some(companion) = companion {
        socket.shutdown();
        // It receives; it can't have failed.
        let _ = companion.join();
    }
    let closed = Arc::into_inner(socket).map_or(Ok(()), |socket| socket.close(linger));
    let trouble = watch.finish();
    (closed.map_or_else(|error| error.unsent(), |()| 0), trouble)
}

/// What a command that was asked to stop says in the end.
fn first_of(outcome: Outcome, stop: &Stop) -> Outcome {
    match (outcome, stop.ending()) {
        (Err(failure @ Failure::Failed(_)), _) => Err(failure),
        (_, Some(ending)) => Err(ending),
        (outcome, None) => outcome,
    }
}

/// What it means that messages were left in the end.
fn unsent(count: u64, done: &str, timed_out: bool, trouble: &str) -> Failure {
    let messages = match count {
        1 => "1 message was".to_owned(),
        count => format!("{count} messages were"),
    };
    if timed_out {
        return Failure::TimedOut(format!(
            "{messages} not {done} in time{trouble}; is anybody receiving?"
        ));
    }
    Failure::Failed(format!(
        "{messages} not {done} within the linger time{trouble}; is anybody receiving? --linger gives more time"
    ))
}

/// How waiting for messages to leave has ended.
pub(crate) enum Waiting {
    /// Nothing is left, or there is no more time.
    Over,
    /// Something is left, and none of it has moved for as long as `--timeout` allows.
    InVain,
}

/// Waits until nothing is queued to be sent or held to be settled, or until the end, or until nothing has left for as long as `timeout`.
pub(crate) fn wait_until_sent(
    socket: &impl AnySocket,
    end: Option<Instant>,
    timeout: Option<Duration>,
) -> Waiting {
    let mut moved = (Progress::of(socket), Instant::now());
    loop {
        let progress = Progress::of(socket);
        let now = Instant::now();
        if !progress.is_queued() || end.is_some_and(|end| end <= now) {
            return Waiting::Over;
        }
        if progress != moved.0 {
            moved = (progress, now);
        }
        if timeout.is_some_and(|timeout| now - moved.1 >= timeout) {
            return Waiting::InVain;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

fn with_arguments(mut options: Options, args: &SocketArgs) -> Options {
    if let Some(hwm) = args.hwm {
        options = options.send_hwm(hwm).recv_hwm(hwm);
    }
    options
        .linger(args.linger.0)
        .ipv6(args.ipv6)
        .send_timeout(args.timeout.map(slice))
        .recv_timeout(args.timeout)
}

/// Binds and connects a socket, and tells which addresses wildcards have become.
fn attach<S: AnySocket>(
    socket: &Arc<S>,
    endpoints: &EndpointArgs,
    args: &SocketArgs,
    stop: &Stop,
) -> Outcome {
    if endpoints.listen_fds {
        for descriptor in inherited::listeners().map_err(Failure::Usage)? {
            let bound = socket.bind_listener(descriptor);
            let bound = bound.map_err(|error| bind_failure(&error))?;
            if !args.quiet {
                console::say(&format!("zerohop: listening at {bound}"));
            }
        }
    }
    for text in &endpoints.bind {
        let endpoint: Endpoint = text.parse().map_err(Failure::usage)?;
        let bound = if needs_lookup(&endpoint) {
            bind_name(socket, text, args.timeout, stop)?
        } else {
            socket.bind(text).map_err(|error| bind_failure(&error))?
        };
        if !args.quiet && is_wildcard(&endpoint) {
            console::say(&format!("zerohop: listening at {bound}"));
        }
    }
    for endpoint in &endpoints.connect {
        socket
            .connect(endpoint)
            .map_err(|error| connect_failure(&error))?;
    }
    Ok(())
}

/// Binds where that may wait for a name server, which nothing can cut short: in a thread that is left behind if the stop
/// or the time-out comes first.
fn bind_name<S: AnySocket>(
    socket: &Arc<S>,
    endpoint: &str,
    timeout: Option<Duration>,
    stop: &Stop,
) -> Outcome<Endpoint> {
    let (ended, end) = UnixStream::pair().map_err(Failure::of)?;
    let (shared, text) = (Arc::clone(socket), endpoint.to_owned());
    let binding = thread::spawn(move || {
        let bound = shared.bind(&text);
        // Whoever is told by this may want to have the socket alone.
        drop(shared);
        drop(end);
        bound
    });
    match stop.wait_for(ended.as_fd(), timeout).map_err(Failure::of)? {
        Waited::Readable => {
            let bound = binding.join();
            let bound = bound.map_err(|_| Failure::of("a thread died"))?;
            bound.map_err(|error| bind_failure(&error))
        }
        Waited::TimedOut => Err(Failure::TimedOut(format!(
            "cannot bind {endpoint}: the name was not looked up in time"
        ))),
        Waited::Stopped => Err(stop.ending().unwrap_or_else(|| Failure::of("stopped"))),
    }
}

/// Whether only binding tells the address: `tcp://*:5555` is no secret, `tcp://127.0.0.1:*` and `ipc://*` are.
fn is_wildcard(endpoint: &Endpoint) -> bool {
    let text = endpoint.to_string();
    text == "ipc://*" || text.starts_with("tcp:") && endpoint.port().is_none()
}

fn socket_failure(error: &SocketError) -> Failure {
    match error {
        SocketError::Option(_) => Failure::usage(error),
        _ => Failure::of(error),
    }
}

fn bind_failure(error: &BindError) -> Failure {
    let advice = match error {
        BindError::Endpoint(_) => return Failure::Usage(error.to_string()),
        BindError::AddrInUse { .. } => "; stop the program that uses it, or choose another",
        BindError::AddrNotAvailable { .. } => "; * stands for all addresses of this machine",
        BindError::PermissionDenied { endpoint } => permission_advice(endpoint),
        BindError::NoSuchDirectory { .. } => "; create it first, or choose another path",
        BindError::UnknownHost { .. } => "; * stands for all addresses of this machine",
        BindError::Insecure { endpoint } => {
            return Failure::Failed(format!(
                "cannot bind {endpoint}: other machines could connect, and whoever does would be let in; \
                 bind tcp://127.0.0.1:PORT, or say who is let in (--curve-server FILE --allow FILE), or mean it (--insecure)"
            ));
        }
        BindError::NotASocket { .. } | BindError::NotAListener { .. } | BindError::Io { .. } => "",
        _ => "",
    };
    Failure::Failed(format!("{error}{advice}"))
}

fn permission_advice(endpoint: &Endpoint) -> &'static str {
    if endpoint.to_string().starts_with("tcp:") {
        "; ports below 1024 are the system's, choose a higher one"
    } else {
        "; choose a path in a directory that you may write to"
    }
}

fn connect_failure(error: &ConnectError) -> Failure {
    match error {
        ConnectError::Endpoint(_) => Failure::Usage(error.to_string()),
        _ => Failure::of(error),
    }
}
