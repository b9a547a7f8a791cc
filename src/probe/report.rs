//! What a probe prints: a panel that is drawn again and again on a terminal, else a line for each
//! change, or one JSON object per line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::Output;
use crate::model::probe::{Class, Findings, Part, Tone, panel};
use crate::outside::time_of_day;

/// Columns of the narrowest terminal that people have.
const WIDTH: usize = 80;
const LABEL: usize = 11;
const SIDE: usize = (WIDTH - LABEL) / 2 - 1;

/// Where findings go. Output that cannot be written is dropped: the exit code still tells.
pub struct Report {
    output: Output,
    json: bool,
    /// The newest, of which only changes are told.
    told: Findings,
    said: BTreeMap<String, String>,
    /// Lines on the screen.
    drawn: usize,
}

impl Report {
    pub fn new(output: Output, json: bool) -> Self {
        let (told, said) = (Findings::default(), BTreeMap::new());
        Self { output, json, told, said, drawn: 0 }
    }

    /// It cannot begin.
    pub fn sorry(&mut self, text: &str) {
        if self.json {
            let line = json!({ "event": "summary", "verdict": Class::Looking, "why": text });
            self.line(&line.to_string());
        } else {
            self.line(text);
        }
    }

    /// This is how it stands.
    pub fn update(&mut self, at: Duration, findings: &Findings) {
        let mut timeless = findings.clone();
        (timeless.a.error_ms, timeless.b.error_ms) = (None, None);
        if timeless.verdict == Class::Impossible {
            timeless.why.retain(|c| !c.is_ascii_digit()); // for how long
        }
        let changed = timeless != self.told;
        self.told = timeless;
        if self.json {
            if changed {
                self.object("update", at, findings);
            }
        } else if self.output.screen {
            self.draw(at, findings);
        } else if changed {
            self.changes(findings);
        }
    }

    /// This is how it stood at the end.
    pub fn finish(&mut self, at: Duration, findings: &Findings) {
        if self.json {
            self.object("summary", at, findings);
        } else if self.output.screen {
            self.draw(at, findings);
        } else {
            self.line("");
            for line in lines(findings, false) {
                self.line(&line);
            }
        }
    }

    fn object(&mut self, event: &str, at: Duration, findings: &Findings) {
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        let mut object = json!({ "event": event, "at_ms": at, "time": time_of_day() });
        if let (Value::Object(object), Ok(Value::Object(fields))) =
            (&mut object, serde_json::to_value(findings))
        {
            object.extend(fields);
        }
        self.line(&object.to_string());
    }

    /// Over what was drawn before.
    fn draw(&mut self, at: Duration, findings: &Findings) {
        let mut text = String::new();
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A\r", self.drawn);
        }
        let seconds = at.as_secs();
        let title = format!("segue probe, {}:{:02}. Ctrl-C ends it.", seconds / 60, seconds % 60);
        let lines: Vec<_> =
            [title, String::new()].into_iter().chain(lines(findings, self.output.colors)).collect();
        for line in &lines {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "\x1b[2K{line}");
        }
        text.push_str("\x1b[0J");
        self.drawn = lines.len();
        let to = &mut self.output.to;
        let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    }

    /// What is not as it was, a line each.
    fn changes(&mut self, findings: &Findings) {
        let parts = panel(findings).into_iter().flat_map(|part| match part {
            Part::Sides(label, a, b) => vec![(format!("a {label}"), a), (format!("b {label}"), b)],
            Part::Fact(label, text) => vec![(label.to_owned(), text)],
            Part::Verdict(_, text) => vec![("verdict".to_owned(), text)],
            Part::Advice(_) => Vec::new(),
        });
        for (label, text) in parts {
            let gist = gist(&label, &text);
            if text != "-" && self.said.get(&label) != Some(&gist) {
                self.line(&format!("{} {label:<12} {text}", time_of_day()));
                self.said.insert(label, gist);
            }
        }
    }

    fn line(&mut self, text: &str) {
        let to = &mut self.output.to;
        let _ = writeln!(to, "{text}").and_then(|()| to.flush());
    }
}

/// What of a text is worth a new line: counters are not, nor what wanders.
fn gist(label: &str, text: &str) -> String {
    let until = |end: char| text.split(end).next().unwrap_or_default().to_owned();
    let without_digits = text.replace(|c: char| c.is_ascii_digit(), "");
    match label {
        "a segments" | "b segments" => text.rsplit(", ").next().unwrap_or_default().to_owned(),
        "a state" | "b state" => without_digits,
        "verdict" if text.starts_with("NO ") => without_digits,
        "media time" | "listing" | "verdict" => until('('),
        _ => text.to_owned(),
    }
}

/// All of it, below each other, no line wider than [`WIDTH`].
fn lines(findings: &Findings, colors: bool) -> Vec<String> {
    let mut lines = vec![format!("{:LABEL$}{:SIDE$}  {}", "", "a", "b")];
    let (mut facts, mut advised) = (false, false);
    for part in panel(findings) {
        match part {
            Part::Sides(label, a, b) => sides(&mut lines, label, &a, &b),
            Part::Fact(label, text) => {
                if !std::mem::replace(&mut facts, true) {
                    lines.push(String::new());
                }
                beside(&mut lines, label, &text);
            }
            Part::Verdict(tone, text) => {
                lines.push(String::new());
                let verdict = wrapped(&text, WIDTH);
                lines.extend(verdict.into_iter().map(|line| painted(&line, tone, colors)));
            }
            Part::Advice(text) => {
                if !std::mem::replace(&mut advised, true) {
                    lines.push("What helps:".to_owned());
                }
                beside(&mut lines, "  -", &text);
            }
        }
    }
    lines
}

fn sides(lines: &mut Vec<String>, label: &str, a: &str, b: &str) {
    let (a, b) = (wrapped(a, SIDE), wrapped(b, SIDE));
    let cell = |side: &[String], row: usize| side.get(row).cloned().unwrap_or_default();
    for row in 0..a.len().max(b.len()) {
        let label = if row == 0 { label } else { "" };
        let line = format!("{label:LABEL$}{:SIDE$}  {}", cell(&a, row), cell(&b, row));
        lines.push(line.trim_end().to_owned());
    }
}

fn beside(lines: &mut Vec<String>, label: &str, text: &str) {
    let indent = if label.starts_with(' ') { 4 } else { LABEL };
    for (row, text) in wrapped(text, WIDTH - indent).into_iter().enumerate() {
        let label = if row == 0 { label } else { "" };
        lines.push(format!("{label:indent$}{text}"));
    }
}

fn painted(line: &str, tone: Tone, colors: bool) -> String {
    let color = match tone {
        _ if !colors => return line.to_owned(),
        Tone::Neutral => return line.to_owned(),
        Tone::Good => 32,
        Tone::Fair => 33,
        Tone::Poor => 31,
    };
    format!("\x1b[1;{color}m{line}\x1b[0m")
}

/// Broken at spaces, and anywhere in words that are longer than a line.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let letters: Vec<char> = word.chars().collect();
        for (piece_number, piece) in letters.chunks(width.max(1)).enumerate() {
            let Some(last) = lines.last_mut() else { continue };
            let length = last.chars().count();
            let joint = usize::from(length > 0);
            if piece_number == 0 && length + joint + piece.len() <= width {
                last.extend([' '].iter().take(joint));
                last.extend(piece);
            } else if length == 0 {
                last.extend(piece);
            } else {
                lines.push(piece.iter().collect());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn words_go_on_in_the_next_line() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a longerthanthat b", 6), ["a", "longer", "thanth", "at b"]);
        assert_eq!(wrapped("", 6), [""]);
    }
}
