//! PUSH and PULL: jobs are dealt out to workers, and the results collected.
//!
//! ```text
//!           ┌─▶ worker 1 ─┐
//!  jobs ────┤             ├───▶ results
//!   PUSH    └─▶ worker 2 ─┘      PULL
//!             PULL   PUSH
//! ```

use std::error::Error;
use std::thread;
use std::time::Duration;

use zerohop::{Context, Pull, Push};

const JOBS: u64 = 10;
const WORKERS: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new();
    let jobs = Push::new(&context)?;
    let endpoint = jobs.bind("tcp://127.0.0.1:*")?.to_string();
    let results = Pull::new(&context)?;
    results.bind("inproc://results")?;

    let mut workers = Vec::new();
    for number in 1..=WORKERS {
        let job = Pull::new(&context)?;
        job.connect(&endpoint)?;
        let result = Push::new(&context)?;
        result.connect("inproc://results")?;
        workers.push(thread::spawn(move || work(number, &job, &result)));
    }

    // Whoever is there first would get all the jobs: wait for everybody.
    jobs.wait_for_peers(WORKERS, Duration::from_secs(10))?;
    for job in 1..=JOBS {
        jobs.send(job.to_string())?;
    }
    for _ in 1..=JOBS {
        println!("{}", results.recv()?.to_str()?);
    }

    // All is done. What ends the workers is the end of their iterators.
    context.shutdown();
    for worker in workers {
        worker.join().map_err(|_| "a worker panicked")?;
    }
    Ok(())
}

fn work(number: usize, jobs: &Pull, results: &Push) {
    for job in jobs {
        let Some(job) = job.to_str().ok().and_then(|job| job.parse::<u64>().ok()) else {
            continue; // no job of ours
        };
        let sent = results.send(format!("worker {number}: {job} squared is {}", job * job));
        if sent.is_err() {
            return; // shut down
        }
    }
}
