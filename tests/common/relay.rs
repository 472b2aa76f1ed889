//! A network between two sockets.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A network in between that can be cut.
pub(crate) struct Relay {
    pub(crate) address: String,
    links: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    pub(crate) fn to(endpoint: &str) -> Relay {
        let target = endpoint.strip_prefix("tcp://").expect("tcp").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("tcp://{}", listener.local_addr().expect("an address"));
        let links = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&links);
        thread::spawn(move || {
            for near in listener.incoming() {
                let (Ok(near), Ok(far)) = (near, TcpStream::connect(&target)) else {
                    return;
                };
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let mut from = from.try_clone().expect("a descriptor");
                    let mut to = to.try_clone().expect("a descriptor");
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                kept.lock().expect("no panic").extend([near, far]);
            }
        });
        Relay { address, links }
    }

    /// Ends all connections, and says how many ends they had.
    pub(crate) fn cut(&self) -> usize {
        let links: Vec<_> = self.links.lock().expect("no panic").drain(..).collect();
        for link in &links {
            let _ = link.shutdown(Shutdown::Both);
        }
        links.len()
    }
}
