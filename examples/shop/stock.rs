//! A stock worker: takes an order, asks for the price, picks the goods, reports.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use zerohop::{Context, Options, Pull, RecvError, Req, RequestError};

use crate::promise::Promise;
use crate::random::Random;
use crate::{Result, closing, endpoints, process};

pub(crate) fn run(at: &str, promise: Promise, name: &str) -> Result<()> {
    process::end_with_parent();
    let context = Context::new();
    let news = promise.news(&context, at)?;
    let prices = Req::new(&context)?;
    prices.connect(endpoints::price(at))?;
    // Orders that a worker has read ahead wait for it while others are idle, and are lost with it if nobody keeps them.
    let line = Pull::with_options(&context, promise.options(Options::new().recv_hwm(1)))?;
    line.connect(endpoints::orders(at))?;
    closing::shut_down_then(&context, at)?;

    let mut random = Random::new();
    loop {
        let job = match line.recv_job() {
            Ok(job) => job,
            Err(RecvError::ContextClosed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let order: Value = serde_json::from_slice(job.message().first())?;
        let id = &order["order"];
        news.send(json!({"event": "taken", "order": id, "by": name}).to_string())?;
        let item = order["item"].as_str().unwrap_or_default();
        let Some(price) = price_of(&prices, item)? else {
            return Ok(()); // The shop closes.
        };
        let pick = Duration::from_secs_f64(0.0005 + 0.001 * random.unit());
        thread::sleep(pick);
        let cents = price * order["quantity"].as_u64().unwrap_or(0);
        let done = json!({"event": "processed", "order": id, "by": name, "cents": cents});
        // The order is done when it is in the books. Whoever is killed before has it done again, and whoever is killed behind this as well.
        news.send_later(done.to_string())?.settled()?;
        // A source that is gone by now sends the order again when it is back. It is settled then: this socket knows it.
        let _ = job.settle();
    }
}

/// Asks until there is an answer: asking for a price twice does no harm. `None`: the shop closes.
fn price_of(prices: &Req, item: &str) -> Result<Option<u64>> {
    loop {
        match prices.request_timeout(item, Duration::from_secs(1)) {
            Ok(price) => return Ok(Some(price.to_str()?.parse()?)),
            Err(RequestError::PeerGone) => {}
            Err(error) if error.is_timed_out() => {}
            Err(error) if error.is_closed() => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}
