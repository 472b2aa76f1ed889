//! Orders that take effect once, although those who send and do them are killed at any time.
//!
//! A source puts orders into its spool. Workers book them in SQLite: an entry in a ledger, and a sum. Delivery is at least once, so an order may come to a
//! worker again that was booked before. Its `id` is the same each time, and is stored in the transaction of the booking: whoever finds it there settles the order and
//! does nothing.
//!
//! The process that you start kills the source and the workers at random moments, starts them again, and closes the account: each order that
//! was accepted must be in the ledger once. Workers also die by themselves at the worst moment, when an order is booked and not settled.

use std::collections::HashSet;
use std::env;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};
use zerohop::spool::Spool;
use zerohop::{Context, Delivery, JobId, Options, Pull, Push};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const HELP: &str = "\
Orders that take effect once, although those who send and do them are killed at any time.

Usage: once [--kills N]

  --kills N   how many processes are killed (default: 20)
";

/// A source gives its orders numbers from a multiple of this on: nobody knows how far one got that was killed.
const NUMBERS_EACH: u64 = 1_000_000;

/// Of so many orders a worker dies behind one, before it has settled it.
const DIES_BEHIND: u64 = 50;

/// How long the rest may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("once: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["source", folder, first] => send(Path::new(folder), first.parse()?),
        ["rest", folder] => send_rest(Path::new(folder)),
        ["worker", folder, seed] => work(Path::new(folder), seed.parse()?),
        [] => kill_at_random(20),
        ["--kills", kills] => kill_at_random(kills.parse()?),
        _ => {
            print!("{HELP}");
            Ok(())
        }
    }
}

fn delivery() -> Delivery {
    Delivery::at_least_once()
        .grace(Duration::from_millis(20))
        // However often those die who have an order, it is not what kills them.
        .limit(1_000_000)
}

fn endpoint(folder: &Path) -> String {
    format!("ipc://{}", folder.join("orders").display())
}

fn source(folder: &Path) -> Result<Push> {
    // Small files: a source that is started again is to be quick.
    let spool = Spool::at(folder.join("spool")).segment_size(1 << 20);
    let options = Options::new().delivery(delivery().spool(spool));
    let orders = Push::with_options(&Context::new(), options)?;
    orders.bind(endpoint(folder))?;
    Ok(orders)
}

/// Sends orders until it is killed, and says of each when it is accepted: when it is in the spool.
fn send(folder: &Path, first: u64) -> Result<()> {
    end_with_parent();
    let orders = source(folder)?;
    let mut out = stdout().lock();
    for number in first.. {
        orders.send(number.to_string())?;
        // In one write, so that a line is there or is not.
        out.write_all(format!("{number}\n").as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

/// Sends what is left in the spool.
fn send_rest(folder: &Path) -> Result<()> {
    end_with_parent();
    let orders = source(folder)?;
    let end = Instant::now() + PATIENCE;
    // A socket that closes waits, too, but lets nobody in who comes back only then.
    while orders.stats().delivery.unsettled > 0 && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    orders.close(Duration::from_secs(1))?;
    Ok(())
}

fn database(folder: &Path) -> Result<Connection> {
    let database = Connection::open(folder.join("books.sqlite"))?;
    database.busy_timeout(PATIENCE)?;
    database.pragma_update(None, "journal_mode", "wal")?;
    Ok(database)
}

const TABLES: &str = "
    CREATE TABLE done (stream BLOB, number INTEGER, PRIMARY KEY (stream, number)) WITHOUT ROWID;
    CREATE TABLE ledger (order_number INTEGER);
    CREATE TABLE account (total INTEGER, came_again INTEGER);
    INSERT INTO account VALUES (0, 0);
";

fn work(folder: &Path, seed: u64) -> Result<()> {
    end_with_parent();
    let mut random = Random(seed);
    let mut database = database(folder)?;
    let orders = Pull::with_options(&Context::new(), Options::new().delivery(delivery()))?;
    orders.connect(endpoint(folder))?;
    loop {
        let order = orders.recv_job()?;
        let id = order.id().ok_or("the source does not know delivery")?;
        book(&mut database, id, order.message().to_str()?.parse()?)?;
        if random.below(DIES_BEHIND) == 0 {
            exit(1);
        }
        // If that fails the order comes again, and is found in the books.
        let _ = order.settle();
    }
}

/// Books an order, unless it has been.
fn book(database: &mut Connection, id: JobId, order: i64) -> Result<()> {
    let books = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let number = i64::try_from(id.number)?;
    let new = books.execute(
        "INSERT OR IGNORE INTO done VALUES (?1, ?2)",
        params![id.stream, number],
    )?;
    if new == 1 {
        books.execute("INSERT INTO ledger VALUES (?1)", [order])?;
        books.execute("UPDATE account SET total = total + ?1", [order])?;
    } else {
        books.execute("UPDATE account SET came_again = came_again + 1", [])?;
    }
    books.commit()?;
    Ok(())
}

fn kill_at_random(kills: u64) -> Result<()> {
    let folder = Folder::make()?;
    let at = folder.0.as_path();
    database(at)?.execute_batch(TABLES)?;
    let mut random = Random(u64::from(std::process::id()) | 1);
    let mut accepted = HashSet::new();
    let mut sources = 1;
    let mut source = Process::source(at, sources * NUMBERS_EACH)?;
    let mut workers = Workers::start(at, &mut random)?;
    for _ in 0..kills {
        let enough = source.count() + random.below(200);
        workers.work_until(at, &mut random, || source.count() >= enough)?;
        match random.below(3) {
            2 => {
                accepted.extend(source.kill());
                sources += 1;
                source = Process::source(at, sources * NUMBERS_EACH)?;
            }
            worker => drop(workers.0[usize::from(worker == 1)].kill()),
        }
    }
    accepted.extend(source.kill());
    let mut rest = Process::start(&["rest", text(at)?])?;
    let mut ended = Ok(false);
    workers.work_until(at, &mut random, || {
        ended = rest.has_ended();
        !matches!(ended, Ok(false))
    })?;
    ended?;
    if !rest.has_succeeded()? {
        return Err("some orders were not settled in time".into());
    }
    drop(workers);
    close(at, kills, sources, &accepted)
}

struct Workers([Process; 2]);

impl Workers {
    fn start(at: &Path, random: &mut Random) -> Result<Workers> {
        let workers = [Process::worker(at, random)?, Process::worker(at, random)?];
        Ok(Workers(workers))
    }

    /// Starts those again that have died, until something is so.
    fn work_until(
        &mut self,
        at: &Path,
        random: &mut Random,
        mut so: impl FnMut() -> bool,
    ) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while !so() {
            for worker in &mut self.0 {
                if worker.has_ended()? {
                    *worker = Process::worker(at, random)?;
                }
            }
            if Instant::now() > end {
                return Err("nothing happens any more".into());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Says what is in the books, and whether it is what ought to be there.
fn close(folder: &Path, kills: u64, sources: u64, accepted: &HashSet<i64>) -> Result<()> {
    let books = database(folder)?;
    let mut ledger = books.prepare("SELECT order_number FROM ledger")?;
    let booked: Vec<i64> = ledger
        .query_map([], |row| row.get(0))?
        .collect::<std::result::Result<_, _>>()?;
    let once: HashSet<i64> = booked.iter().copied().collect();
    let lost = accepted.difference(&once).count();
    // Those that a source was killed with, before it could say so.
    let untold = once.difference(accepted).count();
    let (total, again): (i64, i64) =
        books.query_row("SELECT total, came_again FROM account", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    println!("{kills} processes were killed, {sources} sources one after the other");
    println!("accepted    {:7}", accepted.len());
    println!("booked      {:7}", booked.len());
    println!("twice       {:7}", booked.len() - once.len());
    println!("lost        {lost:7}");
    println!("untold      {untold:7}");
    println!("came again  {again:7}");
    let right = lost == 0
        && booked.len() == once.len()
        && untold as u64 <= sources
        && total == booked.iter().sum::<i64>();
    right
        .then_some(())
        .ok_or_else(|| "the books do not balance".into())
}

/// This program again, as another process. Dropping it kills it with SIGKILL.
struct Process {
    child: Child,
    /// What a source has accepted.
    accepted: Option<JoinHandle<Vec<i64>>>,
    /// How much that is so far.
    count: Arc<AtomicU64>,
}

impl Process {
    fn start(args: &[&str]) -> Result<Process> {
        let mut command = Command::new(env::current_exe()?);
        let command = command.args(args).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let count = Arc::new(AtomicU64::new(0));
        let accepted = child.stdout.take().map(|out| {
            let count = Arc::clone(&count);
            thread::spawn(move || numbers(out, &count))
        });
        Ok(Process {
            child,
            accepted,
            count,
        })
    }

    fn source(folder: &Path, first: u64) -> Result<Process> {
        Process::start(&["source", text(folder)?, &first.to_string()])
    }

    fn worker(folder: &Path, random: &mut Random) -> Result<Process> {
        let seed = random.below(u64::MAX) | 1;
        Process::start(&["worker", text(folder)?, &seed.to_string()])
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    fn has_succeeded(&mut self) -> Result<bool> {
        Ok(self.child.wait()?.success())
    }

    /// Gives what it has accepted.
    fn kill(&mut self) -> Vec<i64> {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let accepted = self.accepted.take();
        accepted
            .and_then(|accepted| accepted.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The numbers on whole lines.
fn numbers(out: impl Read, count: &AtomicU64) -> Vec<i64> {
    let mut out = BufReader::new(out);
    let mut line = String::new();
    let mut numbers = Vec::new();
    while out.read_line(&mut line).is_ok_and(|read| read > 0) {
        let whole = line.strip_suffix('\n');
        numbers.extend(whole.and_then(|number| number.parse::<i64>().ok()));
        line.clear();
        count.store(numbers.len() as u64, Ordering::Relaxed);
    }
    numbers
}

/// Ends this process with the one that started it, however that ends: our standard input ends then.
fn end_with_parent() {
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        exit(1);
    });
}

fn text(path: &Path) -> Result<&str> {
    let text = path.to_str();
    text.ok_or_else(|| "the folder for temporary files is not Unicode".into())
}

/// Removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Folder> {
        let path = env::temp_dir().join(format!("zerohop-once-{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed stays in the folder for temporary files, where it does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}
