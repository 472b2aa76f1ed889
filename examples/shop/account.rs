//! What is known of every order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use crate::Result;

/// Who is killed.
pub(crate) const VICTIM: &str = "stock 1";

/// What is known of all orders.
#[derive(Default)]
pub(crate) struct Account {
    accepted: HashSet<u64>,
    /// By whom.
    taken: HashMap<u64, String>,
    pub(crate) processed: HashMap<u64, String>,
    /// Why.
    lost: BTreeMap<u64, String>,
    duplicates: u64,
    unexplained: u64,
    cents: u64,
    /// The first order that was accepted when the killed worker was known to be gone, and how it was known.
    gone: Option<(u64, String)>,
    pub(crate) closed: bool,
    pub(crate) reviews: Option<Value>,
    pub(crate) read: Option<u64>,
}

impl Account {
    pub(crate) fn enter(&mut self, news: &Value) {
        let order = news["order"].as_u64().unwrap_or(0);
        let by = || news["by"].as_str().unwrap_or_default().to_owned();
        match news["event"].as_str() {
            Some("accepted") => drop(self.accepted.insert(order)),
            Some("taken") => drop(self.taken.insert(order, by())),
            Some("processed") => {
                self.cents += news["cents"].as_u64().unwrap_or(0);
                self.duplicates += u64::from(self.processed.insert(order, by()).is_some());
            }
            Some("worker gone") if self.gone.is_none() => {
                let cause = news["cause"].as_str().unwrap_or_default();
                self.gone = Some((news["before"].as_u64().unwrap_or(0), cause.to_owned()));
            }
            Some("closed") => self.closed = true,
            Some("reviews") => self.reviews = Some(news.clone()),
            Some("desk") => self.read = news["read"].as_u64(),
            _ => {}
        }
    }

    fn in_flight(&self) -> usize {
        self.accepted
            .len()
            .saturating_sub(self.processed.len() + self.lost.len())
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.closed && self.in_flight() == 0
    }

    /// Nothing more will come: says of each missing order why it is lost.
    pub(crate) fn write_off(&mut self) {
        for order in &self.accepted {
            if self.processed.contains_key(order) {
                continue;
            }
            let reason = match (self.taken.get(order), &self.gone) {
                (Some(by), _) if by == VICTIM => {
                    format!("in the hands of {VICTIM} when it was killed")
                }
                (None, Some((before, cause))) if order < before => {
                    format!("the system had taken it, on its way to {VICTIM} ({cause})")
                }
                (taken, _) => {
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
        let sent = self
            .reviews
            .as_ref()
            .and_then(|reviews| reviews["sent"].as_u64());
        match (self.unexplained, self.duplicates, sent == self.read) {
            (0, 0, true) => Ok(()),
            _ => Err("the account does not balance".into()),
        }
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
        writeln!(f, "twice      {:6}", self.duplicates)?;
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
        let read = self.read.unwrap_or(0);
        writeln!(
            f,
            "reviews    {published:>6}  bad ones read at the desk: {read}, skipped: {skipped}"
        )
    }
}
