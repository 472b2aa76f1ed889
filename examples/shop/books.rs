//! The books: who starts everybody, kills one, and hears what becomes of every order.

use std::time::{Duration, Instant};

use zerohop::{Context, Pub, Pull, RecvError};

use crate::account::{Account, VICTIM};
use crate::endpoints::{self, Folder};
use crate::process::Process;
use crate::{Plan, Result, closing};

/// When nothing has been heard for so long after the last order, what is still missing is lost.
const SILENCE: Duration = Duration::from_secs(1);

/// How long to wait for anything at all before something must be wrong.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(plan: &Plan) -> Result<()> {
    let folder = Folder::make()?;
    let at = folder.path().to_str();
    let at = at.ok_or("the folder for temporary files is not Unicode")?;
    let context = Context::new();
    let news = Pull::new(&context)?;
    news.bind(endpoints::books(at))?;
    let closing = Pub::new(&context)?;
    closing.bind(endpoints::closing(at))?;

    let mut staff = Staff::start(plan, at)?;
    println!(
        "the shop opens: {} orders a second, {} workers",
        plan.rate, plan.workers
    );
    let mut account = Account::default();
    staff.work(plan, at, &news, &mut account)?;
    staff.close(plan, &closing, &news, &mut account)?;
    print!("{account}");
    account.verdict()
}

/// The other processes.
struct Staff {
    opened: Instant,
    /// The worker that is to be killed.
    victim: Option<Process>,
    others: Vec<Process>,
}

impl Staff {
    fn start(plan: &Plan, at: &str) -> Result<Staff> {
        let (orders, rate) = (plan.orders.to_string(), plan.rate.to_string());
        let workers = plan.workers.to_string();
        let reviews = (plan.rate / 4.0).to_string();
        let mut others = vec![
            start("price", &["price", at])?,
            start("desk", &["desk", at])?,
            start("reviews", &["reviews", at, &reviews])?,
            start("orders", &["orders", at, &orders, &rate, &workers])?,
        ];
        for number in 2..=plan.workers {
            let name = format!("stock {number}");
            others.push(start(&name, &["stock", at, &name])?);
        }
        Ok(Staff {
            opened: Instant::now(),
            victim: Some(start(VICTIM, &["stock", at, VICTIM])?),
            others,
        })
    }

    /// Keeps the books until every order is accounted for, and kills a worker in the middle.
    fn work(&mut self, plan: &Plan, at: &str, news: &Pull, account: &mut Account) -> Result<()> {
        while !account.is_settled() {
            let patience = if account.closed { SILENCE } else { PATIENCE };
            match news.recv_timeout(patience) {
                Ok(message) => account.enter(&serde_json::from_slice(message.first())?),
                Err(RecvError::TimedOut) if account.closed => account.write_off(),
                Err(RecvError::TimedOut) => return Err(self.complaint()?.into()),
                Err(error) => return Err(error.into()),
            }
            if account.processed.len() as u64 >= plan.orders / 2
                && let Some(victim) = self.victim.take()
            {
                drop(victim); // kill -9
                self.say(&format!("{VICTIM} is killed; {}", account.balance()));
                let name = format!("stock {}", plan.workers + 1);
                self.others.push(start(&name, &["stock", at, &name])?);
                self.say(&format!("{name} takes its place"));
            }
        }
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
        // The workers, and the price service.
        closing.wait_for_subscribers(closing::SHOP, plan.workers + 1, PATIENCE)?;
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
