//! A running `zerohop`.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::deadline::DEADLINE;
use crate::zerohop;

/// A process that never outlives its test.
pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Lines of standard output with their newlines, as they come.
    out: Receiver<String>,
    /// Lines of standard error with their newlines, as they come.
    err: Receiver<String>,
    readers: Vec<JoinHandle<()>>,
    /// What was passed over on standard error.
    passed: Vec<String>,
}

/// How a process has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; `None` after a deadly signal.
    pub(crate) code: Option<i32>,
    /// What it had printed and nobody had read before, to the byte.
    pub(crate) out: String,
    /// The lines on standard error.
    pub(crate) err: Vec<String>,
}

impl Program {
    /// Starts `zerohop` with these arguments.
    pub(crate) fn start(args: &[&str]) -> Program {
        Program::spawn(Command::new(zerohop()).args(args))
    }

    /// Starts any command.
    pub(crate) fn spawn(command: &mut Command) -> Program {
        let command = command.stdin(Stdio::piped());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (out, out_reader) = lines(child.stdout.take().expect("a piped output"));
        let (err, err_reader) = lines(child.stderr.take().expect("a piped error output"));
        Program {
            stdin: child.stdin.take(),
            child,
            out,
            err,
            readers: vec![out_reader, err_reader],
            passed: Vec::new(),
        }
    }

    /// Writes a line to its input.
    pub(crate) fn write(&mut self, line: &str) {
        self.write_bytes(format!("{line}\n").as_bytes());
    }

    /// Writes to its input.
    pub(crate) fn write_bytes(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("an input that is still open");
        stdin.write_all(bytes).expect("the program reads its input");
    }

    /// Closes its input.
    pub(crate) fn close_input(&mut self) {
        self.stdin = None;
    }

    /// The next line it prints.
    pub(crate) fn line(&self) -> String {
        self.line_within(DEADLINE).expect("a line of output")
    }

    /// The next line it prints, if there is one within `patience`.
    pub(crate) fn line_within(&self, patience: Duration) -> Option<String> {
        let line = self.out.recv_timeout(patience).ok()?;
        Some(without_newline(&line).to_owned())
    }

    /// Whether it has ended already.
    pub(crate) fn has_ended(&mut self) -> bool {
        let status = self.child.try_wait();
        status.expect("a process that can be waited for").is_some()
    }

    /// The next line on standard error that contains this.
    pub(crate) fn err_line(&mut self, part: &str) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.err.recv_timeout(left) else {
                panic!(
                    "no line with {part:?} on standard error, only {:#?}",
                    self.passed
                );
            };
            let line = without_newline(&line).to_owned();
            if line.contains(part) {
                return line;
            }
            self.passed.push(line);
        }
    }

    /// The endpoint that a wildcard has become.
    pub(crate) fn bound(&mut self) -> String {
        let line = self.err_line("listening at ");
        line.rsplit(' ').next().unwrap_or_default().to_owned()
    }

    /// Presses Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a process to signal");
    }

    /// Closes its input and waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        self.close_input();
        self.wait()
    }

    /// Waits for its end, its input left open.
    pub(crate) fn wait(mut self) -> Ended {
        // The lines end with the process: whoever waits for their end waits for its.
        let end = Instant::now() + DEADLINE;
        let rest = |lines: &Receiver<String>| {
            let mut all = Vec::new();
            while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                all.push(line);
            }
            assert!(
                Instant::now() < end,
                "the program does not end; it printed {all:#?}"
            );
            all
        };
        let out = rest(&self.out).concat();
        let mut err = std::mem::take(&mut self.passed);
        err.extend(
            rest(&self.err)
                .iter()
                .map(|line| without_newline(line).to_owned()),
        );
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader that does not panic");
        }
        let status = self.child.wait().expect("a process that can be waited for");
        Ended {
            code: status.code(),
            out,
            err,
        }
    }
}

impl Ended {
    /// Fails unless all went well; gives the output.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }

    /// Fails unless it ended with this exit code and one line on standard error that contains all of these.
    pub(crate) fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert_eq!(self.err.len(), 1, "{self:#?}");
        for part in parts {
            assert!(self.err[0].contains(part), "no {part:?} in {self:#?}");
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> (Receiver<String>, JoinHandle<()>) {
    let (sender, receiver) = channel();
    let reader = thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            // Nobody may be listening any more; then there is nothing to read for.
            let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
    });
    (receiver, reader)
}

fn without_newline(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

/// Runs `zerohop` to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    Program::start(args).end()
}
