//! A day in a small online shop, every part of it a process of its own, two of which are killed.
//!
//! ```text
//!                 ┌─▶ stock 1 ─┐            price
//!  orders ────────┼─▶ stock 2 ─┼─ REQ ────▶  REP
//!   PUSH          └─▶ stock N ─┘
//!                    PULL  PUSH ── "taken", "processed" ───────▶ books
//!  orders PUSH ─────────────────── "accepted" ─────────────────▶  PULL
//!
//!  reviews ── "review.good.…" ─▶ (nobody)
//!   PUB    ── "review.bad.…"  ─▶ desk SUB
//! ```
//!
//! Orders arrive as a Poisson process, that is, each as likely at any moment, whatever came before. Stock workers
//! take them from one line in parallel, ask for the price, pick the goods and report. The books are the
//! process that you start; they start the others, and account for every order: accepted, processed,
//! in flight, or lost.
//!
//! In the morning, when a third of the orders are processed, the source of orders gets a `kill -9`, and is started again. When two thirds are,
//! the first worker gets one, and another takes its place. None is lost: an order is accepted when it is in the source's spool, and stays there until a
//! worker has settled it, which it does when the books have the order. So an order may be processed twice, if its worker was killed between
//! the one and the other, or the source before it had noted it; the account counts those. Who must not do them twice stores `job.id()` with the work. The desk
//! opens when the worker is killed, and reads the morning's reviews from the publisher's log.
//!
//! `--at-most-once` is the same day without all that. What a dead process had in its hands is lost, and what the system had on the way to it: nobody
//! keeps a copy of a message that has left. Orders that still waited in the source are lost with that, and go to other workers when a worker is
//! killed. The account names each lost order with its reason, and the program fails if there is one that ZeroMQ's promises do not
//! explain. The desk has read the reviews of the afternoon.

mod account;
mod books;
mod closing;
mod desk;
mod endpoints;
mod orders;
mod price;
#[path = "../common/process.rs"]
mod process;
mod promise;
mod random;
mod reviews;
mod stock;

use std::error::Error;
use std::process::ExitCode;
use std::str::FromStr;

use orders::Shift;
use promise::Promise;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const HELP: &str = "\
A day in a small online shop, in many processes.

Usage: shop [OPTIONS]

  --orders N       how many orders come in (default: 3000)
  --rate N         how many a second, on average (default: 2000)
  --workers N      stock workers (default: 3)
  --at-most-once   nobody keeps what has left: see what is lost
";

/// How the day goes.
pub(crate) struct Plan {
    pub(crate) orders: u64,
    pub(crate) rate: f64,
    pub(crate) workers: usize,
    pub(crate) promise: Promise,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    // The books start the others by these names, and tell them where they meet.
    match args[..] {
        ["orders", at, promise, first, last, rate, workers] => {
            let shift = Shift {
                first: first.parse()?,
                last: last.parse()?,
                rate: rate.parse()?,
                workers: workers.parse()?,
            };
            orders::run(at, promise.parse()?, &shift)
        }
        ["stock", at, promise, name] => stock::run(at, promise.parse()?, name),
        ["price", at] => price::run(at),
        ["reviews", at, promise, rate] => reviews::run(at, promise.parse()?, rate.parse()?),
        ["desk", at, promise] => desk::run(at, promise.parse()?),
        ["--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => books::run(&plan(&args)?),
    }
}

fn plan(args: &[&str]) -> Result<Plan> {
    let mut plan = Plan {
        orders: 3000,
        rate: 2000.0,
        workers: 3,
        promise: Promise::AtLeastOnce,
    };
    let mut args = args.iter().copied();
    while let Some(option) = args.next() {
        match option {
            "--at-most-once" => plan.promise = Promise::AtMostOnce,
            "--orders" => plan.orders = parse(args.next())?,
            "--rate" => plan.rate = parse(args.next())?,
            "--workers" => plan.workers = parse(args.next())?,
            _ => return Err(format!("what is {option:?}? --help lists what there is").into()),
        }
    }
    if plan.rate.is_nan() || plan.rate <= 0.0 || plan.workers < 2 || plan.orders < 3 {
        return Err("the shop needs a rate, three orders and two workers at least".into());
    }
    Ok(plan)
}

fn parse<T: FromStr>(value: Option<&str>) -> Result<T> {
    let value = value.ok_or("the last option lacks its number")?;
    value
        .parse()
        .map_err(|_| format!("{value:?} is not such a number").into())
}
