//! PUB and SUB: each subscriber gets the topics it asked for, and knows when there is no more.

use std::error::Error;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use zerohop::{Context, Frame, Pub, Sub};

/// Nothing ends by itself in PUB/SUB: the end is a topic like any other.
const END: &str = "end";

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new();
    let publisher = Pub::new(&context)?;
    let endpoint = publisher.bind("tcp://127.0.0.1:*")?.to_string();

    let oslo = subscriber(&context, &endpoint, "oslo's", "weather.oslo")?;
    let all = subscriber(&context, &endpoint, "everybody's", "weather.")?;

    // Who subscribes late misses what was published before: wait until both have.
    publisher.wait_for_subscribers("weather.oslo", 2, Duration::from_secs(10))?;
    publisher.wait_for_subscribers(END, 2, Duration::from_secs(10))?;

    for (city, weather) in [("oslo", "snow"), ("rome", "sun"), ("oslo", "wind")] {
        let published = publisher.send([format!("weather.{city}"), weather.to_owned()])?;
        println!(
            "{city}: sent to {}, skipped {}",
            published.sent, published.skipped
        );
    }
    publisher.send(END)?;

    for subscriber in [oslo, all] {
        subscriber.join().map_err(|_| "a subscriber panicked")?;
    }
    Ok(())
}

fn subscriber(
    context: &Context,
    endpoint: &str,
    name: &'static str,
    topic: &str,
) -> Result<JoinHandle<()>, Box<dyn Error>> {
    let sub = Sub::new(context)?;
    sub.subscribe(topic)?;
    sub.subscribe(END)?;
    sub.connect(endpoint)?;
    Ok(thread::spawn(move || {
        for message in sub.iter().take_while(|message| *message != END) {
            let Ok([place, weather]) = <[Frame; 2]>::try_from(message) else {
                continue; // not ours
            };
            let (place, weather) = (place.to_string_lossy(), weather.to_string_lossy());
            println!("{name} copy: {place}: {weather}");
        }
    }))
}
