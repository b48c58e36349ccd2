use clap::FromArgMatches;

use super::*;

fn parse<T: Args + FromArgMatches>(line: &str) -> Result<T, String> {
    let command = describe(T::augment_args(clap::Command::new("x").no_binary_name(true)));
    let matches = command.try_get_matches_from(line.split_whitespace()).map_err(|error| error.to_string())?;
    T::from_arg_matches(&matches).map_err(|error| error.to_string())
}

#[test]
fn export() {
    let args: ExportArgs = parse(
        "--database postgresql:///ehr --mappings m --out o --type Patient --type Observation,Encounter \
         --since 2025-01-01 --until 2025-02-01 --patient a --patient b --workers 3 --file-size 1GiB --zstd --dry-run",
    )
    .unwrap();
    assert!(args.dry_run);
    let flags = args.flags();
    let flag = |name: &str| flags.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str());
    assert_eq!(flag("database"), Some("postgresql:///ehr"));
    assert_eq!((flag("mappings"), flag("out")), (Some("m"), Some("o")));
    assert_eq!((flag("workers"), flag("file-size"), flag("compression")), (Some("3"), Some("1GiB"), Some("zstd")));
    let parameters = args.parameters();
    assert_eq!(parameters.types, ["Patient", "Observation,Encounter"]);
    assert_eq!((parameters.since.as_deref(), parameters.until.as_deref()), (Some("2025-01-01"), Some("2025-02-01")));
    assert_eq!(parameters.patients, ["a", "b"]);
    assert_eq!(parse::<ExportArgs>("").unwrap().flags(), []);
    assert!(parse::<ExportArgs>("--gzip --zstd").unwrap_err().contains("cannot be used with"));
    assert!(parse::<ExportArgs>("--since 2024 --since 2025").unwrap_err().contains("multiple times"));
    assert!(parse::<ExportArgs>("--typ Patient").unwrap_err().contains("--type"));
}

#[test]
fn a_command_is_described_by_its_arguments() {
    let mut command = ExportArgs::augment_args(clap::Command::new("export"));
    let help = command.render_long_help().to_string();
    assert!(help.starts_with("Export the resources of a pack as NDJSON files with a manifest.\n\nAll types"), "{help}");
}

#[test]
fn serve() {
    let args: ServeArgs = parse("--database postgresql:///ehr --listen 127.0.0.1:0 --auth none --zstd").unwrap();
    let flags = args.flags();
    let flag = |name: &str| flags.iter().find(|(found, _)| *found == name).map(|(_, value)| value.as_str());
    assert_eq!((flag("database"), flag("listen")), (Some("postgresql:///ehr"), Some("127.0.0.1:0")));
    assert_eq!((flag("auth"), flag("compression"), flag("clients")), (Some("none"), Some("zstd"), None));
    assert!(parse::<ServeArgs>("--out x").is_err());
}

#[test]
fn the_others() {
    assert_eq!(parse::<ValidateArgs>("--format sarif").unwrap().format, Format::Sarif);
    assert!(parse::<ValidateArgs>("--format xml").is_err());
    let preview: PreviewArgs = parse("patient --patient p1 -n 2 --why").unwrap();
    assert_eq!((preview.mapping.as_str(), preview.number, preview.why), ("patient", 2, true));
    assert!(parse::<TestArgs>("--update").unwrap().update);
    let demo: DemoArgs = parse("--database postgresql:///postgres --keep --out x").unwrap();
    assert_eq!((demo.database.as_deref(), demo.keep), (Some("postgresql:///postgres"), true));
    assert_eq!(parse::<ShowArgs>("us-core-race").unwrap().name, "us-core-race");
    assert_eq!(parse::<GrantsArgs>("").unwrap().role, "smelt_reader");
}

#[test]
fn every_setting_flag_is_described_by_its_setting() {
    let help = |command: clap::Command| {
        let help = describe(CommonArgs::augment_args(command)).render_long_help().to_string();
        help.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let help = help(ExportArgs::augment_args(clap::Command::new("x")))
        + &help(ServeArgs::augment_args(clap::Command::new("x")));
    for setting in all().filter(|setting| setting.name != "compression") {
        assert!(help.contains(&format!("{} <", setting.flag)), "{}", setting.flag);
        assert!(help.contains(&format!("[env: {}]", setting.env)), "{}\n{help}", setting.env);
    }
}
