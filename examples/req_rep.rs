//! REQ and REP: questions and answers, and a server that dies and comes back in between.

use std::error::Error;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use zerohop::{Context, Rep, Req, RequestError};

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new();
    let (server, endpoint) = serve(&context, "tcp://127.0.0.1:*")?;

    let client = Req::new(&context)?;
    client.connect(&endpoint)?;
    for item in ["tea", "coffee", "gold"] {
        println!("{item}: {}", client.request(item)?.to_str()?);
    }

    client.request("close")?;
    server.join().map_err(|_| "the server panicked")?;

    // Nobody is there, so there is no answer; the client is free to ask again all the same.
    match client.request_timeout("tea", Duration::from_millis(100)) {
        Err(RequestError::PeerGone) => println!("tea: nobody answers"),
        Err(error) if error.is_timed_out() => println!("tea: nobody answers"),
        answer => return Err(format!("not to be expected: {answer:?}").into()),
    }

    // It has connected anew by itself, if the server is back at the same place.
    let (server, _) = serve(&context, &endpoint)?;
    client.wait_for_peers(1, Duration::from_secs(10))?;
    println!("tea: {}", client.request("tea")?.to_str()?);
    client.request("close")?;
    server.join().map_err(|_| "the server panicked")?;
    Ok(())
}

/// A price list that answers until it is told to close.
fn serve(context: &Context, endpoint: &str) -> Result<(JoinHandle<()>, String), Box<dyn Error>> {
    let rep = Rep::new(context)?;
    let endpoint = rep.bind(endpoint)?.to_string();
    let server = thread::spawn(move || {
        while let Ok(request) = rep.recv() {
            let (answer, close) = match request.message().as_bytes() {
                Some(b"tea") => ("2.50", false),
                Some(b"coffee") => ("3.20", false),
                Some(b"close") => ("bye", true),
                _ => ("not sold here", false),
            };
            // A client that has gone, or does not read its replies, is no reason to stop.
            if let Err(error) = request.reply(answer) {
                eprintln!("no reply: {error}");
            }
            if close {
                return;
            }
        }
    });
    Ok((server, endpoint))
}
