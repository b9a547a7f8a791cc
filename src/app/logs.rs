//! Logs: one line per event that an operator wants at night, on standard error; quiet otherwise.

use std::fmt::{self, Debug};
use std::io::{IsTerminal as _, stderr};

use tracing::field::{Field, Visit};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

use crate::config::{Log, LogFormat};

/// Begins logging. `RUST_LOG` overrides the configured level.
pub fn start(log: &Log) {
    let level = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("segue={}", log.level.as_str())));
    let lines =
        tracing_subscriber::fmt().with_env_filter(level).with_writer(stderr).with_target(false);
    // A second start, as in a demo, keeps the first.
    let _ = match log.format {
        LogFormat::Text => lines.with_ansi(stderr().is_terminal()).fmt_fields(OneLine).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

/// What an event says as text: the message, then `NAME=VALUE` for each field. Texts, and whatever else is more than a
/// word, are in quotes, and nothing in them ends the line: what a packager or a store answered may hold anything.
struct OneLine;

impl<'w> FormatFields<'w> for OneLine {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, begun: false, written: Ok(()) };
        fields.record(&mut line);
        line.written
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    begun: bool,
    written: fmt::Result,
}

impl Line<'_> {
    fn write(&mut self, field: &Field, text: &str, quoted: bool) -> fmt::Result {
        if std::mem::replace(&mut self.begun, true) {
            self.writer.write_char(' ')?;
        }
        if field.name() == "message" {
            return text.chars().try_for_each(|c| {
                if c.is_control() {
                    write!(self.writer, "{}", c.escape_debug())
                } else {
                    self.writer.write_char(c)
                }
            });
        }
        let name = field.name();
        write!(self.writer, "{}=", name.strip_prefix("r#").unwrap_or(name))?;
        let parts = |c: char| c.is_whitespace() || c.is_control();
        if quoted || text.is_empty() || text.starts_with('"') || text.contains(parts) {
            write!(self.writer, "{text:?}")
        } else {
            self.writer.write_str(text)
        }
    }
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.written = self.written.and_then(|()| self.write(field, value, true));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.written = self.written.and_then(|()| self.write(field, &text, false));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_and_values_are_quoted_alike() {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone())
            .fmt_fields(OneLine)
            .finish();
        let answer = "Parse error at 1\nUnexpected `84`\n";
        tracing::subscriber::with_default(lines, || {
            tracing::warn!(error = %answer, "the store is away");
            tracing::warn!(error = answer, zone = "az1", lanes = 3, at = %"10.0.0.1:80", "a\r\nb");
            tracing::info!(r#type = %"", words = %"two words", said = %"\"a\"", "\u{1b}[31mred é");
        });
        let text = String::from_utf8(written.0.lock().clone()).unwrap();
        let expected = r#" WARN the store is away error="Parse error at 1\nUnexpected `84`\n"
 WARN a\r\nb error="Parse error at 1\nUnexpected `84`\n" zone="az1" lanes=3 at=10.0.0.1:80
 INFO \u{1b}[31mred é type="" words="two words" said="\"a\""
"#;
        assert_eq!(text, expected);
    }
}
