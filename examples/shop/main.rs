//! A day in a small online shop, every part of it a process of its own, one of which is killed at noon.
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
//! When half of the orders are processed the first worker gets a `kill -9`, and another takes its place. What
//! the dead one had in its hands is lost, and what the system had on the way to it: nobody keeps a copy of a
//! message that has left. Orders that still waited in the sender go to the other workers. The account names each
//! lost orders with their reason, and the program fails if there is one that ZeroMQ's promises do not explain.
//! (A shop that must not lose any keeps an order until its "processed" comes, and sends it again.)

mod account;
mod books;
mod closing;
mod desk;
mod endpoints;
mod orders;
mod price;
#[path = "../common/process.rs"]
mod process;
mod random;
mod reviews;
mod stock;

use std::error::Error;
use std::process::ExitCode;
use std::str::FromStr;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error>>;

const HELP: &str = "\
A day in a small online shop, in many processes.

Usage: shop [OPTIONS]

  --orders N       how many orders come in (default: 3000)
  --rate N         how many a second, on average (default: 1000)
  --workers N      stock workers (default: 3)
";

/// How the day goes.
pub(crate) struct Plan {
    pub(crate) orders: u64,
    pub(crate) rate: f64,
    pub(crate) workers: usize,
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
        ["orders", at, orders, rate, workers] => {
            orders::run(at, orders.parse()?, rate.parse()?, workers.parse()?)
        }
        ["stock", at, name] => stock::run(at, name),
        ["price", at] => price::run(at),
        ["reviews", at, rate] => reviews::run(at, rate.parse()?),
        ["desk", at] => desk::run(at),
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
        rate: 1000.0,
        workers: 3,
    };
    for option in args.chunks(2) {
        match option {
            ["--orders", value] => plan.orders = parse(value)?,
            ["--rate", value] => plan.rate = parse(value)?,
            ["--workers", value] => plan.workers = parse(value)?,
            _ => return Err(format!("what is {option:?}? --help lists what there is").into()),
        }
    }
    if plan.rate.is_nan() || plan.rate <= 0.0 || plan.workers < 2 || plan.orders < 2 {
        return Err("the shop needs a rate, two orders and two workers at least".into());
    }
    Ok(plan)
}

fn parse<T: FromStr>(value: &str) -> Result<T> {
    value
        .parse()
        .map_err(|_| format!("{value:?} is not such a number").into())
}
