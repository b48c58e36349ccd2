//! Logging to standard error, above the progress bars.

use std::io::{self, IsTerminal, Write};

use indicatif::MultiProgress;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts logging: this crate at `level`, others at `warn` at most, the driver not at all: what it would say holds statements
/// and parameters. A second call changes nothing.
pub fn start(level: Level, json: bool, bars: &MultiProgress) {
    let filter = EnvFilter::new(format!("{},tokio_postgres=off,actix_http=off,smelt={level}", level.min(Level::WARN)));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AboveBars(bars.clone()))
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    // An error says that a subscriber is already there, as in a test.
    let _ = if json { log.json().try_init() } else { log.try_init() };
}

/// Standard error, with the bars taken away while a line is written.
#[derive(Clone)]
struct AboveBars(MultiProgress);

impl Write for AboveBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
