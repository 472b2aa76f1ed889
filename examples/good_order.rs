//! Ctrl-C, and the end of the work: orders are made until the process is told to end, and then each of them is processed.
//!
//! ```text
//! cargo run --example good_order      (and Ctrl-C, or kill; a second one ends it at once)
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use zerohop::{Context, Pull, Push, SendErrorKind};

/// What the last message says. The orders before it have all been received then, since there is one path for all.
const END: &str = "end";

fn main() -> Result<(), Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }

    let context = Context::new();
    let inbox = Pull::new(&context)?;
    let orders = Push::new(&context)?;
    orders.connect(inbox.bind("tcp://127.0.0.1:*")?)?;
    let worker = thread::spawn(move || process(&inbox));

    println!("making orders");
    let mut made: u64 = 0;
    while !stop.load(Ordering::Relaxed) {
        // Not without end, so that the loop sees the signal also when nobody takes the orders.
        match orders.send_timeout(format!("order {made}"), Duration::from_millis(200)) {
            Ok(()) => made += 1,
            Err(error) if error.kind() == SendErrorKind::TimedOut => continue,
            Err(error) => return Err(error.into()),
        }
        thread::sleep(Duration::from_millis(10));
    }

    orders.send_timeout(END, Duration::from_secs(10))?;
    // Returns when all is sent, or says how much is not.
    orders.close(Duration::from_secs(10))?;
    let processed = worker.join().map_err(|_| "the worker panicked")?;
    println!("{made} orders made, {processed} processed");
    Ok(())
}

/// How many orders came before the end.
fn process(inbox: &Pull) -> usize {
    inbox.iter().take_while(|order| *order != END).count()
}
