//! Messages onto standard output.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::Value;
use zerohop::{Frame, Message, Origin};

use crate::args::{FramingArgs, OutputArgs};
use crate::console;
use crate::descriptor;
use crate::failure::{Failure, Outcome};
use crate::format::{Format, Printed, Template, to_envelope, to_json};
use crate::stop::{Cause, Stop};
use crate::tee::Tee;

/// As much is written at once while more is waiting.
const BUFFER: usize = 128 * 1024;

/// Between the frames of a message where no `--parts` says otherwise.
const TAB: &[u8] = b"\t";

/// Standard output and the form of what goes there. [`flush`](Output::flush) it when nothing more is waiting.
pub(crate) struct Output {
    out: Buffered,
    format: Format,
    delimiter: u8,
    separator: Vec<u8>,
    /// A terminal, on which a peer's control characters must not act.
    terminal: bool,
    /// Messages so far, for a template.
    printed: u64,
    /// What messages go to besides.
    pub(crate) tee: Option<Tee>,
}

impl Output {
    /// A write that nobody reads ends with the linger time of this stop.
    pub(crate) fn open(output: &OutputArgs, framing: &FramingArgs, stop: &Stop) -> Outcome<Output> {
        let fd = io::stdout().as_fd().try_clone_to_owned();
        let file = File::from(fd.map_err(|error| Failure::of_output(&error))?);
        let given = framing.parts.as_ref().map(|separator| separator.0.clone());
        let usual = if output.format == Format::Raw {
            b""
        } else {
            TAB
        };
        Ok(Output {
            terminal: file.is_terminal(),
            out: Buffered::new(file, stop.clone()),
            format: output.format.clone(),
            delimiter: framing.delimiter(),
            separator: given.unwrap_or_else(|| usual.to_vec()),
            printed: 0,
            tee: None,
        })
    }

    /// Prints a message, into a buffer.
    #[inline]
    pub(crate) fn write(&mut self, message: &Message) -> Outcome {
        self.write_printed(message.into())
    }

    /// The same, of a peer that is known.
    pub(crate) fn write_with_origin(&mut self, message: &Message, origin: &Origin) -> Outcome {
        self.write_printed(Printed::of(message, origin))
    }

    /// Whether it is printed who a message comes from.
    pub(crate) fn tells_origin(&self) -> bool {
        self.tee.is_some() || self.format.tells_origin()
    }

    /// The same for a message of another time than now.
    pub(crate) fn write_of(&mut self, message: &Message, time: SystemTime) -> Outcome {
        self.write_printed(Printed {
            time: Some(time),
            ..message.into()
        })
    }

    /// The same with something in front of it, which is left out where the form is of frames alone.
    pub(crate) fn write_after(
        &mut self,
        before: &str,
        message: &Message,
        time: SystemTime,
    ) -> Outcome {
        if matches!(self.format, Format::Text | Format::Hex) {
            let put = self.out.put(before.as_bytes());
            put.map_err(|error| Failure::of_output(&error))?;
        }
        self.write_of(message, time)
    }

    /// Prints a line of JSON, into a buffer.
    pub(crate) fn write_json(&mut self, value: &Value) -> Outcome {
        self.write_line(value.to_string().as_bytes())
            .map_err(|error| Failure::of_output(&error))
    }

    #[inline]
    fn write_printed(&mut self, printed: Printed<'_>) -> Outcome {
        let message = printed.message;
        let written = match &self.format {
            Format::Text if self.terminal => self.write_escaped(message),
            Format::Text => self.write_text(message),
            Format::Raw => self.write_frames(message),
            Format::Hex => self.write_hex(message),
            Format::Json => self.write_line(to_json(message).to_string().as_bytes()),
            Format::Envelope => self.write_line(to_envelope(printed).to_string().as_bytes()),
            Format::Template(template) => {
                let template = Arc::clone(template);
                self.write_template(&template, printed)
            }
        };
        written.map_err(|error| Failure::of_output(&error))?;
        match &self.tee {
            Some(tee) => tee.write(printed).map_err(Failure::Failed),
            None => Ok(()),
        }
    }

    /// Prints who a message is from, as text or as a frame like the others, and the message.
    pub(crate) fn write_from(&mut self, name: &str, id: &[u8], message: &Message) -> Outcome {
        let named = match self.format {
            Format::Json | Format::Envelope | Format::Template(_) => {
                let frames = std::iter::once(Frame::copy_from_slice(id));
                let frames = frames.chain(message.frames().cloned());
                return self.write(&Message::from_frames(frames));
            }
            Format::Text | Format::Raw | Format::Hex => self.out.put(name.as_bytes()),
        };
        let named = named.and_then(|()| self.out.put(TAB));
        named.map_err(|error| Failure::of_output(&error))?;
        self.write(message)
    }

    /// Hands over what was written.
    pub(crate) fn flush(&mut self) -> Outcome {
        if let Some(tee) = &self.tee {
            tee.flush().map_err(Failure::Failed)?;
        }
        if self.out.buffer.is_empty() {
            return Ok(());
        }
        let flushed = if self.terminal {
            console::beside_live(|| self.out.flush())
        } else {
            self.out.flush()
        };
        flushed.map_err(|error| Failure::of_output(&error))
    }

    /// A message that ends with a newline of its own gets no second one.
    #[inline]
    fn write_text(&mut self, message: &Message) -> io::Result<()> {
        self.write_frames(message)?;
        self.end_line(message)
    }

    #[inline]
    fn end_line(&mut self, message: &Message) -> io::Result<()> {
        let last = message.frames().next_back().and_then(|frame| frame.last());
        if self.delimiter == b'\n' && last == Some(&b'\n') {
            return Ok(());
        }
        self.out.put(&[self.delimiter])
    }

    #[inline]
    fn write_frames(&mut self, message: &Message) -> io::Result<()> {
        for (index, frame) in message.frames().enumerate() {
            if index > 0 {
                self.out.put(&self.separator)?;
            }
            self.out.put(frame)?;
        }
        Ok(())
    }

    fn write_escaped(&mut self, message: &Message) -> io::Result<()> {
        for (index, frame) in message.frames().enumerate() {
            if index > 0 {
                self.out.put(&self.separator)?;
            }
            self.out.put(escaped(frame).as_bytes())?;
        }
        self.end_line(message)
    }

    fn write_hex(&mut self, message: &Message) -> io::Result<()> {
        for (index, frame) in message.frames().enumerate() {
            if index > 0 {
                self.out.put(&self.separator)?;
            }
            self.out.put(hex(frame).as_bytes())?;
        }
        self.out.put(&[self.delimiter])
    }

    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        self.out.put(line)?;
        self.out.put(&[self.delimiter])
    }

    fn write_template(&mut self, template: &Template, printed: Printed<'_>) -> io::Result<()> {
        self.printed += 1;
        let (out, terminal) = (&mut self.out, self.terminal);
        template.fill(
            printed,
            self.printed,
            &self.separator,
            |bytes, foreign| match foreign && terminal {
                true => out.put(escaped(bytes).as_bytes()),
                false => out.put(bytes),
            },
        )
    }
}

/// A file that is written to in large pieces.
struct Buffered {
    file: File,
    /// With room for one piece and a short message.
    buffer: Vec<u8>,
    stop: Stop,
}

impl Buffered {
    fn new(file: File, stop: Stop) -> Buffered {
        Buffered {
            file,
            stop,
            buffer: Vec::with_capacity(2 * BUFFER),
        }
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.buffer.capacity() - self.buffer.len() {
            return self.put_long(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < BUFFER {
            return Ok(());
        }
        self.flush()
    }

    /// Past the buffer, after what is in it.
    #[cold]
    fn put_long(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.flush()?;
        self.stop
            .while_writing(|| descriptor::write_all(&self.file, bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self
            .stop
            .while_writing(|| descriptor::write_all(&self.file, &self.buffer));
        // Also after a failure: what is written twice is worse than what is not written.
        self.buffer.clear();
        written
    }
}

/// Writes to standard output.
pub(crate) fn print(bytes: &[u8]) -> Outcome {
    descriptor::write_all(io::stdout().lock(), bytes).map_err(|error| Failure::of_output(&error))
}

/// Asks for the stop as soon as the reader of a pipe has gone, even if there is nothing to write.
pub(crate) fn watch_reader(stop: &Stop) {
    let Ok(fd) = io::stdout().as_fd().try_clone_to_owned() else {
        return;
    };
    let file = File::from(fd);
    let kind = file.metadata().map(|metadata| metadata.file_type());
    if !kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket()) {
        return;
    }
    let stop = stop.clone();
    thread::spawn(move || {
        // No event is asked for: what is left is that of the other end closing.
        let mut fds = [PollFd::new(&file, PollFlags::empty())];
        while let Err(rustix::io::Errno::INTR) = poll(&mut fds, None) {}
        stop.trigger(Cause::OutputClosed);
    });
}

/// Two digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes
        .iter()
        .flat_map(|&byte| [digit(byte >> 4), digit(byte)])
        .collect()
}

/// The same in one line.
pub(crate) fn in_a_line(bytes: &[u8]) -> String {
    escaped(bytes).replace('\n', "\\n")
}

/// Text with its control characters made harmless; what is not UTF-8 is shown as such.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() && !matches!(character, '\t' | '\n') {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_no_control_characters() {
        assert_eq!(escaped(b"plain\ttext"), "plain\ttext");
        assert_eq!(escaped("grüße".as_bytes()), "grüße");
        assert_eq!(escaped(b"\x1b[2J\xff"), "\\u{1b}[2J\\xff");
    }
}
