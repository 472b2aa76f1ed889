//! Tasks on tokio: workers that share one socket, and stop when they are told to. `recv_async` loses nothing where it loses a `select!`.
//!
//! `cargo run -p zerohop-runtimes --example tokio_workers`

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use zerohop::{Context, Pull, Push, Reactor};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const WORKERS: usize = 4;
const ORDERS: u32 = 1_000;

#[tokio::main]
async fn main() -> Fallible<()> {
    let context = Context::with_reactor(Reactor::tokio()?);
    let orders = Arc::new(Pull::new(&context)?);
    let shop = Push::new(&context)?;
    shop.connect(orders.bind("tcp://127.0.0.1:*")?)?;
    let handled = Pull::new(&context)?;
    let results = Arc::new(Push::new(&context)?);
    results.connect(handled.bind("tcp://127.0.0.1:*")?)?;

    let (close, closing) = watch::channel(false);
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (orders, results) = (Arc::clone(&orders), Arc::clone(&results));
        workers.spawn(work(orders, results, closing.clone()));
    }
    let shop = tokio::spawn(async move {
        for number in 0..ORDERS {
            shop.send_async(number.to_be_bytes()).await?;
        }
        Fallible::Ok(())
    });

    let mut sum = 0;
    for _ in 0..ORDERS {
        // Nor does it where it runs into a time limit.
        let result = timeout(Duration::from_secs(10), handled.recv_async()).await??;
        sum += u32::from_be_bytes(result.as_bytes().unwrap_or_default().try_into()?);
    }
    shop.await??;
    close.send(true)?;
    let mut count = 0;
    while let Some(worked) = workers.join_next().await {
        count += worked??;
    }
    println!("{count} orders handled by {WORKERS} workers, sum {sum}");
    Ok(())
}

/// Handles orders until it is to close, and says how many.
async fn work(
    orders: Arc<Pull>,
    results: Arc<Push>,
    mut closing: watch::Receiver<bool>,
) -> Fallible<u32> {
    let mut count = 0;
    loop {
        tokio::select! {
            order = orders.recv_async() => {
                results.send_async(order?).await?;
                count += 1;
            }
            _ = closing.changed() => return Ok(count),
        }
    }
}
