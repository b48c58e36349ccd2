//! The binary as a shell sees it: exit codes, which stream says what, settings.

mod demo;
mod explain;
mod preview;

use std::io::Read;
use std::process::{Command, Output, Stdio};

/// `smelt` in an empty directory, without settings of this machine.
fn smelt(home: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smelt"));
    command.current_dir(home.path()).env_clear();
    command
}

#[expect(clippy::unwrap_used, reason = "a helper of tests")]
fn run(line: &str, file: Option<&str>, env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let home = tempfile::tempdir().unwrap();
    if let Some(text) = file {
        std::fs::write(home.path().join("smelt.yaml"), text).unwrap();
    }
    let Output { status, stdout, stderr } =
        smelt(&home).args(line.split_whitespace()).envs(env.iter().copied()).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn help_and_version_are_no_errors() {
    let (code, out, err) = run("--help", None, &[]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("Exit codes:"));
    let (code, out, _) = run("--version", None, &[]);
    assert_eq!((code, out), (Some(0), format!("smelt {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_is_told_on_standard_error() {
    for line in ["", "unknown", "explain", "explain --unknown-flag M202", "completions klingon"] {
        let (code, out, err) = run(line, None, &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{line}");
        assert!(!err.is_empty(), "{line}");
    }
}

#[test]
fn settings_are_checked_wherever_they_come_from() {
    let line = "explain Z999";
    let check = |file: Option<&str>, env: &[(&str, &str)], line: &str, want: &str| {
        let (code, _, err) = run(line, file, env);
        assert_eq!(code, Some(2));
        assert!(err.contains(want), "{err}");
    };
    check(Some("worker: 3\n"), &[], line, "smelt.yaml:1: `worker` is no setting\n  help: Did you mean `workers`?\n");
    check(Some("log-level: loud\n"), &[], line, "smelt.yaml:1: the value of `log-level` is not one of error, warn");
    check(None, &[("SMELT_WORKERS", "many")], line, "SMELT_WORKERS: the value of `workers`");
    check(None, &[], "explain Z999 --log-format xml", "--log-format: the value of `log-format`");
    check(None, &[("SMELT_CONFIG", "nowhere.yaml")], line, "failed to read settings file nowhere.yaml\n  caused by:");
    // A variable that a flag overrides is not looked at.
    check(None, &[("SMELT_LOG_LEVEL", "loud")], "explain Z999 --log-level error", "no diagnostic has the code `Z999`");
    // Clusters set variables of their own: an unknown one is told, not refused.
    check(None, &[("SMELT_PORT", "80")], "explain Z999 --log-format json", "\"variable\":\"SMELT_PORT\"");
}

#[test]
fn completions_name_the_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, _) = run(&format!("completions {shell}"), None, &[]);
        assert_eq!(code, Some(0), "{shell}");
        assert!(out.contains("log-level"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let mut child =
        smelt(&home).args(["completions", "bash"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}
