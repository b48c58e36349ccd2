//! The `smelt` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    smelt::cli::run()
}
