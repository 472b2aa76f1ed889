//! What customers say, to whom it may concern.

use std::time::Duration;

use serde_json::json;
use zerohop::{Context, Options, Pub, Push};

use crate::orders::ITEMS;
use crate::random::{Arrivals, Random};
use crate::{Result, closing, endpoints, process};

/// The last message; all who listen to reviews subscribe to it.
pub(crate) const END: &str = "review.end";

/// The topic of reviews that somebody has to do something about.
pub(crate) const BAD: &str = "review.bad.";

pub(crate) fn run(at: &str, rate: f64) -> Result<()> {
    process::end_with_parent();
    let context = Context::new();
    let closing = closing::listen(&context, at, closing::REVIEWS)?;
    let books = Push::with_options(&context, Options::new().linger(None))?;
    books.connect(endpoints::books(at))?;
    let reviews = Pub::new(&context)?;
    reviews.bind(endpoints::reviews(at))?;
    reviews.wait_for_subscribers(END, 1, Duration::from_secs(30))?;

    let mut random = Random::new();
    let mut arrivals = Arrivals::new(rate);
    let (mut published, mut sent, mut skipped) = (0, 0, 0);
    while closing.try_recv().is_err() {
        arrivals.wait(&mut random);
        let stars = random.one_of(&[1, 3, 4, 5, 5]);
        let topic = if stars < 3 { BAD } else { "review.good." };
        let topic = format!("{topic}{}", random.one_of(&ITEMS));
        let review = json!({"stars": stars}).to_string();
        let outcome = reviews.send([topic, review])?;
        published += 1;
        sent += outcome.sent;
        skipped += outcome.skipped;
    }
    reviews.send(END)?;
    let account = json!({
        "event": "reviews", "published": published, "sent": sent, "skipped": skipped,
    });
    books.send(account.to_string())?;
    Ok(())
}
