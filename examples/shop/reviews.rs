//! What customers say, to whom it may concern.

use std::time::Duration;

use serde_json::json;
use zerohop::{Context, Log, Options, Pub};

use crate::orders::ITEMS;
use crate::promise::Promise;
use crate::random::{Arrivals, Random};
use crate::{Result, closing, endpoints, process};

/// The last message; all who listen to reviews subscribe to it.
pub(crate) const END: &str = "review.end";

/// The topic of reviews that somebody has to do something about.
pub(crate) const BAD: &str = "review.bad.";

pub(crate) fn run(at: &str, promise: Promise, rate: f64) -> Result<()> {
    process::end_with_parent();
    let context = Context::new();
    let closing = closing::listen(&context, at, closing::REVIEWS)?;
    let home = closing::listen(&context, at, closing::SHOP)?;
    let news = promise.news(&context, at)?;
    let options = match promise {
        Promise::AtMostOnce => Options::new(),
        // Whoever comes late, or is slow, reads what is there.
        Promise::AtLeastOnce => Options::new().log(Log::at(format!("{at}/reviews.log"))),
    };
    let reviews = Pub::with_options(&context, options)?;
    reviews.bind(endpoints::reviews(at))?;

    let mut random = Random::new();
    let mut arrivals = Arrivals::new(rate);
    let (mut published, mut bad, mut skipped) = (0, 0, 0);
    while closing.try_recv().is_err() {
        arrivals.wait(&mut random);
        let stars = random.one_of(&[1, 3, 4, 5, 5]);
        let topic = if stars < 3 { BAD } else { "review.good." };
        bad += u64::from(topic == BAD);
        let topic = format!("{topic}{}", random.one_of(&ITEMS));
        let review = json!({"stars": stars}).to_string();
        skipped += reviews.send([topic, review])?.skipped;
        published += 1;
    }
    reviews.wait_for_subscribers(END, 1, Duration::from_secs(30))?;
    reviews.send(END)?;
    let account = json!({
        "event": "reviews", "published": published, "bad": bad, "skipped": skipped,
    });
    news.send(account.to_string())?;
    // Who reads the log may not be done with it.
    home.recv()?;
    Ok(())
}
