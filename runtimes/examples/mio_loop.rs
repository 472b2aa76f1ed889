//! A loop over mio: a socket of ours beside a plain TCP listener, in one thread.
//!
//! `cargo run -p zerohop-runtimes --example mio_loop`

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::thread;

use mio::net::TcpListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use zerohop::{Context, PollRecv, Pull, Push, RecvError};

const ORDERS: Token = Token(0);
const STATUS: Token = Token(1);

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new();
    let pull = Pull::new(&context)?;
    let push = Push::new(&context)?;
    push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
    let mut status = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let address = status.local_addr()?;
    let asking = thread::spawn(move || -> Result<String, String> {
        let told = || -> std::io::Result<String> {
            let mut text = String::new();
            TcpStream::connect(address)?.read_to_string(&mut text)?;
            Ok(text)
        };
        push.send_batch((1..=1_000).map(|number| number.to_string()))
            .map_err(|error| error.to_string())?;
        let text = told().map_err(|error| error.to_string())?;
        push.send("end").map_err(|error| error.to_string())?;
        Ok(text)
    });

    let ready = pull.recv_fd()?;
    let descriptor = ready.as_raw_fd();
    let mut poll = Poll::new()?;
    let registry = poll.registry();
    registry.register(&mut SourceFd(&descriptor), ORDERS, Interest::READABLE)?;
    registry.register(&mut status, STATUS, Interest::READABLE)?;
    let mut events = Events::with_capacity(8);
    let (mut count, mut told) = (0, 0);
    'all: loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            // mio tells of each change once, so take all that is there.
            match event.token() {
                ORDERS => loop {
                    match pull.try_recv() {
                        Ok(message) if message == "end" => break 'all,
                        Ok(_) => count += 1,
                        Err(RecvError::WouldBlock) => break,
                        Err(error) => return Err(error.into()),
                    }
                },
                _ => {
                    while let Ok((mut stream, _)) = status.accept() {
                        writeln!(stream, "at work")?;
                        told += 1;
                    }
                }
            }
        }
    }
    let text = asking.join().map_err(|_| "the other thread panicked")??;
    println!("{count} orders, {told} asked: {}", text.trim());
    Ok(())
}
