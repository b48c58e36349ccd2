//! What a file of a pack is, by its path (§2.2).

use super::Layer;

/// What a file is. Names are file stems, of SQL files the path below `sql/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role<'a> {
    Project,
    Mapping(&'a str),
    Csv(&'a str),
    ConceptMap(&'a str),
    Fragment(&'a str),
    Sql(&'a str),
    /// `*.test.yaml`
    Test,
    /// `columns.lock`
    Lock,
    /// Nothing of ours: a README, a hidden file.
    Other,
    /// Looks like a part of the pack and is not; with what to do.
    Stray(&'static str),
}

/// The directory of `project.yaml`, with its `/`; where there is none, of the first mapping.
pub(super) fn root(layer: &Layer) -> &str {
    let paths = || layer.files.iter().map(|(path, _)| path.as_str());
    let directory = |path: &&str| path.rfind('/').map_or(0, |slash| slash + 1);
    let project =
        paths().filter(|path| path.get(directory(path)..) == Some("project.yaml")).min_by_key(|path| path.len());
    let path = project.or_else(|| paths().filter(|path| extension(path) == "yaml").min_by_key(directory));
    path.and_then(|path| path.get(..directory(&path))).unwrap_or("")
}

/// What the file at `path` is in the pack called `pack`, whose `project.yaml` is in `root`.
pub(super) fn role<'a>(path: &'a str, root: &str, pack: &str) -> Role<'a> {
    let file = path.rsplit('/').next().unwrap_or(path);
    if file.starts_with('.') || extension(file) == "md" || file.ends_with('~') {
        return Role::Other;
    }
    let Some(below) = path.strip_prefix(root).filter(|below| !below.starts_with("sql/")) else {
        return sql(path, pack);
    };
    match below.split_once('/') {
        None => match below {
            "project.yaml" => Role::Project,
            "columns.lock" => Role::Lock,
            _ if below.ends_with(".test.yaml") => Role::Test,
            _ => match below.rsplit_once('.') {
                Some((stem, "yaml")) => Role::Mapping(stem),
                Some((_, "yml")) => Role::Stray("mapping files end in `.yaml`"),
                Some((_, "csv")) => Role::Stray("code maps are read from `codes/`"),
                Some((_, "sql")) => Role::Stray("SQL files are read from `sql/`"),
                _ => Role::Stray("mapping files end in `.yaml`; other files belong elsewhere"),
            },
        },
        Some(("codes", file)) => match file.rsplit_once('.') {
            Some((stem, "csv")) if !stem.contains('/') => Role::Csv(stem),
            Some((stem, "json")) if !stem.contains('/') => Role::ConceptMap(stem),
            _ => Role::Stray("code maps are `codes/NAME.csv`, or ConceptMaps `codes/NAME.json`"),
        },
        Some(("fragments", file)) => match file.rsplit_once('.') {
            Some((stem, "yaml")) if !stem.contains('/') => Role::Fragment(stem),
            _ => Role::Stray("fragments are `fragments/NAME.yaml`"),
        },
        Some(_) => Role::Stray("only `codes/` and `fragments/` may stand beside mappings"),
    }
}

/// A file outside the pack's directory: SQL, in `sql/` or, where a repository has several packs, `sql/PACK/`.
fn sql<'a>(path: &'a str, pack: &str) -> Role<'a> {
    let below = path.strip_prefix("sql/").or_else(|| path.split_once("/sql/").map(|(_, below)| below));
    let Some(below) = below else { return Role::Stray("it belongs to no part of a pack") };
    let own = below.strip_prefix(pack).and_then(|rest| rest.strip_prefix('/')).unwrap_or(below);
    if extension(own) == "sql" { Role::Sql(own) } else { Role::Stray("SQL files end in `.sql`") }
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// What `via`, `$use` and references can name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles() {
        let check =
            |path: &str, expected: Role<'_>| assert_eq!(role(path, "mappings/synthea/", "synthea"), expected, "{path}");
        check("mappings/synthea/project.yaml", Role::Project);
        check("mappings/synthea/patient.yaml", Role::Mapping("patient"));
        check("mappings/synthea/patient.test.yaml", Role::Test);
        check("mappings/synthea/columns.lock", Role::Lock);
        check("mappings/synthea/README.md", Role::Other);
        check("mappings/synthea/codes/gender.csv", Role::Csv("gender"));
        check("mappings/synthea/codes/gender.json", Role::ConceptMap("gender"));
        check("mappings/synthea/fragments/mmhg.yaml", Role::Fragment("mmhg"));
        check("sql/synthea/patients.sql", Role::Sql("patients.sql"));
        check("sql/patients.sql", Role::Sql("patients.sql"));
        check("/srv/pack/sql/synthea/views/a.sql", Role::Sql("views/a.sql"));
        for stray in [
            "mappings/synthea/patient.yml",
            "mappings/synthea/gender.csv",
            "mappings/synthea/x/y.yaml",
            "sql/a.txt",
            "x.sql",
        ] {
            assert!(matches!(role(stray, "mappings/synthea/", "synthea"), Role::Stray(_)), "{stray}");
        }
        assert_eq!(role("sql/a.sql", "", "p"), Role::Sql("a.sql"));
    }

    #[test]
    fn roots() {
        let check = |paths: &[&str], expected: &str| {
            let files = paths.iter().map(|&path| (path.to_owned(), String::new())).collect();
            assert_eq!(root(&Layer { name: String::new(), files }), expected, "{paths:?}");
        };
        check(&["mappings/a/b/project.yaml", "mappings/a/project.yaml"], "mappings/a/");
        check(&["mappings/codes/x.csv", "mappings/patient.yaml"], "mappings/");
        check(&["project.yaml"], "");
        check(&[], "");
    }
}
