//! The desk that reads the bad reviews, and no others. It opens at noon.

use serde_json::json;
use zerohop::{Context, ReplayFrom, Sub};

use crate::promise::Promise;
use crate::reviews::{BAD, END};
use crate::{Result, endpoints, process};

pub(crate) fn run(at: &str, promise: Promise) -> Result<()> {
    process::end_with_parent();
    let context = Context::new();
    let news = promise.news(&context, at)?;
    let reviews = Sub::new(&context)?;
    for topic in [BAD, END] {
        // All that the publisher's log has; if it has none, what comes from now on.
        reviews.subscribe_from(topic, ReplayFrom::Last(u64::MAX))?;
    }
    reviews.connect(endpoints::reviews(at))?;
    let read = reviews.iter().take_while(|review| *review != END).count();
    news.send(json!({"event": "desk", "read": read}).to_string())?;
    Ok(())
}
