//! What is exported: flags that `smelt export` and `smelt explain` share.

use clap::{Args, ValueEnum};

use super::{DatabaseArgs, Flags, PackArgs, given};
use crate::bulk::Parameters;

/// What is exported.
#[derive(Debug, Default, Args)]
pub struct RequestArgs {
    /// Export only what changed after this instant, for instance the transactionTime of the last manifest
    #[arg(long, value_name = "INSTANT")]
    pub since: Option<String>,
    /// Export only what changed before this instant
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<String>,
    /// Export only the compartments of the members of this Group, by FHIR id
    #[arg(long, value_name = "ID")]
    pub group: Option<String>,
    /// Export only the compartment of this patient, by FHIR id; may be repeated, or be a comma list
    #[arg(long = "patient", value_name = "ID")]
    pub patients: Vec<String>,
    /// Of one type, export only what a FHIR search finds, as in 'Observation?category=laboratory&date=ge2024'; several
    /// searches of a type are alternatives
    #[arg(long = "type-filter", value_name = "SEARCH")]
    pub type_filters: Vec<String>,
    /// Write only this root element of resources, as `Type.element` or `element`, beside id, meta and what is mandatory;
    /// may be repeated, or be a comma list
    #[arg(long = "elements", value_name = "ELEMENT")]
    pub elements: Vec<String>,
}

impl RequestArgs {
    /// The kick-off parameters, of these types.
    pub fn parameters(&self, types: Vec<String>) -> Parameters {
        Parameters {
            types,
            since: self.since.clone(),
            until: self.until.clone(),
            patients: self.patients.clone(),
            elements: self.elements.clone(),
            ..Parameters::default()
        }
    }
}

/// Whose data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LevelArg {
    /// Everybody's, and what belongs to nobody.
    #[default]
    System,
    /// Those of patients.
    Patient,
}

/// Print the page of a diagnostic code, or what an export of a mapping would run and what serves it.
///
/// A capital letter and three digits are a code. Of a mapping it prints the statements with PostgreSQL's plans, the
/// index that serves each restriction, what is asked of resources instead of rows, and the compiled program. Nothing is
/// read but statistics, and no value of a row or of a parameter is printed.
#[derive(Debug, Default, Args)]
pub struct ExplainArgs {
    /// A code, for instance M202, or the name of a mapping
    #[arg(value_name = "CODE|MAPPING")]
    pub what: String,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Which pack.
    #[command(flatten)]
    pub pack: PackArgs,
    /// Whose data are exported
    #[arg(long, value_enum, default_value_t, conflicts_with = "group")]
    pub level: LevelArg,
    /// What is exported.
    #[command(flatten)]
    pub request: RequestArgs,
    /// Parallel sessions
    #[arg(long, value_name = "N")]
    pub workers: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl ExplainArgs {
    /// The settings among them.
    pub fn flags(&self) -> Flags {
        let mut flags = self.database.flags();
        flags.extend(self.pack.flags());
        flags.extend(given([("workers", &self.workers)]));
        flags
    }
}
