//! What is known of every order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use crate::Result;
use crate::promise::Promise;

/// The worker that is killed.
pub(crate) const VICTIM: &str = "stock 1";

/// The numbers of the first source are below this, those of the second above: nobody knows how far the first one got.
pub(crate) const SECOND_SHIFT: u64 = 1_000_000;

/// What is known of all orders.
pub(crate) struct Account {
    promise: Promise,
    accepted: HashSet<u64>,
    /// By whom.
    taken: HashMap<u64, String>,
    pub(crate) processed: HashMap<u64, String>,
    /// Why.
    lost: BTreeMap<u64, String>,
    twice: u64,
    unexplained: u64,
    cents: u64,
    /// The first order that was accepted when the killed worker was known to be gone, and how it was known.
    gone: Option<(u64, String)>,
    pub(crate) closed: bool,
    pub(crate) reviews: Option<Value>,
    pub(crate) read: Option<u64>,
}

impl Account {
    pub(crate) fn new(promise: Promise) -> Account {
        Account {
            promise,
            accepted: HashSet::new(),
            taken: HashMap::new(),
            processed: HashMap::new(),
            lost: BTreeMap::new(),
            twice: 0,
            unexplained: 0,
            cents: 0,
            gone: None,
            closed: false,
            reviews: None,
            read: None,
        }
    }

    pub(crate) fn enter(&mut self, news: &Value) {
        let order = news["order"].as_u64().unwrap_or(0);
        let by = || news["by"].as_str().unwrap_or_default().to_owned();
        match news["event"].as_str() {
            Some("accepted") => drop(self.accepted.insert(order)),
            Some("taken") => drop(self.taken.insert(order, by())),
            Some("processed") => {
                let first = self.processed.insert(order, by()).is_none();
                self.twice += u64::from(!first);
                if first {
                    self.cents += news["cents"].as_u64().unwrap_or(0);
                }
            }
            Some("worker gone") if self.gone.is_none() => {
                let cause = news["cause"].as_str().unwrap_or_default();
                self.gone = Some((news["before"].as_u64().unwrap_or(0), cause.to_owned()));
            }
            Some("closed") => self.closed = order > SECOND_SHIFT,
            Some("reviews") => self.reviews = Some(news.clone()),
            Some("desk") => self.read = news["read"].as_u64(),
            _ => {}
        }
    }

    /// How many were accepted so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.len() as u64
    }

    fn in_flight(&self) -> usize {
        let accepted = self.accepted.iter();
        accepted
            .filter(|order| !self.processed.contains_key(order) && !self.lost.contains_key(order))
            .count()
    }

    /// How many were processed and never told of as accepted: their source was killed in between.
    fn untold(&self) -> usize {
        let processed = self.processed.keys();
        processed
            .filter(|order| !self.accepted.contains(order))
            .count()
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.closed && self.in_flight() == 0
    }

    /// Nothing more will come: says of each missing order why it is lost.
    pub(crate) fn write_off(&mut self) {
        // A source that was through with its orders before has noticed nothing.
        let (before, cause) = match &self.gone {
            Some((before, cause)) => (*before, cause.as_str()),
            None => (u64::MAX, "unnoticed"),
        };
        for order in &self.accepted {
            if self.processed.contains_key(order) {
                continue;
            }
            let reason = match self.taken.get(order) {
                _ if self.promise == Promise::AtLeastOnce => {
                    self.unexplained += 1;
                    "NOT EXPLAINED".to_owned()
                }
                Some(by) if by == VICTIM => {
                    format!("in the hands of {VICTIM} when it was killed")
                }
                None if *order < SECOND_SHIFT => {
                    "with the source when it was killed, or on its way to who was killed later"
                        .to_owned()
                }
                None if *order < before => {
                    format!("the system had taken it, on its way to {VICTIM} ({cause})")
                }
                taken => {
                    self.unexplained += 1;
                    format!("NOT EXPLAINED; taken by {taken:?}")
                }
            };
            self.lost.insert(*order, reason);
        }
    }

    pub(crate) fn balance(&self) -> String {
        let (accepted, processed) = (self.accepted.len(), self.processed.len());
        let in_flight = self.in_flight();
        format!("accepted {accepted}, processed {processed}, in flight {in_flight}")
    }

    pub(crate) fn verdict(&self) -> Result<()> {
        let bad = self.bad();
        let balances = match self.promise {
            Promise::AtMostOnce => {
                self.unexplained == 0 && self.twice == 0 && self.read <= Some(bad)
            }
            // The source can be killed when the spool has an order, and before the news is in the other one.
            Promise::AtLeastOnce => {
                self.lost.is_empty() && self.untold() <= 1 && self.read == Some(bad)
            }
        };
        balances
            .then_some(())
            .ok_or_else(|| "the account does not balance".into())
    }

    /// How many bad reviews there were.
    fn bad(&self) -> u64 {
        let reviews = self.reviews.as_ref();
        reviews
            .and_then(|reviews| reviews["bad"].as_u64())
            .unwrap_or(0)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shares: BTreeMap<&str, u64> = BTreeMap::new();
        for by in self.processed.values() {
            *shares.entry(by).or_default() += 1;
        }
        writeln!(f, "accepted   {:6}", self.accepted.len())?;
        writeln!(
            f,
            "processed  {:6}  for {}.{:02}",
            self.processed.len(),
            self.cents / 100,
            self.cents % 100
        )?;
        for (by, count) in shares {
            writeln!(f, "           {count:6}  by {by}")?;
        }
        writeln!(f, "in flight  {:6}", self.in_flight())?;
        writeln!(f, "twice      {:6}", self.twice)?;
        writeln!(f, "untold     {:6}", self.untold())?;
        writeln!(f, "lost       {:6}", self.lost.len())?;
        let mut reasons: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (order, reason) in &self.lost {
            reasons.entry(reason).or_default().push(*order);
        }
        for (reason, orders) in reasons {
            let (count, first, last) = (orders.len(), orders.first(), orders.last());
            let (first, last) = (first.unwrap_or(&0), last.unwrap_or(&0));
            writeln!(
                f,
                "           {count:6}  {reason}; orders {first} to {last}"
            )?;
        }
        let reviews = self.reviews.as_ref().unwrap_or(&Value::Null);
        let (published, skipped) = (&reviews["published"], &reviews["skipped"]);
        let (bad, read) = (self.bad(), self.read.unwrap_or(0));
        writeln!(
            f,
            "reviews    {published:>6}  bad: {bad}, read at the desk: {read}, skipped: {skipped}"
        )
    }
}
