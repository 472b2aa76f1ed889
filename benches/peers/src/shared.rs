//! Tasks that share a socket.

use tokio::task::JoinSet;

use crate::child::payload::{Header, Kind, Reader, Writer};
use crate::child::system::{cpu_time, now};
use crate::child::{Fallible, Fault, Report, TOPIC_LEN, Task};

/// A DEALER that tasks share. Each has a clone.
pub(crate) trait Shared: Clone + Send + Sync + 'static {
    fn send(&self, message: &[u8]) -> impl Future<Output = Fallible<()>> + Send;

    /// Shows the next message that comes, whoever it is for.
    fn recv<T: Send>(
        &self,
        show: impl FnOnce(&[u8]) -> T + Send,
    ) -> impl Future<Output = Fallible<T>> + Send;
}

/// Has the tasks send and receive. That all messages of each arrive, in order, is checked by who echoes them; here, that as many come back whole.
pub(crate) async fn share<S: Shared>(task: &Task, socket: S) -> Fallible<Report> {
    let begun = now();
    let cpu = cpu_time();
    let mut tasks = JoinSet::new();
    for source in 0..task.senders {
        tasks.spawn(ask(task.clone(), socket.clone(), source, begun));
    }
    let mut report = Report::default();
    while let Some(ended) = tasks.join_next().await {
        report.messages += ended??;
    }
    report.nanos = now() - begun - (task.warm_up * 1e9) as u64;
    report.cpu_nanos = cpu_time() - cpu;
    Ok(report)
}

/// One of them. Gives the number of its requests from the mark on.
async fn ask<S: Shared>(task: Task, socket: S, source: usize, begun: u64) -> Fallible<u64> {
    let mut writer = Writer::new(0, task.size)?;
    let reader = Reader::new(0, task.size);
    let mark_at = begun + (task.warm_up * 1e9) as u64;
    let end_at = mark_at + (task.seconds * 1e9) as u64;
    let most = task.max_messages / task.senders as u64 + 10;
    let (mut seq, mut marked) = (0, None);
    loop {
        let time = now();
        let kind = match marked {
            None if time >= mark_at => {
                marked = Some(seq);
                Kind::Mark
            }
            Some(mark) if seq > mark && (time >= end_at || seq >= most) => Kind::End,
            None | Some(_) => Kind::Data,
        };
        let header = Header {
            kind,
            source,
            seq,
            stamp: 0,
        };
        socket
            .send(writer.write_one(header, &[0; TOPIC_LEN]))
            .await?;
        let reply = socket.recv(|reply| reader.read(reply)).await??;
        if reply.source >= task.senders {
            return Err(Fault::from("the reply to a request of nobody"));
        }
        if kind == Kind::End {
            return Ok(seq - marked.unwrap_or_default());
        }
        seq += 1;
    }
}
