//! Orders that are done whoever dies: a source that is started again goes on where it was, and the order that a dead worker had goes to another.
//!
//! The source keeps its orders in a spool until a worker has settled them. A worker books an order and then settles it; and because one whose settlement
//! was lost with a worker comes twice, it looks into its books first.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use zerohop::spool::{Spool, Sync};
use zerohop::{Context, Delivery, Endpoint, JobId, Options, Pull, Push, RecvError};

const ORDERS: u32 = 10;

/// Booked and not settled: the worst moment for a worker to die.
const DIES_AFTER: usize = 3;

type Failure = Box<dyn Error + Send + std::marker::Sync>;

/// The names of all orders that were booked. It stands for the database, and outlives the worker.
type Books = Arc<Mutex<BTreeSet<JobId>>>;

fn main() -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("zerohop-confirmed-{}", std::process::id()));
    let context = Context::new();

    let orders = source(&context, &folder)?;
    let endpoint = orders.bind("tcp://127.0.0.1:*")?;
    for id in 1..=ORDERS / 2 {
        orders.send((id.to_string(), "a pound of tea"))?;
    }
    let left = orders.close(Duration::ZERO);
    println!(
        "the source is closed: {}",
        left.expect_err("there was no worker")
    );

    let orders = source(&context, &folder)?;
    orders.bind(&endpoint)?;
    for id in ORDERS / 2 + 1..=ORDERS {
        orders.send((id.to_string(), "a pound of tea"))?;
    }
    let workers = thread::spawn({
        let context = context.clone();
        move || {
            let books = Books::default();
            work(&context, &endpoint, &books, DIES_AFTER)?;
            println!("the worker dies, and another takes its place");
            work(&context, &endpoint, &books, usize::MAX)
        }
    });
    while orders.stats().delivery.unsettled > 0 {
        thread::sleep(Duration::from_millis(10));
    }
    println!("all {ORDERS} orders are settled");

    orders.close(Duration::from_secs(5))?;
    context.shutdown();
    fs::remove_dir_all(&folder)?;
    workers.join().map_err(|_| "a worker panicked")?
}

/// A worker that is gone has a tenth of a second to come back before others get its orders.
fn delivery() -> Delivery {
    Delivery::at_least_once().grace(Duration::from_millis(100))
}

/// Where orders come from.
fn source(context: &Context, folder: &Path) -> Result<Push, Failure> {
    let delivery = delivery().spool(Spool::at(folder).sync(Sync::Disk));
    Ok(Push::with_options(
        context,
        Options::new().delivery(delivery),
    )?)
}

/// Books orders until the context is shut down; or until it dies, with so many booked.
fn work(
    context: &Context,
    source: &Endpoint,
    books: &Books,
    dies_after: usize,
) -> Result<(), Failure> {
    let orders = Pull::with_options(context, Options::new().delivery(delivery()))?;
    orders.connect(source)?;
    for taken in 1.. {
        let order = match orders.recv_job() {
            Ok(order) => order,
            Err(RecvError::ContextClosed) => break,
            Err(error) => return Err(error.into()),
        };
        let id = order.message().first().to_str()?.to_owned();
        let name = order.id().ok_or("the source has no spool")?;
        let new = {
            let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
            books.insert(name)
        };
        println!(
            "order {id}: {}",
            if new { "booked" } else { "had been booked" }
        );
        if taken == dies_after {
            return Ok(());
        }
        order.settle()?;
    }
    Ok(())
}
