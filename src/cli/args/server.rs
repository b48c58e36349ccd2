//! The flags of `smelt serve` that are settings of the server: one for each row of the table.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::Flags;
use crate::config::table::{Kind, SERVER_SETTINGS, Setting};

/// Settings of the server given as flags.
#[derive(Debug, Default)]
pub struct ServerFlags(pub Flags);

impl Args for ServerFlags {
    fn augment_args(command: Command) -> Command {
        command.args(SERVER_SETTINGS.iter().map(|setting| {
            let value = match setting.kind {
                Kind::Path => "PATH",
                Kind::Count => "N",
                Kind::Size => "SIZE",
                Kind::Words(_) | Kind::Switch => "WORD",
                Kind::Address => "ADDRESS",
                Kind::Url | Kind::Database => "URL",
                Kind::Time(..) => "TIME",
                Kind::Text => "TEXT",
                Kind::List | Kind::Networks => "LIST",
            };
            Arg::new(setting.name).long(setting.name).value_name(value).help_heading("Server")
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServerFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |setting: &'static Setting| {
            matches.get_one::<String>(setting.name).map(|value| (setting.name, value.clone()))
        };
        Ok(Self(SERVER_SETTINGS.iter().filter_map(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
