//! What the processes say to each other.
//!
//! | from | to | frames |
//! |---|---|---|
//! | ventilator | a worker | number of the piece (8 bytes, big-endian), its text |
//! | ventilator | sink | `at`, the endpoint where workers get text |
//! | worker | sink | `counted`, number of the worker (4), number of the piece (8), lines of `count word` |
//! | ventilator | sink | `total`, how many pieces there were (8) |
//! | sink | every worker | `done` |

use zerohop::{Frame, Message};

use crate::{Counts, Result};

pub(crate) const DONE: &str = "done";

/// A piece of the text, of whole lines.
pub(crate) struct Piece {
    pub(crate) number: u64,
    pub(crate) text: Frame,
}

impl Piece {
    pub(crate) fn into_message(self) -> Message {
        Message::from_frames([Frame::from(self.number.to_be_bytes()), self.text])
    }

    pub(crate) fn parse(message: Message) -> Result<Piece> {
        let mut frames = message.into_frames();
        match (frames.next(), frames.next()) {
            (Some(number), Some(text)) => Ok(Piece {
                number: u64::from_be_bytes(number.as_slice().try_into()?),
                text,
            }),
            _ => Err("a piece has two frames".into()),
        }
    }
}

/// What the sink hears.
pub(crate) enum News {
    At(String),
    Counted {
        worker: u32,
        number: u64,
        counts: Frame,
    },
    Total(u64),
}

impl News {
    pub(crate) fn into_message(self) -> Message {
        match self {
            News::At(endpoint) => Message::from_frames([Frame::from("at"), endpoint.into()]),
            News::Counted {
                worker,
                number,
                counts,
            } => Message::from_frames([
                Frame::from("counted"),
                worker.to_be_bytes().into(),
                number.to_be_bytes().into(),
                counts,
            ]),
            News::Total(total) => {
                Message::from_frames([Frame::from("total"), total.to_be_bytes().into()])
            }
        }
    }

    pub(crate) fn parse(message: Message) -> Result<News> {
        let frames: Vec<Frame> = message.into_frames().collect();
        let frames: Vec<&[u8]> = frames.iter().map(Frame::as_slice).collect();
        match frames[..] {
            [b"at", endpoint] => Ok(News::At(String::from_utf8(endpoint.to_vec())?)),
            [b"counted", worker, number, counts] => Ok(News::Counted {
                worker: u32::from_be_bytes(worker.try_into()?),
                number: u64::from_be_bytes(number.try_into()?),
                counts: counts.into(),
            }),
            [b"total", total] => Ok(News::Total(u64::from_be_bytes(total.try_into()?))),
            _ => Err("the sink got a message it does not know".into()),
        }
    }
}

/// Adds lines of `count word`, as [`News::Counted`] has them and `uniq -c` prints them.
pub(crate) fn add_lines(counts: &mut Counts, lines: &[u8]) -> Result<()> {
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii_start();
        let Some(space) = line.iter().position(|byte| *byte == b' ') else {
            continue;
        };
        let count: u64 = std::str::from_utf8(&line[..space])?.parse()?;
        let word = &line[space + 1..];
        match counts.get_mut(word) {
            Some(sum) => *sum += count,
            None if word.is_empty() => {}
            None => drop(counts.insert(word.to_vec(), count)),
        }
    }
    Ok(())
}
