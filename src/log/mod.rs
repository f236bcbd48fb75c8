//! The log: one line an event, written behind the back of whoever logs.
//!
//! A line is formatted where it arises and put into a buffer; a thread writes what has gathered there.
//! So a request costs no system call for its line, and waits for no disk or terminal. While nothing is
//! logged the thread sleeps. When more gathers than the buffer holds, whoever logs writes it: lines are
//! delayed for some milliseconds, and never dropped.
//!
//! A panic is a line as well. It tells its place and not what it says, which may quote what was being worked on: a text that
//! is cut in the middle of a character is quoted whole (requirement P1).

mod line;

use std::{
    io::{self, Write},
    panic,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::config::LogFormat;

/// How long lines gather.
const GATHER: Duration = Duration::from_millis(10);
/// How many bytes may gather.
const ROOM: usize = 1 << 20;

/// Starts the log of this process on `out`: the lines that `filter` lets through, coloured or not. The lines
/// that have gathered are written when the guard is dropped.
///
/// # Errors
/// When the log was started before, or no thread can be.
pub fn start(
    filter: &str,
    format: LogFormat,
    is_coloured: bool,
    out: impl Write + Send + 'static,
) -> io::Result<Guard> {
    let (lines, guard) = gather(out)?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(lines)
        .with_ansi(is_coloured);
    let started = match format {
        LogFormat::Json => log.json().map_event_format(line::Line).try_init(),
        LogFormat::Text => log.try_init(),
    };
    started.map_err(io::Error::other)?;
    panic::set_hook(Box::new(|panicked| {
        let place = panicked.location().map(ToString::to_string);
        // What stands in the source holds nothing of anybody.
        let says = panicked.payload().downcast_ref::<&'static str>();
        tracing::error!(place, says, "a thread panicked");
    }));
    Ok(guard)
}

/// A place for lines, and the thread that writes them to `out`.
fn gather(out: impl Write + Send + 'static) -> io::Result<(Lines, Guard)> {
    let lines = Lines(Arc::new(Shared {
        gathered: Mutex::default(),
        changed: Condvar::new(),
        out: Mutex::new(Out { to: Box::new(out), bytes: Vec::new() }),
    }));
    let writer = lines.clone();
    let thread = thread::Builder::new().name("log".to_owned()).spawn(move || writer.write_out())?;
    Ok((lines.clone(), Guard { lines, thread: Some(thread) }))
}

/// Where lines gather. Clones share it.
#[derive(Clone)]
struct Lines(Arc<Shared>);

struct Shared {
    gathered: Mutex<Gathered>,
    changed: Condvar,
    out: Mutex<Out>,
}

struct Out {
    to: Box<dyn Write + Send>,
    /// What is being written. Its room is used for gathering the next time.
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    is_over: bool,
}

impl Lines {
    /// A poisoned lock still guards whole lines.
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.0.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread does until the guard is dropped.
    fn write_out(&self) {
        loop {
            let gathered = self.gathered();
            let idle = |gathered: &mut Gathered| gathered.bytes.is_empty() && !gathered.is_over;
            let gathered = self.0.changed.wait_while(gathered, idle).unwrap_or_else(PoisonError::into_inner);
            let is_over = gathered.is_over;
            drop(gathered);
            if !is_over {
                thread::sleep(GATHER);
            }
            self.pass_on();
            if is_over {
                return;
            }
        }
    }

    /// Writes what has gathered. The order of lines stays: whoever writes holds the output first.
    fn pass_on(&self) {
        let mut out = self.0.out.lock().unwrap_or_else(PoisonError::into_inner);
        let Out { to, bytes } = &mut *out;
        std::mem::swap(bytes, &mut self.gathered().bytes);
        // There is no place to say that the log cannot be written.
        let _ = to.write_all(bytes).and_then(|()| to.flush());
        bytes.clear();
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut gathered = self.gathered();
        let was_empty = gathered.bytes.is_empty();
        gathered.bytes.extend_from_slice(line);
        // After its end nobody else writes.
        let is_full = gathered.bytes.len() >= ROOM || gathered.is_over;
        drop(gathered);
        if is_full {
            self.pass_on();
        } else if was_empty {
            self.0.changed.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Writes the last lines when it is dropped.
#[must_use = "the last lines are written when it is dropped"]
pub struct Guard {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.lines.gathered().is_over = true;
        self.lines.0.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::mpsc;

    use super::*;

    /// An output that tells of every write.
    struct Told(mpsc::Sender<Vec<u8>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_arrive_in_order_in_few_writes_and_the_last_ones_at_the_end() {
        let (tell, told) = mpsc::channel();
        let (mut lines, guard) = gather(Told(tell)).unwrap();
        lines.write_all(b"first\n").unwrap();
        let first = told.recv().unwrap();
        assert!(first.starts_with(b"first\n"), "it arrives by itself");
        let mut expected = b"first\n".to_vec();
        for n in 0..1000 {
            let line = format!("line {n}\n");
            lines.write_all(line.as_bytes()).unwrap();
            expected.extend(line.into_bytes());
        }
        drop(guard);
        lines.write_all(b"after the end\n").unwrap();
        expected.extend(b"after the end\n");
        drop(lines);
        let rest: Vec<_> = told.iter().filter(|bytes| !bytes.is_empty()).collect();
        assert!(rest.len() < 900, "{} writes", rest.len());
        assert_eq!([first, rest.concat()].concat(), expected);
    }

    #[test]
    fn what_there_is_no_room_for_is_written_by_whoever_logs() {
        let (tell, told) = mpsc::channel();
        let (mut lines, guard) = gather(Told(tell)).unwrap();
        lines.write_all(&vec![b'x'; ROOM]).unwrap();
        assert_eq!(told.recv().unwrap().len(), ROOM);
        drop(guard);
    }
}
