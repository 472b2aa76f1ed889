//! Orders that are sent until they are confirmed, and booked once: work that outlives the worker who had it.
//!
//! A PUSH delivers what the other side takes; what a worker had taken, and not yet done, dies with it. Where that
//! matters, the sender keeps each order until its confirmation is back, and sends it again when that takes too
//! long; and the worker looks into its books, because what comes twice must not be done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use zerohop::{Context, Endpoint, Frame, Message, Pull, Push, RecvError};

const ORDERS: u32 = 10;

/// An order without a confirmation is sent again after this time: several times as long as one takes to be done.
const OVERDUE: Duration = Duration::from_millis(250);

/// Booked and not confirmed: the worst moment for a worker to die.
const DIES_AFTER: usize = 3;

type Failure = Box<dyn Error + Send + Sync>;

/// The ids of all orders that were booked. It stands for the database, and outlives the worker.
type Books = Arc<Mutex<BTreeSet<String>>>;

fn main() -> Result<(), Failure> {
    let context = Context::new();
    let orders = Push::new(&context)?;
    let confirmations = Pull::new(&context)?;
    let desk = Desk {
        orders: orders.bind("tcp://127.0.0.1:*")?,
        confirmations: confirmations.bind("tcp://127.0.0.1:*")?,
    };
    let workers = thread::spawn({
        let context = context.clone();
        move || {
            let books = Books::default();
            work(&context, &desk, &books, DIES_AFTER)?;
            println!("the worker dies, and another takes its place");
            work(&context, &desk, &books, usize::MAX)
        }
    });

    let mut open = BTreeMap::new();
    for id in 1..=ORDERS {
        let order = Message::from((id.to_string(), "a pound of tea"));
        orders.send(&order)?;
        open.insert(id.to_string(), (order, Instant::now()));
    }
    while !open.is_empty() {
        match confirmations.recv_timeout(OVERDUE) {
            Ok(confirmation) => drop(open.remove(confirmation.to_str()?)),
            Err(RecvError::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        for (id, (order, sent)) in &mut open {
            if sent.elapsed() > OVERDUE {
                println!("order {id}: sent again");
                orders.send(&*order)?;
                *sent = Instant::now();
            }
        }
    }
    println!("all {ORDERS} orders are confirmed");

    context.shutdown();
    workers.join().map_err(|_| "a worker panicked")?
}

/// Where orders come from, and confirmations go.
struct Desk {
    orders: Endpoint,
    confirmations: Endpoint,
}

/// Books orders until the context is shut down; or until it dies, with so many booked.
fn work(context: &Context, desk: &Desk, books: &Books, dies_after: usize) -> Result<(), Failure> {
    let orders = Pull::new(context)?;
    orders.connect(&desk.orders)?;
    let confirmations = Push::new(context)?;
    confirmations.connect(&desk.confirmations)?;
    for (taken, order) in orders.iter().enumerate() {
        let [id, _what] = <[Frame; 2]>::try_from(order)?;
        let id = id.to_str()?.to_owned();
        let new = {
            let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
            books.insert(id.clone())
        };
        println!(
            "order {id}: {}",
            if new { "booked" } else { "had been booked" }
        );
        if taken + 1 == dies_after {
            return Ok(());
        }
        confirmations.send(id)?;
    }
    Ok(())
}
