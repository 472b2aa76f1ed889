//! Where orders come in: as JSON, at random moments.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;
use zerohop::{Context, Event, Monitor, Options, Push};

use crate::promise::Promise;
use crate::random::{Arrivals, Random};
use crate::{Result, endpoints, process};

pub(crate) const ITEMS: [&str; 4] = ["tea", "coffee", "honey", "biscuits"];

/// What one source takes in.
pub(crate) struct Shift {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// How many orders a second, on average.
    pub(crate) rate: f64,
    /// Who processes them.
    pub(crate) workers: usize,
}

pub(crate) fn run(at: &str, promise: Promise, shift: &Shift) -> Result<()> {
    process::end_with_parent();
    let context = Context::new();
    let linger = Options::new().linger(None);
    let news = promise.spooled(linger, &format!("{at}/accepted.spool"));
    let news = Arc::new(Push::with_options(&context, news)?);
    news.connect(endpoints::books(at))?;
    let line = promise.spooled(Options::new().send_hwm(100), &format!("{at}/orders.spool"));
    let line = Push::with_options(&context, line)?;
    let next = Arc::new(AtomicU64::new(shift.first));
    report_losses(line.monitor(), Arc::clone(&news), Arc::clone(&next));
    line.bind(endpoints::orders(at))?;
    if promise == Promise::AtMostOnce {
        line.wait_for_peers(shift.workers, Duration::from_secs(30))?;
    }

    let mut random = Random::new();
    let mut arrivals = Arrivals::new(shift.rate);
    for id in shift.first..=shift.last {
        arrivals.wait(&mut random);
        next.store(id + 1, Ordering::SeqCst);
        let quantity = random.one_of(&[1, 1, 1, 2, 5]);
        let order = json!({"order": id, "item": random.one_of(&ITEMS), "quantity": quantity});
        // Waits while all workers have their hands full. Then the order is with the system, or in the spool, and the customer can be told.
        line.send(order.to_string())?;
        news.send(json!({"event": "accepted", "order": id}).to_string())?;
    }
    line.close(Duration::from_secs(30))?;
    news.send(json!({"event": "closed", "order": shift.last}).to_string())?;
    Ok(())
}

/// Tells the books when a worker is gone: only orders accepted before that can have gone to it.
fn report_losses(monitor: Monitor, news: Arc<Push>, next: Arc<AtomicU64>) {
    thread::spawn(move || {
        for event in monitor {
            if let Event::Disconnected { cause, .. } = event {
                let next = next.load(Ordering::SeqCst);
                let cause = cause.to_string();
                let told = json!({"event": "worker gone", "before": next, "cause": cause});
                if news.send(told.to_string()).is_err() {
                    return;
                }
            }
        }
    });
}
