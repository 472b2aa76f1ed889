//! What waiting costs in threads, in tasks of each runtime, and in a poller: between two processes over tcp loopback, 64 bytes a message.
//!
//! `cargo bench -p zerohop-runtimes --features bench --bench waiting [-- SECONDS]`, on a machine with nothing else to do. Medians of five runs, which are
//! interleaved. What omq-tokio and zeromq do with the same loads says `cargo bench --bench compare -- --peers`.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use zerohop::{Context, Dealer, Message, Options, Poller, Pull, Push, Reactor, Rep, Req};

type Fallible<T> = Result<T, Box<dyn Error>>;

const RUNS: usize = 5;
const BODY: [u8; 64] = [b'x'; 64];

/// How a process waits.
enum Way {
    Thread,
    Tokio(Runtime),
    Smol,
}

const WAYS: [&str; 4] = ["threads", "tokio-1", "tokio-2", "smol"];

impl Way {
    fn named(name: &str) -> Fallible<Way> {
        Ok(match name {
            "tokio-1" => Way::Tokio(Builder::new_current_thread().enable_all().build()?),
            "tokio-2" => {
                let mut several = Builder::new_multi_thread();
                Way::Tokio(several.worker_threads(2).enable_all().build()?)
            }
            "smol" => Way::Smol,
            _ => Way::Thread,
        })
    }

    fn context(&self) -> Fallible<Context> {
        Ok(match self {
            Way::Thread => Context::new(),
            Way::Tokio(runtime) => {
                let _entered = runtime.enter();
                Context::with_reactor(Reactor::tokio()?)
            }
            Way::Smol => Context::with_reactor(Reactor::async_io()),
        })
    }

    /// In a task of several threads, if there are any.
    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        match self {
            Way::Tokio(runtime) => {
                let task = runtime.spawn(future);
                runtime.block_on(task).expect("the task ends")
            }
            Way::Smol | Way::Thread => async_io::block_on(future),
        }
    }
}

/// The other process, and where it is bound.
struct Other(Child, String);

impl Other {
    fn start(role: &str, way: &str) -> Fallible<Other> {
        let mut child = Command::new(env::current_exe()?)
            .args(["as", role, way])
            .stdout(Stdio::piped())
            .spawn()?;
        let mut endpoint = String::new();
        let output = child.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut endpoint)?;
        Ok(Other(child, endpoint.trim().to_owned()))
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the other process does until it is killed.
fn play(role: &str, way: &str) -> Fallible<()> {
    let way = Way::named(way)?;
    let context = way.context()?;
    match role {
        "push" => {
            let push = Push::new(&context)?;
            println!("{}", push.bind("tcp://127.0.0.1:*")?);
            match way {
                Way::Thread => loop {
                    push.send(BODY)?;
                },
                _ => way.run(async move { while push.send_async(BODY).await.is_ok() {} }),
            }
        }
        _ => {
            let rep = Rep::new(&context)?;
            println!("{}", rep.bind("tcp://127.0.0.1:*")?);
            match way {
                Way::Thread => loop {
                    let mut request = rep.recv()?;
                    let body = request.take_message();
                    let _ = request.reply(body);
                },
                _ => way.run(async move {
                    while let Ok(mut request) = rep.recv_async().await {
                        let body = request.take_message();
                        let _ = request.reply(body);
                    }
                }),
            }
        }
    }
    Ok(())
}

/// Messages per second of a stream.
fn stream(name: &str, time: Duration) -> Fallible<f64> {
    let way = Way::named(name)?;
    let pull = Pull::new(&way.context()?)?;
    let other = Other::start("push", name)?;
    pull.connect(other.1.as_str())?;
    let count = match way {
        Way::Thread => {
            pull.recv()?;
            let start = Instant::now();
            let mut count = 0_u64;
            let mut message = Message::new();
            while start.elapsed() < time {
                for _ in 0..1_000 {
                    pull.recv_into(&mut message)?;
                }
                count += 1_000;
            }
            count as f64 / start.elapsed().as_secs_f64()
        }
        _ => way.run(async move {
            pull.recv_async().await.expect("a message");
            let start = Instant::now();
            let mut count = 0_u64;
            while start.elapsed() < time {
                for _ in 0..1_000 {
                    pull.recv_async().await.expect("a message");
                }
                count += 1_000;
            }
            count as f64 / start.elapsed().as_secs_f64()
        }),
    };
    Ok(count)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Microseconds one way, half of a round trip: the median.
fn latency(name: &str, time: Duration) -> Fallible<f64> {
    let way = Way::named(name)?;
    let req = Req::new(&way.context()?)?;
    let other = Other::start("rep", name)?;
    req.connect(other.1.as_str())?;
    let trips = match way {
        Way::Thread => {
            let (start, mut trips) = (Instant::now(), Vec::new());
            while start.elapsed() < time {
                let sent = Instant::now();
                req.request(BODY)?;
                trips.push(sent.elapsed().as_secs_f64() * 1e6 / 2.0);
            }
            trips
        }
        _ => way.run(async move {
            let (start, mut trips) = (Instant::now(), Vec::new());
            while start.elapsed() < time {
                let sent = Instant::now();
                req.request_async(BODY).await.expect("a reply");
                trips.push(sent.elapsed().as_secs_f64() * 1e6 / 2.0);
            }
            trips
        }),
    };
    Ok(median(trips))
}

/// Requests per second of 64 tasks, or threads, that share one DEALER.
fn shared(name: &str, time: Duration) -> Fallible<f64> {
    const TASKS: usize = 64;
    let way = Way::named(name)?;
    let dealer = Arc::new(Dealer::new(&way.context()?)?);
    let other = Other::start("rep", name)?;
    dealer.connect(other.1.as_str())?;
    let count = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + time;
    match way {
        Way::Thread => thread::scope(|scope| {
            for _ in 0..TASKS {
                scope.spawn(|| {
                    while Instant::now() < end {
                        dealer.send([&b""[..], &BODY]).expect("sent");
                        dealer.recv().expect("a reply");
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        }),
        _ => {
            let ask = |dealer: Arc<Dealer>, count: Arc<AtomicU64>| async move {
                while Instant::now() < end {
                    let sent = dealer.send_async([&b""[..], &BODY]).await;
                    sent.expect("sent");
                    dealer.recv_async().await.expect("a reply");
                    count.fetch_add(1, Ordering::Relaxed);
                }
            };
            let asking = (0..TASKS).map(|_| ask(Arc::clone(&dealer), Arc::clone(&count)));
            match &way {
                Way::Tokio(runtime) => {
                    let asking: Vec<_> = asking.map(|task| runtime.spawn(task)).collect();
                    for task in asking {
                        runtime.block_on(task)?;
                    }
                }
                Way::Smol | Way::Thread => thread::scope(|scope| {
                    for task in asking {
                        scope.spawn(|| async_io::block_on(task));
                    }
                }),
            }
        }
    }
    Ok(count.load(Ordering::Relaxed) as f64 / time.as_secs_f64())
}

/// Microseconds from a send to the message out of one of so many sockets that are waited for: in a poller, or with a task for each.
fn of_many(sockets: usize, tasks: bool, time: Duration) -> Fallible<f64> {
    let way = Way::named(if tasks { "tokio-1" } else { "threads" })?;
    let context = way.context()?;
    let options = || Options::new().linger(Duration::ZERO);
    let pulls = (0..sockets).map(|_| Pull::with_options(&context, options()));
    let pulls = pulls.collect::<Result<Vec<_>, _>>()?;
    let push = Push::with_options(&context, options())?;
    push.connect(pulls[sockets / 2].bind("tcp://127.0.0.1:*")?)?;
    for pull in &pulls {
        if pull.last_endpoint().is_none() {
            pull.bind("tcp://127.0.0.1:*")?;
        }
    }
    push.wait_for_peers(1, Duration::from_secs(10))?;
    let (start, mut waits) = (Instant::now(), Vec::new());
    match &way {
        Way::Tokio(runtime) => {
            let (sender, mut came) = tokio::sync::mpsc::unbounded_channel();
            for pull in pulls {
                let sender = sender.clone();
                runtime.spawn(async move {
                    while pull.recv_async().await.is_ok() && sender.send(()).is_ok() {}
                });
            }
            runtime.block_on(async {
                while start.elapsed() < time {
                    let sent = Instant::now();
                    push.send_async(BODY).await?;
                    came.recv().await.ok_or("all tasks are gone")?;
                    waits.push(sent.elapsed().as_secs_f64() * 1e6);
                }
                Fallible::Ok(())
            })?;
        }
        Way::Thread | Way::Smol => {
            let mut poller = Poller::new()?;
            for (key, pull) in pulls.iter().enumerate() {
                poller.add_recv(key, pull)?;
            }
            while start.elapsed() < time {
                let sent = Instant::now();
                push.send(BODY)?;
                let key = poller.wait(None)?.first().ok_or("nothing is ready")?.key();
                pulls[key].try_recv()?;
                waits.push(sent.elapsed().as_secs_f64() * 1e6);
            }
        }
    }
    Ok(median(waits))
}

/// Runs of all contestants in turn, and the median of each.
fn table(
    title: &str,
    names: &[&str],
    run: impl Fn(&str) -> Fallible<f64>,
    digits: usize,
) -> Fallible<()> {
    let mut values = vec![Vec::new(); names.len()];
    for _ in 0..RUNS {
        for (values, name) in values.iter_mut().zip(names) {
            values.push(run(name)?);
        }
    }
    println!("{title}");
    for (values, name) in values.into_iter().zip(names) {
        println!("  {name:<24}{:>12.digits$}", median(values));
    }
    Ok(())
}

fn main() -> Fallible<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["as", role, way] = arguments[..] {
        return play(role, way);
    }
    let seconds = arguments.iter().find_map(|argument| argument.parse().ok());
    let time = Duration::from_secs_f64(seconds.unwrap_or(1.0));
    table(
        "PUSH to PULL, messages per second",
        &WAYS,
        |way| stream(way, time),
        0,
    )?;
    table(
        "REQ and REP, µs one way, p50",
        &WAYS,
        |way| latency(way, time),
        1,
    )?;
    table(
        "64 tasks (threads, smol: threads) share one DEALER, requests per second",
        &WAYS,
        |way| shared(way, time),
        0,
    )?;
    table(
        "one of many sockets is active, µs from a send to its message, p50",
        &["poller-10", "poller-1000", "tokio-1-10", "tokio-1-1000"],
        |name| {
            let (kind, sockets) = name.rsplit_once('-').ok_or("no number")?;
            of_many(sockets.parse()?, kind != "poller", time)
        },
        1,
    )
}
