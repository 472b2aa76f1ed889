//! One socket from the command line's arguments to its orderly end.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{BindError, ConnectError, Context, Endpoint, Options};

use crate::args::{EndpointArgs, SocketArgs};
use crate::console;
use crate::events::Watch;
use crate::failure::{Failure, Outcome};
use crate::sockets::AnySocket;
use crate::stats::Report;
use crate::stop::Stop;

/// How often to look whether everything is sent.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A socket that is bound and connected, and what watches it.
pub(crate) struct Session<S: AnySocket> {
    pub(crate) socket: Arc<S>,
    pub(crate) stop: Stop,
    pub(crate) timeout: Option<Duration>,
    quiet: bool,
    watch: Watch,
    report: Option<Report>,
}

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
        let socket = S::open(context, with_arguments(options, args)).map_err(Failure::of)?;
        let watch = Watch::start(socket.monitor(), args);
        before(&socket)?;
        attach(&socket, endpoints, args.quiet)?;
        let socket = Arc::new(socket);
        let report = args.stats.then(|| Report::start(&socket));
        Ok(Session {
            socket,
            stop,
            timeout: args.timeout,
            quiet: args.quiet,
            watch,
            report,
        })
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

    /// Ends the session: waits for what is still to be sent, within the linger time, and prints the totals. A stop that
    /// was asked for is told after everything else.
    pub(crate) fn close(self, outcome: Outcome) -> Outcome {
        if let Some(report) = self.report {
            // The totals are to be those of the end, and a closed socket has no counters.
            wait_until_sent(&*self.socket, self.stop.linger_left());
            report.finish();
        }
        let linger = self.stop.linger_left().unwrap_or(Duration::MAX);
        // All threads that shared the socket have ended by now.
        let closed = Arc::into_inner(self.socket).map_or(Ok(()), |socket| socket.close(linger));
        let trouble = self.watch.finish();
        let closed = closed.map_err(|error| unsent(error.unsent(), &trouble));
        match (outcome, closed, self.stop.cause()) {
            (Err(failure @ Failure::Failed(_)), _, _) => Err(failure),
            (outcome, Err(unsent), None) => outcome.and(Err(unsent)),
            (_, closed, Some(cause)) => {
                if let Err(unsent) = closed {
                    unsent.tell();
                }
                Err(cause.into())
            }
            (outcome, Ok(()), None) => outcome,
        }
    }
}

/// What it means that messages were left when the linger time was over.
fn unsent(count: u64, trouble: &str) -> Failure {
    let messages = match count {
        1 => "1 message was".to_owned(),
        count => format!("{count} messages were"),
    };
    Failure::Failed(format!(
        "{messages} not sent within the linger time{trouble}; is anybody receiving? --linger gives more time"
    ))
}

/// Waits until nothing is queued to be sent, for at most so long.
fn wait_until_sent(socket: &impl AnySocket, linger: Option<Duration>) {
    let deadline = linger.and_then(|linger| Instant::now().checked_add(linger));
    let is_late = || deadline.is_some_and(|deadline| deadline <= Instant::now());
    let is_queued = || socket.stats().peers.iter().any(|peer| peer.queued_out > 0);
    while is_queued() && !is_late() {
        thread::sleep(LOOK_AGAIN);
    }
}

fn with_arguments(mut options: Options, args: &SocketArgs) -> Options {
    if let Some(hwm) = args.hwm {
        options = options.send_hwm(hwm).recv_hwm(hwm);
    }
    options
        .linger(args.linger.0)
        .send_timeout(args.timeout)
        .recv_timeout(args.timeout)
}

/// Binds and connects a socket, and tells which addresses wildcards have become.
fn attach<S: AnySocket>(socket: &S, endpoints: &EndpointArgs, quiet: bool) -> Outcome {
    for endpoint in &endpoints.bind {
        let bound = socket
            .bind(endpoint)
            .map_err(|error| bind_failure(&error))?;
        if !quiet && is_wildcard(endpoint) {
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

/// Whether only binding tells the address: `tcp://*:5555` is no secret, `tcp://127.0.0.1:*` and `ipc://*` are.
fn is_wildcard(endpoint: &str) -> bool {
    endpoint.ends_with(":*") || endpoint.ends_with(":0") || endpoint == "ipc://*"
}

fn bind_failure(error: &BindError) -> Failure {
    let advice = match error {
        BindError::Endpoint(_) => return Failure::Usage(error.to_string()),
        BindError::AddrInUse { .. } => "; stop the program that uses it, or choose another",
        BindError::AddrNotAvailable { .. } => "; * stands for all addresses of this machine",
        BindError::PermissionDenied { endpoint } => permission_advice(endpoint),
        BindError::NoSuchDirectory { .. } => "; create it first, or choose another path",
        BindError::UnknownHost { .. } => "; * stands for all addresses of this machine",
        BindError::NotASocket { .. } | BindError::Io { .. } => "",
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
