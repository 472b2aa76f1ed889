//! Futures on smol, or whatever else stands on async-io: a relay between two sockets, and both ends of it, in one thread.
//!
//! `cargo run -p zerohop-runtimes --example smol_relay`

use std::error::Error;

use futures_lite::future::{block_on, try_zip};
use zerohop::{Context, Pull, Push, Reactor};

const MESSAGES: u32 = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::with_reactor(Reactor::async_io());
    let inlet = Pull::new(&context)?;
    let source = Push::new(&context)?;
    source.connect(inlet.bind("tcp://127.0.0.1:*")?)?;
    let sink = Pull::new(&context)?;
    let outlet = Push::new(&context)?;
    outlet.connect(sink.bind("tcp://127.0.0.1:*")?)?;

    let produce = async {
        for number in 0..MESSAGES {
            source.send_async(number.to_be_bytes()).await?;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    let relay = async {
        for _ in 0..MESSAGES {
            outlet.send_async(inlet.recv_async().await?).await?;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    let consume = async {
        let mut in_order = 0;
        for number in 0..MESSAGES {
            let message = sink.recv_async().await?;
            in_order += u32::from(message == number.to_be_bytes());
        }
        Ok::<_, Box<dyn Error>>(in_order)
    };
    let ((), ((), in_order)) = block_on(try_zip(produce, try_zip(relay, consume)))?;
    println!("{in_order} of {MESSAGES} in order");
    Ok(())
}
