//! A line of the log as JSON.
//!
//! The library writes each name, sign and value of a line by itself, and checks each anew for being text: a tenth of what
//! a warm answer costs. What is logged outside every span, as the line of each request is, is put together here in one piece;
//! everything else, and what comes through the `log` crate, is left to the library. Both look alike.

use std::{cell::RefCell, fmt};

use chrono::{SecondsFormat, Utc};
use serde::ser::{SerializeMap, Serializer as _};
use tracing::{Event, Subscriber};
use tracing_serde::{AsSerde, fields::AsMap};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
    },
    registry::LookupSpan,
};

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Writes events as lines of JSON.
pub(super) struct Line(pub Format<Json>);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // What came through the `log` crate says itself whose it is.
        let is_bridged = event.metadata().target() == "log";
        if is_bridged || event.parent().is_some() || ctx.lookup_current().is_some() {
            return self.0.format_event(ctx, writer, event);
        }
        LINE.with(|line| match line.try_borrow_mut() {
            Ok(mut line) => {
                line.clear();
                write(event, &mut line).map_err(|_| fmt::Error)?;
                writer.write_str(str::from_utf8(&line).map_err(|_| fmt::Error)?)
            }
            // A value that is shown logs something itself.
            Err(_) => self.0.format_event(ctx, writer, event),
        })
    }
}

fn write(event: &Event<'_>, line: &mut Vec<u8>) -> serde_json::Result<()> {
    let metadata = event.metadata();
    let mut json = serde_json::Serializer::new(&mut *line);
    let mut map = json.serialize_map(None)?;
    map.serialize_entry("timestamp", &Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true))?;
    map.serialize_entry("level", &metadata.level().as_serde())?;
    map.serialize_entry("fields", &event.field_map())?;
    map.serialize_entry("target", metadata.target())?;
    map.end()?;
    line.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::Value;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    impl Kept {
        /// Its lines without the time, and their times.
        fn lines(&self) -> (Vec<Value>, Vec<String>) {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            let take = |line: &str| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
                (line, time.as_str().unwrap().to_owned())
            };
            text.lines().map(take).unzip()
        }
    }

    fn log() {
        let nothing: Option<&str> = None;
        let error = io::Error::other("a \"quoted\" cause");
        tracing::info!(
            target: "portal_gateway::http",
            request_id = "0123",
            status = 200_u16,
            ms = 0.4,
            is_kept = true,
            below = -7_i64,
            shown = tracing::field::display("ああ\n\t\u{1}\\"),
            nothing,
            "answered"
        );
        tracing::warn!(source = &error as &dyn std::error::Error, debugged = ?Some("x"), "a field failed: {}", 3);
        tracing::error!("alone");
        let span = tracing::info_span!("request", request_id = "4567");
        span.in_scope(|| tracing::info!(n = 1, "within"));
    }

    #[test]
    fn a_line_says_what_the_librarys_would() {
        let (ours, theirs) = (Kept::default(), Kept::default());
        let builder = || tracing_subscriber::fmt().json();
        let mine = builder().with_writer(ours.clone()).map_event_format(Line).finish();
        tracing::subscriber::with_default(mine, log);
        tracing::subscriber::with_default(builder().with_writer(theirs.clone()).finish(), log);
        let ((ours, our_times), (theirs, their_times)) = (ours.lines(), theirs.lines());
        assert_eq!(ours.len(), 4);
        assert_eq!(ours, theirs);
        for (ours, theirs) in our_times.iter().zip(&their_times) {
            assert_eq!(ours.len(), theirs.len(), "{ours} {theirs}");
            assert!(chrono::DateTime::parse_from_rfc3339(ours).is_ok());
        }
    }
}
