//! Where orders come in: as JSON, at random moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use zerohop::{Context, Event, Monitor, Options, Push};

use crate::random::{Arrivals, Random};
use crate::{Result, endpoints, process};

pub(crate) const ITEMS: [&str; 4] = ["tea", "coffee", "honey", "biscuits"];

pub(crate) fn run(at: &str, orders: u64, rate: f64, workers: usize) -> Result<()> {
    process::end_with_parent();
    let context = Context::new();
    // Books are kept in full: whatever was accepted for them is to arrive.
    let books = Push::with_options(&context, Options::new().linger(None))?;
    books.connect(endpoints::books(at))?;
    let books = Arc::new(books);
    let line = Push::with_options(&context, Options::new().send_hwm(100))?;
    let next = Arc::new(AtomicU64::new(1));
    report_losses(line.monitor(), Arc::clone(&books), Arc::clone(&next));
    line.bind(endpoints::orders(at))?;
    line.wait_for_peers(workers, Duration::from_secs(30))?;

    let mut random = Random::new();
    let mut arrivals = Arrivals::new(rate);
    for id in 1..=orders {
        arrivals.wait(&mut random);
        next.store(id + 1, Ordering::SeqCst);
        let quantity = random.one_of(&[1, 1, 1, 2, 5]);
        let order = json!({"order": id, "item": random.one_of(&ITEMS), "quantity": quantity});
        // Waits while all workers have their hands full.
        line.send(order.to_string())?;
        books.send(json!({"event": "accepted", "order": id}).to_string())?;
    }
    line.close(Duration::from_secs(30))?;
    books.send(json!({"event": "closed"}).to_string())?;
    Ok(())
}

/// Tells the books when a worker is gone: only orders accepted before that can have gone to it.
fn report_losses(monitor: Monitor, books: Arc<Push>, next: Arc<AtomicU64>) {
    thread::spawn(move || {
        for event in monitor {
            if let Event::Disconnected { cause, .. } = event {
                let next = next.load(Ordering::SeqCst);
                let cause = cause.to_string();
                let news = json!({"event": "worker gone", "before": next, "cause": cause});
                if books.send(news.to_string()).is_err() {
                    return;
                }
            }
        }
    });
}
