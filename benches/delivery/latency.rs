//! How long a message takes at a low rate, and a receipt that says that it is on the disk.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use zerohop::spool::Sync;
use zerohop::{Context, Push, Receipt};

use crate::bare::Bare;
use crate::speed::{Kept, begin, begin_by, send_end, send_end_by, wait_until_settled};
use crate::worker::{Head, Takes, Worker, now, percentile};
use crate::{Fallible, LEN, LONG, Scale, median, options};

/// Between two messages: 500 per second.
const PACE: Duration = Duration::from_millis(2);

const CONTESTANTS: [(&str, Kept, Takes); 5] = [
    ("plain PUSH/PULL", Kept::Not, Takes::Plain),
    ("memory, recv", Kept::Memory, Takes::Received),
    ("memory, recv_job", Kept::Memory, Takes::Jobs),
    ("Sync::Os, recv", Kept::Spool(Sync::Os), Takes::Received),
    ("Sync::Disk, recv", Kept::Spool(Sync::Disk), Takes::Received),
];

pub(crate) fn measure(folder: &Path, scale: &Scale) -> Fallible<()> {
    let spool = folder.join("spool");
    let mut medians = CONTESTANTS.map(|_| Vec::new());
    let mut late = CONTESTANTS.map(|_| Vec::new());
    let mut sockets = (Vec::new(), Vec::new());
    let (mut bare, mut receipts, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let mut file = Bare::new(&folder.join("bare"))?;
    for _ in 0..scale.rounds {
        let (p50, p99) = run_sockets(scale)?;
        sockets.0.push(p50);
        sockets.1.push(p99);
        for (at, (_, kept, takes)) in CONTESTANTS.into_iter().enumerate() {
            let (p50, p99) = run(kept, takes, &spool, scale)?;
            medians[at].push(p50);
            late[at].push(p99);
        }
        let (of_bare, of_receipts) = receive(&spool, &mut file, scale)?;
        bare.push(of_bare);
        receipts.push(of_receipts);
        ratios.push(of_receipts / of_bare);
    }
    file.remove()?;
    println!("\nend to end at 500 messages per second, µs");
    println!("{:<28} {:>10} {:>9}", "", "p50", "p99");
    let rows = CONTESTANTS.iter().zip(medians.iter_mut().zip(&mut late));
    let rows = rows.map(|((name, _, _), taken)| (*name, taken));
    let bare_sockets = ("bare sockets", (&mut sockets.0, &mut sockets.1));
    for (name, (p50, p99)) in [bare_sockets].into_iter().chain(rows) {
        println!(
            "{name:<28} {:>10.1} {:>9.1}",
            median(p50) * 1e6,
            median(p99) * 1e6
        );
    }
    println!("\none message after the other onto the disk, p50 in µs");
    println!("{:<28} {:>10.1}", "bare", median(&mut bare) * 1e6);
    println!(
        "{:<28} {:>10.1}, {:.2} of bare",
        "Receipt::durable",
        median(&mut receipts) * 1e6,
        median(&mut ratios)
    );
    Ok(())
}

/// The median, and the 99th percentile.
fn run(kept: Kept, takes: Takes, spool: &Path, scale: &Scale) -> Fallible<(f64, f64)> {
    let mut worker = Worker::start(takes)?;
    let push = Push::with_options(&Context::new(), options(kept.delivery(spool)))?;
    push.connect(worker.endpoint())?;
    begin(&push, &mut worker)?;
    thread::scope(|scope| {
        // Receipts wait for the disk, while messages travel.
        let (sender, receipts) = mpsc::channel::<Receipt>();
        let waiting = scope.spawn(move || -> Fallible<()> {
            for receipt in receipts {
                receipt.durable()?;
            }
            Ok(())
        });
        send_paced(scale, |message| {
            match kept {
                Kept::Spool(_) => sender.send(push.send_later(message)?)?,
                Kept::Not | Kept::Memory => push.send(message)?,
            }
            Ok(())
        })?;
        drop(sender);
        match waiting.join() {
            Ok(waited) => waited,
            Err(_) => Err("who waits for receipts has panicked".into()),
        }
    })?;
    send_end(&push)?;
    let (received, p50, p99) = worker.told()?;
    if received != scale.paced {
        return Err(format!("{received} of {} messages have come", scale.paced).into());
    }
    wait_until_settled(&push, 2, received)?;
    push.close(LONG)?;
    if let Kept::Spool(_) = kept {
        fs::remove_dir_all(spool)?;
    }
    Ok((p50, p99))
}

/// The same between two sockets of the system, which the worker blocks on.
fn run_sockets(scale: &Scale) -> Fallible<(f64, f64)> {
    let mut worker = Worker::start(Takes::Bytes)?;
    let mut stream = TcpStream::connect(worker.endpoint())?;
    stream.set_nodelay(true)?;
    let mut send = |message: &[u8]| Ok(stream.write_all(message)?);
    begin_by(&mut send, &mut worker)?;
    send_paced(scale, &mut send)?;
    send_end_by(&mut send)?;
    let (received, p50, p99) = worker.told()?;
    match received == scale.paced {
        true => Ok((p50, p99)),
        false => Err(format!("{received} of {} messages have come", scale.paced).into()),
    }
}

fn send_paced(scale: &Scale, mut send: impl FnMut(&[u8]) -> Fallible<()>) -> Fallible<()> {
    let begun = Instant::now();
    let mut message = [7; LEN];
    for number in 0..scale.paced {
        let due = begun + PACE * number as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        Head {
            lane: 0,
            number,
            sent: now(),
        }
        .write(&mut message);
        send(&message)?;
    }
    Ok(())
}

/// The medians of a bare write with its sync, and of a receipt; they take turns, each with nothing else going on.
fn receive(spool: &Path, file: &mut Bare, scale: &Scale) -> Fallible<(f64, f64)> {
    let mut worker = Worker::start(Takes::Received)?;
    let delivery = Kept::Spool(Sync::Disk).delivery(spool);
    let push = Push::with_options(&Context::new(), options(delivery))?;
    push.connect(worker.endpoint())?;
    begin(&push, &mut worker)?;
    let (mut bare, mut receipts) = (Vec::new(), Vec::new());
    let mut message = [7; LEN];
    for number in 0..scale.receipts as u64 {
        bare.push(file.append_one(Sync::Disk)?.as_secs_f64());
        Head {
            lane: 0,
            number,
            sent: 0,
        }
        .write(&mut message);
        let begun = Instant::now();
        push.send_later(&message[..])?.durable()?;
        receipts.push(begun.elapsed().as_secs_f64());
    }
    send_end(&push)?;
    let (received, _, _) = worker.told()?;
    wait_until_settled(&push, 2, received)?;
    push.close(LONG)?;
    fs::remove_dir_all(spool)?;
    Ok((percentile(&mut bare, 50), percentile(&mut receipts, 50)))
}
