//! The arguments of `smelt serve` and `smelt ready`. Settings of the server have a flag each, one for each row of the
//! table.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::{DatabaseArgs, Flags, PackArgs, RunArgs};
use crate::config::table::{Kind, SERVER_SETTINGS, Setting};

/// Serve exports over HTTP: FHIR Bulk Data with SMART Backend Services.
///
/// Once it answers, one line on standard output says so: `smelt is ready at URL, listening on ADDRESS`. SIGTERM lets running exports end
/// (up to --drain-timeout) and exits with 0; SIGHUP reads certificates and clients again. Jobs survive a restart.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Which pack.
    #[command(flatten)]
    pub pack: PackArgs,
    /// How exports run.
    #[command(flatten)]
    pub run: RunArgs,
    /// The settings of the server.
    #[command(flatten)]
    pub server: ServerFlags,
}

/// Ask a running server whether it is ready; 0 if it is. For health checks of containers.
///
/// It asks at --metrics-listen where there is one, else at --listen, with the settings that the server has.
#[derive(Debug, Args)]
pub struct ReadyArgs {
    /// The settings of the server.
    #[command(flatten)]
    pub server: ServerFlags,
}

impl ServeArgs {
    /// The settings among them.
    pub fn flags(&self) -> Flags {
        let mut flags = self.database.flags();
        flags.extend(self.pack.flags());
        flags.extend(self.run.flags());
        flags.extend(self.server.0.clone());
        flags
    }
}

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
