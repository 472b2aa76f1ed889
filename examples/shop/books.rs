//! The books: who starts everybody, kills two, and hears what becomes of every order.

use std::time::{Duration, Instant};

use zerohop::{Context, Options, Pub, Pull, RecvError};

use crate::account::{Account, SECOND_SHIFT, VICTIM};
use crate::endpoints::{self, Folder};
use crate::process::Process;
use crate::{Plan, Result, closing};

/// When nothing has been heard for so long after the last order, what is still missing is lost.
const SILENCE: Duration = Duration::from_secs(2);

/// How long to wait for anything at all before something must be wrong.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(plan: &Plan) -> Result<()> {
    let folder = Folder::make()?;
    let at = folder.path().to_str();
    let at = at.ok_or("the folder for temporary files is not Unicode")?;
    let context = Context::new();
    // What comes here is settled when it is received: these books are not killed.
    let news = Pull::with_options(&context, plan.promise.options(Options::new()))?;
    news.bind(endpoints::books(at))?;
    let closing = Pub::new(&context)?;
    closing.bind(endpoints::closing(at))?;

    let mut staff = Staff::start(plan, at)?;
    println!(
        "the shop opens: {} orders a second, {} workers, {}",
        plan.rate,
        plan.workers,
        plan.promise.name()
    );
    let mut account = Account::new(plan.promise);
    staff.work(plan, at, &news, &mut account)?;
    staff.close(plan, &closing, &news, &mut account)?;
    print!("{account}");
    account.verdict()
}

/// The other processes.
struct Staff {
    opened: Instant,
    /// The source of orders that is to be killed.
    source: Option<Process>,
    /// The worker that is to be killed.
    victim: Option<Process>,
    others: Vec<Process>,
}

impl Staff {
    fn start(plan: &Plan, at: &str) -> Result<Staff> {
        let promise = plan.promise.name();
        let reviews = (plan.rate / 4.0).to_string();
        let mut others = vec![
            start("price", &["price", at])?,
            start("reviews", &["reviews", at, promise, &reviews])?,
        ];
        for number in 2..=plan.workers {
            others.push(start_worker(plan, at, &format!("stock {number}"))?);
        }
        Ok(Staff {
            opened: Instant::now(),
            source: Some(start_source(plan, at, 1, plan.orders)?),
            victim: Some(start_worker(plan, at, VICTIM)?),
            others,
        })
    }

    /// Keeps the books until every order is accounted for, and kills who is to be killed.
    fn work(&mut self, plan: &Plan, at: &str, news: &Pull, account: &mut Account) -> Result<()> {
        while !account.is_settled() {
            let patience = if account.closed { SILENCE } else { PATIENCE };
            match news.recv_timeout(patience) {
                Ok(message) => account.enter(&serde_json::from_slice(message.first())?),
                Err(RecvError::TimedOut) if account.closed => account.write_off(),
                Err(RecvError::TimedOut) => return Err(self.complaint()?.into()),
                Err(error) => return Err(error.into()),
            }
            let processed = account.processed.len() as u64;
            if processed >= plan.orders / 3
                && let Some(source) = self.source.take()
            {
                self.restart_source(plan, at, source, account)?;
            }
            if (processed >= plan.orders * 2 / 3 || account.closed)
                && let Some(victim) = self.victim.take()
            {
                self.replace_worker(plan, at, victim, account)?;
            }
        }
        Ok(())
    }

    fn restart_source(
        &mut self,
        plan: &Plan,
        at: &str,
        source: Process,
        account: &Account,
    ) -> Result<()> {
        drop(source); // kill -9
        self.say(&format!(
            "the source of orders is killed; {}",
            account.balance()
        ));
        let rest = plan.orders.saturating_sub(account.accepted()).max(1);
        let (first, last) = (SECOND_SHIFT + 1, SECOND_SHIFT + rest);
        self.others.push(start_source(plan, at, first, last)?);
        self.say("it is started again");
        Ok(())
    }

    fn replace_worker(
        &mut self,
        plan: &Plan,
        at: &str,
        victim: Process,
        account: &Account,
    ) -> Result<()> {
        drop(victim); // kill -9
        self.say(&format!("{VICTIM} is killed; {}", account.balance()));
        let name = format!("stock {}", plan.workers + 1);
        self.others.push(start_worker(plan, at, &name)?);
        self.say(&format!("{name} takes its place, and the desk opens"));
        let desk = start("desk", &["desk", at, plan.promise.name()])?;
        self.others.push(desk);
        Ok(())
    }

    /// First no more reviews are taken, then the desk has read them all, and then everybody goes home.
    fn close(self, plan: &Plan, closing: &Pub, news: &Pull, account: &mut Account) -> Result<()> {
        self.say(&format!("the shop closes; {}", account.balance()));
        closing.wait_for_subscribers(closing::REVIEWS, 1, PATIENCE)?;
        closing.send(closing::REVIEWS)?;
        while account.read.is_none() || account.reviews.is_none() {
            let message = news.recv_timeout(PATIENCE)?;
            account.enter(&serde_json::from_slice(message.first())?);
        }
        // The workers, the price service, and the reviews.
        closing.wait_for_subscribers(closing::SHOP, plan.workers + 2, PATIENCE)?;
        closing.send(closing::SHOP)?;
        for other in self.others {
            other.wait()?;
        }
        Ok(())
    }

    fn say(&self, what: &str) {
        println!("{:.2} s: {what}", self.opened.elapsed().as_secs_f64());
    }

    /// Why nothing is heard any more.
    fn complaint(&mut self) -> Result<String> {
        for other in &mut self.others {
            if let Some(complaint) = other.complaint()? {
                return Ok(complaint);
            }
        }
        Ok("nothing happens any more".to_owned())
    }
}

fn start(name: &str, args: &[&str]) -> Result<Process> {
    Ok(Process::start(name.to_owned(), args)?)
}

fn start_source(plan: &Plan, at: &str, first: u64, last: u64) -> Result<Process> {
    let (first, last) = (first.to_string(), last.to_string());
    let (rate, workers) = (plan.rate.to_string(), plan.workers.to_string());
    let promise = plan.promise.name();
    let args = ["orders", at, promise, &first, &last, &rate, &workers];
    start("orders", &args)
}

fn start_worker(plan: &Plan, at: &str, name: &str) -> Result<Process> {
    start(name, &["stock", at, plan.promise.name(), name])
}
