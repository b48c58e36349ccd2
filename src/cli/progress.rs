//! How far an export is: bars on a terminal, a line every few seconds elsewhere. All of it on standard error.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::numbers::{bytes, duration, per_second, short};
use crate::bulk::{Progress, TypeProgress};

/// Between two looks when bars are drawn.
const DRAW: Duration = Duration::from_millis(150);

/// Between two looks when lines are printed.
const PRINT: Duration = Duration::from_secs(5);

/// Shows the progress of an export until it is dropped.
#[derive(Debug)]
pub struct Display {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Display {
    /// Starts to call `look` now and then, on a thread of its own, and to show what it returns. Bars are drawn
    /// through `bars`, so that log lines can stand above them.
    pub fn start(bars: &MultiProgress, look: impl Fn() -> Progress + Send + 'static) -> std::io::Result<Self> {
        let (stop, stopped) = channel();
        let drawn = std::io::stderr().is_terminal();
        let bars = bars.clone();
        let thread = thread::Builder::new().name("smelt-progress".to_owned()).spawn(move || {
            let mut meters = Meters::new(Instant::now());
            let mut screen = drawn.then(|| Screen::new(bars));
            let pause = if drawn { DRAW } else { PRINT };
            while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                let lines = meters.look(&look(), Instant::now());
                match &mut screen {
                    Some(screen) => screen.draw(&lines),
                    None => print(&lines),
                }
            }
            if let Some(screen) = screen {
                screen.clear();
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A display that died has nothing more to show.
            let _ = thread.join();
        }
    }
}

/// What is shown of one type.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    name: String,
    rows: u64,
    /// Never less than `rows`.
    of: Option<u64>,
    text: String,
}

/// When each type began, for its rate.
#[derive(Debug)]
struct Meters {
    /// The last look at which a type had no rows yet.
    began: HashMap<String, Instant>,
    /// When the export began.
    start: Instant,
    last: Instant,
}

impl Meters {
    fn new(start: Instant) -> Self {
        Self { began: HashMap::new(), start, last: start }
    }

    /// The types under way, and a line about the whole at the end.
    fn look(&mut self, progress: &Progress, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        let (mut done, mut rows, mut written) = (0_usize, 0, 0);
        for one in &progress.types {
            rows += one.rows;
            written += one.bytes;
            done += usize::from(one.done);
            if one.done || one.rows == 0 {
                continue;
            }
            let began = *self.began.entry(one.name.clone()).or_insert(self.last);
            lines.push(line(one, now.saturating_duration_since(began)));
        }
        self.last = now;
        let elapsed = duration(now.saturating_duration_since(self.start));
        let text =
            format!("{done} of {} types, {} rows, {} in {elapsed}", progress.types.len(), short(rows), bytes(written));
        lines.push(Line { name: "total".to_owned(), rows: done as u64, of: Some(progress.types.len() as u64), text });
        lines
    }
}

/// `elapsed` is at most one look longer than the type takes.
fn line(one: &TypeProgress, elapsed: Duration) -> Line {
    let rate = per_second(one.rows, elapsed);
    // Statistics may be old; an estimate that is already passed says nothing.
    let of = one.estimate_rows.filter(|estimate| *estimate > one.rows);
    let rows = match of {
        Some(of) => format!("{} of about {} rows", short(one.rows), short(of)),
        None => format!("{} rows", short(one.rows)),
    };
    let mut parts = vec![rows, bytes(one.bytes)];
    if rate > 0 {
        parts.push(format!("{} rows/s", short(rate)));
        let left = of.map(|of| Duration::from_secs((of - one.rows).div_ceil(rate)));
        parts.extend(left.map(|left| format!("{} left", duration(left))));
    }
    let text = parts.join(", ");
    Line { name: one.name.clone(), rows: one.rows, of, text }
}

fn print(lines: &[Line]) {
    let mut error = std::io::stderr().lock();
    for line in lines {
        // Nobody can be told that standard error is closed.
        let _ = writeln!(error, "{}: {}", line.name, line.text);
    }
}

/// The bars of a terminal.
struct Screen {
    bars: MultiProgress,
    shown: Vec<(String, ProgressBar)>,
    known: ProgressStyle,
    unknown: ProgressStyle,
}

impl Screen {
    fn new(bars: MultiProgress) -> Self {
        let style = |template| ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self {
            bars,
            shown: Vec::new(),
            known: style("{prefix:<26} {bar:20} {msg}").progress_chars("=> "),
            unknown: style("{prefix:<26} {spinner:<20} {msg}"),
        }
    }

    fn draw(&mut self, lines: &[Line]) {
        self.shown.retain(|(name, bar)| {
            let stays = lines.iter().any(|line| line.name == *name);
            if !stays {
                bar.finish_and_clear();
                self.bars.remove(bar);
            }
            stays
        });
        for (place, line) in lines.iter().enumerate() {
            let found = self.shown.iter().position(|(name, _)| *name == line.name);
            let bar = if let Some((_, bar)) = found.and_then(|found| self.shown.get(found)) {
                bar.clone()
            } else {
                let bar = self.bars.insert(place, ProgressBar::no_length());
                bar.set_prefix(line.name.clone());
                self.shown.push((line.name.clone(), bar.clone()));
                bar
            };
            bar.set_style(if line.of.is_some() { self.known.clone() } else { self.unknown.clone() });
            if let Some(of) = line.of {
                bar.set_length(of);
            }
            bar.set_position(line.rows);
            bar.set_message(line.text.clone());
            bar.tick();
        }
    }

    fn clear(self) {
        for (_, bar) in self.shown {
            bar.finish_and_clear();
        }
        // Bars that cannot be cleared stay on the screen, which harms nothing.
        let _ = self.bars.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn one(name: &str, rows: u64, estimate_rows: Option<u64>, done: bool) -> TypeProgress {
        TypeProgress { name: name.to_owned(), rows, bytes: rows * 850, estimate_rows, done }
    }

    #[test]
    fn rate_and_rest_come_from_the_time_since_the_first_rows() {
        let start = Instant::now();
        let mut meters = Meters::new(start);
        let types = vec![one("Patient", 0, None, false), one("Observation", 10, Some(5_000_000), false)];
        let lines = meters.look(&Progress { types }, start);
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["10 of about 5.0 M rows, 8.5 kB", "0 of 2 types, 10 rows, 8.5 kB in 0.0 s"]);

        let types = vec![one("Patient", 1000, Some(900), true), one("Observation", 1_000_000, Some(5_000_000), false)];
        let lines = meters.look(&Progress { types }, start + Duration::from_secs(2));
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "1.0 M of about 5.0 M rows, 850.0 MB, 500.0 k rows/s, 8.0 s left",
                "1 of 2 types, 1.0 M rows, 850.9 MB in 2.0 s"
            ]
        );
        assert_eq!((lines[1].rows, lines[1].of), (1, Some(2)));
    }

    #[test]
    fn an_estimate_that_is_passed_is_not_shown() {
        let line = line(&one("Observation", 1000, Some(900), false), Duration::from_secs(1));
        assert_eq!((line.of, line.text.as_str()), (None, "1.0 k rows, 850.0 kB, 1.0 k rows/s"));
    }

    #[test]
    fn bars_come_and_go_with_their_types() {
        let bars = MultiProgress::with_draw_target(indicatif::ProgressDrawTarget::hidden());
        let mut screen = Screen::new(bars);
        let mut meters = Meters::new(Instant::now());
        let mut shown = |types: Vec<TypeProgress>| {
            screen.draw(&meters.look(&Progress { types }, Instant::now()));
            screen.shown.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(shown(vec![one("Patient", 5, None, false)]), ["Patient", "total"]);
        assert_eq!(
            shown(vec![one("Patient", 9, None, true), one("Encounter", 1, Some(2), false)]),
            ["total", "Encounter"]
        );
    }

    #[test]
    fn dropping_it_ends_its_thread_at_once() {
        let looks = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&looks);
        let began = Instant::now();
        let display = Display::start(&MultiProgress::new(), move || {
            seen.fetch_add(1, Ordering::Relaxed);
            Progress::default()
        });
        drop(display.unwrap());
        assert!(began.elapsed() < PRINT);
        assert_eq!(Arc::strong_count(&looks), 1, "the thread is gone, and what it looked at with it");
    }
}
