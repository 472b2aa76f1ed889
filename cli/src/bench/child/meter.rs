//! Counts and times what a receiver gets.

use hdrhistogram::Histogram;

use super::payload::{Kind, Reader, Sequence};
use super::roles::SHARED_BUFFERS;
use super::system::{cpu_time, now};
use super::{Fallible, Fault, Quantiles, Report, Task};

/// The receiving side's measurement: from the first mark to the last end.
pub(crate) struct Meter {
    reader: Reader,
    streams: Vec<Stream>,
    open_streams: usize,
    messages: u64,
    start: Option<Start>,
    is_cyclic: bool,
    latency: Option<Latency>,
}

#[derive(Clone, Copy, Default)]
struct Stream {
    sequence: Sequence,
    ended: bool,
}

struct Start {
    messages: u64,
    time: u64,
    cpu: u64,
}

impl Meter {
    /// A meter for so many ordered streams of messages.
    pub(crate) fn new(task: &Task, streams: usize) -> Fallible<Meter> {
        Ok(Meter {
            reader: Reader::new(task.topic_len(), task.size),
            streams: vec![Stream::default(); streams],
            open_streams: streams,
            messages: 0,
            start: None,
            is_cyclic: task.shared,
            latency: task.rate.map(|_| Latency::new()).transpose()?,
        })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.open_streams == 0
    }

    pub(crate) fn is_open(&self, stream: usize) -> bool {
        !self.streams[stream].ended
    }

    /// Takes a message of the stream that it names itself.
    #[inline(always)]
    pub(crate) fn take(&mut self, message: &[u8]) -> Fallible<Kind> {
        self.take_from(None, message)
    }

    /// Takes a message of that stream, or of the one that it names.
    #[inline(always)]
    pub(crate) fn take_from(&mut self, stream: Option<usize>, message: &[u8]) -> Fallible<Kind> {
        let header = self.reader.read(message)?;
        let stream = stream.unwrap_or(header.source);
        let stream = self.streams.get_mut(stream).ok_or_else(unknown_sender)?;
        match header.kind {
            Kind::Data | Kind::Mark => {
                // Told apart here, so that the number of buffers is a constant in the division.
                let cycle = self.is_cyclic.then_some(SHARED_BUFFERS);
                stream.sequence.accept(header.seq, cycle)?;
                self.messages += 1;
                if header.kind == Kind::Mark && self.start.is_none() {
                    self.start();
                }
                if let (Some(latency), Some(_)) = (&mut self.latency, &self.start) {
                    latency.record(now().saturating_sub(header.stamp));
                }
            }
            Kind::End => {
                stream.sequence.accept(header.seq, None)?;
                stream.ended = true;
                self.open_streams -= 1;
            }
            Kind::Probe => {}
        }
        Ok(header.kind)
    }

    #[cold]
    fn start(&mut self) {
        self.start = Some(Start {
            messages: self.messages,
            time: now(),
            cpu: cpu_time(),
        });
    }

    /// What was measured until now.
    pub(crate) fn report(&self) -> Fallible<Report> {
        let start = self.start.as_ref();
        let start =
            start.ok_or_else(|| Fault::from("the end came before the end of the warm-up"))?;
        Ok(Report {
            messages: self.messages - start.messages,
            nanos: now() - start.time,
            cpu_nanos: cpu_time() - start.cpu,
            latency: self.latency.as_ref().map(Latency::quantiles),
            bytes_per_connection: None,
        })
    }
}

/// A histogram of latencies, three digits exact.
pub(crate) struct Latency {
    histogram: Histogram<u64>,
}

impl Latency {
    pub(crate) fn new() -> Fallible<Latency> {
        const LONGEST: u64 = 60_000_000_000;
        Ok(Latency {
            histogram: Histogram::new_with_bounds(1, LONGEST, 3)?,
        })
    }

    #[inline]
    pub(crate) fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos);
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        Quantiles {
            p50: self.histogram.value_at_quantile(0.5),
            p99: self.histogram.value_at_quantile(0.99),
            p999: self.histogram.value_at_quantile(0.999),
            mean: self.histogram.mean() as u64,
        }
    }
}

#[cold]
fn unknown_sender() -> Fault {
    Fault::from("a message from a sender that is not there")
}
