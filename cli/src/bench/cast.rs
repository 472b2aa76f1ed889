//! Who takes part, and in what.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::OUT;
use super::child::{Fallible, Fault, Task, Types};
use super::workload::{Transport, Work, Workload};

/// The contestants, and the program that plays some of them.
pub(crate) struct Cast {
    pub(crate) entrants: Vec<Entrant>,
    /// Does a task as one of those whom this program plays itself.
    pub(crate) play: fn(&Task) -> Fallible<()>,
    /// Names and versions of what is measured.
    pub(crate) libraries: Vec<String>,
    /// Where results go unless told otherwise.
    pub(crate) out: PathBuf,
}

/// One who takes part.
#[derive(Clone)]
pub(crate) struct Entrant {
    pub(crate) name: String,
    /// The program that plays it, and arguments; a task follows.
    pub(crate) command: Vec<OsString>,
    pub(crate) transports: Vec<Transport>,
    pub(crate) works: Vec<Work>,
    /// Works that it cannot do as everybody else does, and why: for people to read.
    pub(crate) left_out: Vec<(Work, String)>,
    pub(crate) most_peers: usize,
    /// Takes part with CURVE as well, as NAME-curve, if that is asked for.
    pub(crate) has_curve: bool,
}

pub(crate) const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Ipc, Transport::Inproc];

pub(crate) const WORKS: [Work; 15] = [
    Work::PushPull,
    Work::Shared,
    Work::Latency,
    Work::OpenLoop,
    Work::FanOut,
    Work::FanIn,
    Work::Memory,
    Work::Churn,
    Work::DealerRouter,
    Work::DealerDealer,
    Work::PairPair,
    Work::XpubSub,
    Work::RouterEcho,
    Work::RouterCrowd,
    Work::Proxy,
];

impl Cast {
    /// zerohop and bare sockets, played by this program when it is started with these arguments.
    pub(crate) fn own(arguments: &[&str]) -> Fallible<Cast> {
        let program = env::current_exe()?.into_os_string();
        let arguments = arguments.iter().chain(&["--child"]).map(OsString::from);
        let command: Vec<OsString> = [program].into_iter().chain(arguments).collect();
        let zerohop = Entrant {
            name: String::from("zerohop"),
            command: command.clone(),
            transports: TRANSPORTS.to_vec(),
            works: WORKS.to_vec(),
            left_out: Vec::new(),
            most_peers: usize::MAX,
            has_curve: true,
        };
        let raw = Entrant {
            name: String::from("raw"),
            command,
            transports: vec![Transport::Tcp, Transport::Ipc],
            works: vec![
                Work::PushPull,
                Work::Shared,
                Work::Latency,
                Work::RouterEcho,
            ],
            left_out: Vec::new(),
            most_peers: 1,
            has_curve: false,
        };
        Ok(Cast {
            entrants: vec![zerohop, raw],
            play: super::play,
            libraries: vec![concat!("zerohop ", env!("CARGO_PKG_VERSION")).to_owned()],
            out: PathBuf::from(OUT),
        })
    }

    /// Has those who can take part with CURVE, too; within a process nothing is sealed.
    pub(super) fn add_curve(&mut self) {
        let sealed = self.entrants.iter().filter(|entrant| entrant.has_curve);
        let sealed: Vec<Entrant> = sealed
            .map(|entrant| Entrant {
                name: format!("{}-curve", entrant.name),
                transports: vec![Transport::Tcp, Transport::Ipc],
                works: sealed_works(entrant),
                ..entrant.clone()
            })
            .collect();
        self.entrants.extend(sealed);
    }

    /// Those with one of these names, or everybody where there are none.
    pub(super) fn select(&self, names: &[String]) -> Fallible<Vec<&Entrant>> {
        let is_here = |name: &String| self.entrants.iter().any(|entrant| entrant.name == *name);
        if let Some(unknown) = names.iter().find(|name| !is_here(name)) {
            let known: Vec<&str> = self.entrants.iter().map(|entrant| &*entrant.name).collect();
            let known = known.join(", ");
            return Err(Fault::from(format!(
                "{unknown} does not take part: {known}"
            )));
        }
        let is_meant = |entrant: &&Entrant| names.is_empty() || names.contains(&entrant.name);
        Ok(self.entrants.iter().filter(is_meant).collect())
    }
}

/// What somebody does with CURVE: all works of the usual sockets, but for the proxy, which would have to open and seal.
fn sealed_works(entrant: &Entrant) -> Vec<Work> {
    let works = entrant.works.iter().copied();
    works
        .filter(|&work| work.types() == Types::Usual && work != Work::Proxy)
        .collect()
}

impl Entrant {
    pub(super) fn can(&self, workload: &Workload) -> bool {
        self.transports.contains(&workload.transport)
            && self.works.contains(&workload.work)
            && workload.peers <= self.most_peers
    }

    /// Why it is left out of the workload, where it would be missed.
    pub(super) fn why_not(&self, workload: &Workload) -> Option<&str> {
        let mut left_out = self.left_out.iter();
        let (_, why) = left_out.find(|(work, _)| *work == workload.work)?;
        Some(why)
    }
}
