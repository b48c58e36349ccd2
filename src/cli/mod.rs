//! The command line: arguments, settings, exit codes, what a person sees.

pub mod args;
mod check_config;
mod demo;
mod engine;
pub mod exit;
pub mod explain;
mod export;
pub mod failure;
mod grants;
pub mod log;
mod numbers;
mod plan;
mod preview;
pub mod progress;
mod ready;
pub mod reference;
mod serve;
mod setup;
mod show;
pub mod table;
mod test;
mod validate;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use indicatif::MultiProgress;

use args::{Cli, Command, ConfigAction, Flags};
use exit::Exit;
use failure::Failure;

use crate::config::Settings;

/// Runs `smelt` with the arguments of this process.
pub fn run() -> ExitCode {
    let cli = match command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; both kinds know where they are printed.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    let bars = MultiProgress::new();
    match execute(&cli, &bars) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // Nobody can be told that standard error is closed.
            let _ = bars.suspend(|| write!(io::stderr(), "{failure}"));
            failure.exit.into()
        }
    }
}

fn execute(cli: &Cli, bars: &MultiProgress) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Export(args) => export::run(args, &start(cli, args.flags(), bars)?, bars),
        Command::Validate(args) => {
            let mut flags = args.pack.flags();
            flags.extend(args.database.flags());
            validate::run(args, &start(cli, flags, bars)?)
        }
        Command::Preview(args) => {
            let mut flags = args.pack.flags();
            flags.extend(args.database.flags());
            preview::run(args, &start(cli, flags, bars)?)
        }
        Command::Test(args) => test::run(args, &start(cli, args.pack.flags(), bars)?),
        Command::Serve(args) => serve::run(&start(cli, args.flags(), bars)?),
        Command::Ready(args) => ready::run(&start(cli, args.server.0.clone(), bars)?),
        Command::Config(args) => match &args.action {
            ConfigAction::Check(args) => check_config::run(&start(cli, args.serve.flags(), bars)?),
        },
        Command::Demo(args) => demo::run(args, &start(cli, Flags::new(), bars)?, bars),
        Command::Grants(args) => {
            let mut flags = args.pack.flags();
            flags.extend(args.database.flags());
            grants::run(args, &start(cli, flags, bars)?)
        }
        Command::Show(args) => show::run(args, &start(cli, args.pack.flags(), bars)?),
        Command::Explain(args) => {
            let settings = start(cli, args.flags(), bars)?;
            if explain::is_code(&args.what) { print(&explain::run(&args.what)?) } else { plan::run(args, &settings) }
        }
        Command::Completions(args) => {
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut command(), "smelt", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

/// Reads the settings and starts logging.
fn start(cli: &Cli, mut flags: Flags, bars: &MultiProgress) -> Result<Settings, Failure> {
    flags.extend(cli.common.flags());
    let settings = Settings::load(cli.common.config.as_deref(), &flags)?;
    log::start(settings.log_level, settings.log_json, bars);
    for name in &settings.unknown_variables {
        tracing::warn!(variable = name, "variable of the environment is no setting");
    }
    Ok(settings)
}

/// Prints the result of a command. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<Exit, Failure> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(Exit::Failed, &error, None)),
        _ => Ok(Exit::Ok),
    }
}

/// The whole command line.
pub fn command() -> clap::Command {
    args::describe(Cli::command())
}

/// The page `docs/src/reference/cli.md`: what `--help` prints for each command.
pub fn reference() -> String {
    let mut page = String::from("# Command line\n\n<!-- Generated from src/cli/args.rs; a test compares it. -->\n");
    let mut command = command().term_width(100);
    command.build();
    let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    let mut add = |title: &str, one: &mut clap::Command| {
        let help = one.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## `{title}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    };
    add("smelt", &mut command);
    for name in names.iter().filter(|name| *name != "help") {
        if let Some(one) = command.find_subcommand_mut(name) {
            add(&format!("smelt {name}"), one);
            for inner in one.get_subcommands_mut().filter(|inner| inner.get_name() != "help") {
                add(&format!("smelt {name} {}", inner.get_name().to_owned()), inner);
            }
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        let help = command().render_help().to_string();
        for (exit, ..) in Exit::ALL {
            assert!(help.contains(&format!("{} ", exit as u8)), "{exit:?}");
        }
    }
}
