//! Closing time: who goes on until told otherwise is told here.

use std::thread;

use zerohop::{Context, Sub};

use crate::{Result, endpoints};

/// No more reviews are taken.
pub(crate) const REVIEWS: &str = "reviews";

/// Everybody goes home.
pub(crate) const SHOP: &str = "shop";

/// Hears of the closing of this part.
pub(crate) fn listen(context: &Context, at: &str, part: &str) -> Result<Sub> {
    let closing = Sub::new(context)?;
    closing.subscribe(part)?;
    closing.connect(endpoints::closing(at))?;
    Ok(closing)
}

/// When the shop closes, ends all calls that wait on this context's sockets.
pub(crate) fn shut_down_then(context: &Context, at: &str) -> Result<()> {
    let closing = listen(context, at, SHOP)?;
    let context = context.clone();
    thread::spawn(move || {
        if closing.recv().is_ok() {
            context.shutdown();
        }
    });
    Ok(())
}
