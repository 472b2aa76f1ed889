//! The desk that reads the bad reviews, and no others.

use serde_json::json;
use zerohop::{Context, Options, Push, Sub};

use crate::reviews::{BAD, END};
use crate::{Result, endpoints, process};

pub(crate) fn run(at: &str) -> Result<()> {
    process::end_with_parent();
    let context = Context::new();
    let books = Push::with_options(&context, Options::new().linger(None))?;
    books.connect(endpoints::books(at))?;
    let reviews = Sub::new(&context)?;
    reviews.subscribe(BAD)?;
    reviews.subscribe(END)?;
    reviews.connect(endpoints::reviews(at))?;
    let read = reviews.iter().take_while(|review| *review != END).count();
    books.send(json!({"event": "desk", "read": read}).to_string())?;
    Ok(())
}
