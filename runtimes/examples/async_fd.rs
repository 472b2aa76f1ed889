//! A loop of one's own: a socket's descriptor in tokio's `AsyncFd`, for code that already waits for descriptors there.
//! The same goes for `poll`, mio and any other loop, which only has to be level-triggered, or asked again as here.
//!
//! `cargo run -p zerohop-runtimes --example async_fd`

#![allow(
    deprecated,
    reason = "what newer versions of tokio have instead is for descriptors that are not owned"
)]

use std::error::Error;
use std::thread;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zerohop::{Context, PollRecv, Pull, Push, RecvError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new();
    let pull = Pull::new(&context)?;
    let push = Push::new(&context)?;
    push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
    let sending = thread::spawn(move || {
        for number in 1..=1_000 {
            push.send(format!("{number}"))?;
        }
        push.send("end")
    });

    let ready = AsyncFd::with_interest(pull.recv_fd()?, Interest::READABLE)?;
    let (mut count, mut sum) = (0, 0);
    'all: loop {
        let mut guard = ready.readable().await?;
        loop {
            match pull.try_recv() {
                Ok(message) if message == "end" => break 'all,
                Ok(message) => {
                    count += 1;
                    sum += std::str::from_utf8(message.first())?.parse::<u32>()?;
                }
                Err(RecvError::WouldBlock) => break,
                Err(error) => return Err(error.into()),
            }
        }
        // Nothing is left: tokio, which is edge-triggered, is to look at the descriptor again.
        guard.clear_ready();
    }
    sending.join().map_err(|_| "the sender panicked")??;
    println!("{count} messages, sum {sum}");
    Ok(())
}
