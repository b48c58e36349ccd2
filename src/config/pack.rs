//! Reads a pack's files, and those of the packs it extends.
//!
//! A pack is a directory with a `project.yaml`. Its SQL stands beside it: `mappings/` has `sql/`, `mappings/mercy/`
//! has `sql/mercy/`. What the files mean is not known here, except for `extends:` of `project.yaml`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::flat;
use crate::mapping::pack::{Layer, PackFiles};

/// Larger files are not mapping files: a code map of this size belongs into a table.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Levels of directories below a pack.
const MAX_DEPTH: usize = 8;

/// Files with other endings are nobody's mapping.
const ENDINGS: [&str; 6] = ["yaml", "yml", "csv", "json", "lock", "sql"];

/// Why a pack's files cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The system refused.
    #[error("failed to read {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The directory is not a pack and does not hold exactly one.
    #[error("{} has no project.yaml", path.display())]
    NoProject {
        /// The directory.
        path: PathBuf,
        /// Packs below it.
        packs: Vec<String>,
    },
    /// The base pack is not where it is looked for.
    #[error("{} extends `{base}`, but {} has no project.yaml", project.display(), path.display())]
    NoBase {
        /// The `project.yaml` that says `extends:`.
        project: PathBuf,
        /// The base's name.
        base: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A pack extends itself.
    #[error("packs extend each other in a circle: {}", chain.join(" -> "))]
    Circle {
        /// The packs, the first one again at the end.
        chain: Vec<String>,
    },
    /// `extends:` is not a pack's name.
    #[error("`extends` in {} is not the name of a pack", path.display())]
    Extends {
        /// The `project.yaml`.
        path: PathBuf,
    },
    /// Not text.
    #[error("{} is not UTF-8 text (byte {offset})", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// First byte that is wrong, from 0.
        offset: usize,
    },
    /// Too large to be a mapping file.
    #[error("{} is larger than {} MiB", path.display(), MAX_FILE / (1024 * 1024))]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link leads back to a directory above it, or directories are nested without end.
    #[error("{} leads back to a directory above it, or is nested too deep", path.display())]
    Loop {
        /// The directory.
        path: PathBuf,
    },
    /// Neither file nor directory.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
}

impl PackError {
    /// What the author can do about it.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::NoProject { packs, path } if !packs.is_empty() => {
                let paths: Vec<String> = packs.iter().map(|name| path.join(name).display().to_string()).collect();
                format!("Choose one of the packs below it: {}.", paths.join(", "))
            }
            Self::NoProject { .. } => "Name a directory with a project.yaml by `--mappings`.".to_owned(),
            Self::NoBase { .. } => "A base pack stands beside the pack that extends it.".to_owned(),
            Self::Extends { .. } => "Write the name of a directory beside this pack.".to_owned(),
            Self::NotUtf8 { .. } => "Save it as UTF-8.".to_owned(),
            Self::TooLarge { .. } => "Keep large code lists in a table and join it in SQL.".to_owned(),
            Self::Io { .. } | Self::Circle { .. } | Self::Loop { .. } | Self::NotAFile { .. } => return None,
        })
    }
}

/// Reads the pack at `directory`, or the only pack below it, and the packs it extends.
pub fn read_pack(directory: &Path) -> Result<PackFiles, PackError> {
    let mut pack = find(directory)?;
    let mut files = PackFiles::default();
    loop {
        let layer = read_layer(&pack)?;
        files.layers.push(layer);
        let project = pack.join("project.yaml");
        let Some(base) = extends(&project)? else { return Ok(files) };
        if files.layers.iter().any(|layer| layer.name == base) {
            let mut chain: Vec<String> = files.layers.into_iter().map(|layer| layer.name).collect();
            chain.push(base);
            return Err(PackError::Circle { chain });
        }
        let path = pack.parent().unwrap_or(&pack).join(&base);
        if !path.join("project.yaml").is_file() {
            return Err(PackError::NoBase { project, base, path });
        }
        pack = path;
    }
}

/// The pack meant by `directory`, with a path whose parents can be named.
fn find(directory: &Path) -> Result<PathBuf, PackError> {
    let directory = fs::canonicalize(directory).map_err(|error| failed(directory, error))?;
    if directory.join("project.yaml").is_file() {
        return Ok(directory);
    }
    let mut packs: Vec<PathBuf> =
        entries(&directory)?.into_iter().filter(|path| path.join("project.yaml").is_file()).collect();
    match (packs.len(), packs.pop()) {
        (1, Some(pack)) => Ok(pack),
        (_, last) => {
            packs.extend(last);
            Err(PackError::NoProject { packs: packs.iter().map(|pack| name_of(pack)).collect(), path: directory })
        }
    }
}

fn read_layer(pack: &Path) -> Result<Layer, PackError> {
    let name = name_of(pack);
    let above = pack.parent().unwrap_or(pack);
    let mut files = Vec::new();
    // `mappings/mercy` with `sql/mercy`, or `mappings` with `sql`.
    let root = above.parent().filter(|root| name_of(above) == "mappings" || root.join("sql").join(&name).is_dir());
    let (shown, sql, sql_shown) = match root {
        Some(root) => (format!("{}/{name}", name_of(above)), root.join("sql").join(&name), format!("sql/{name}")),
        None => (name.clone(), above.join("sql"), "sql".to_owned()),
    };
    read_directory(pack, &shown, &mut vec![pack.to_owned()], &mut files)?;
    if sql.is_dir() {
        let sql = fs::canonicalize(&sql).map_err(|error| failed(&sql, error))?;
        read_directory(&sql, &sql_shown, &mut vec![sql.clone()], &mut files)?;
    }
    files.sort();
    Ok(Layer { name, files })
}

/// Adds the files below `directory`; `above` are the real paths of it and its parents.
fn read_directory(
    directory: &Path,
    shown: &str,
    above: &mut Vec<PathBuf>,
    files: &mut Vec<(String, String)>,
) -> Result<(), PackError> {
    for path in entries(directory)? {
        let name = name_of(&path);
        if name.starts_with('.') {
            continue;
        }
        let found = fs::metadata(&path).map_err(|error| failed(&path, error))?;
        let shown = format!("{shown}/{name}");
        if found.is_dir() {
            // A pack inside a pack is a pack of its own.
            if path.join("project.yaml").exists() {
                continue;
            }
            let real = fs::canonicalize(&path).map_err(|error| failed(&path, error))?;
            if above.len() > MAX_DEPTH || above.contains(&real) {
                return Err(PackError::Loop { path });
            }
            above.push(real);
            read_directory(&path, &shown, above, files)?;
            above.pop();
        } else if path.extension().is_some_and(|ending| ENDINGS.iter().any(|known| ending == *known)) {
            if !found.is_file() {
                return Err(PackError::NotAFile { path });
            }
            files.push((shown, read_text(&path)?));
        }
    }
    Ok(())
}

/// The pack named by `extends:`.
fn extends(project: &Path) -> Result<Option<String>, PackError> {
    // A file that is not YAML is reported with its place by the mapping compiler.
    let pairs = flat::read(&read_text(project)?).unwrap_or_default();
    let Some(pair) = pairs.into_iter().find(|pair| pair.key == "extends") else { return Ok(None) };
    let plain = |name: &String| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']);
    pair.value.filter(plain).map(Some).ok_or_else(|| PackError::Extends { path: project.to_owned() })
}

/// A file's text, without a byte order mark.
fn read_text(path: &Path) -> Result<String, PackError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(path, error))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(PackError::TooLarge { path: path.to_owned() });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| PackError::NotUtf8 { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// All entries, in the order of their names.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, PackError> {
    let mut found: Vec<PathBuf> = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(|error| failed(directory, error))?;
    found.sort();
    Ok(found)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn failed(path: &Path, source: io::Error) -> PackError {
    PackError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory with these files.
    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = home.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        home
    }

    fn shown(layer: &Layer) -> Vec<&str> {
        layer.files.iter().map(|(path, _)| path.as_str()).collect()
    }

    #[test]
    fn one_pack_with_its_sql() {
        let home = tree(&[
            ("mappings/project.yaml", "format: 1\n"),
            ("mappings/patient.yaml", "\u{feff}key: id\n"),
            ("mappings/codes/gender.csv", "source,code\n"),
            ("mappings/fragments/mmhg.yaml", "type: Quantity\n"),
            ("mappings/README.md", "no mapping"),
            ("mappings/.hidden.yaml", "no mapping"),
            ("mappings/mercy/project.yaml", "another pack"),
            ("sql/patients.sql", "select 1"),
        ]);
        let pack = read_pack(&home.path().join("mappings")).unwrap();
        assert_eq!(pack.layers.len(), 1);
        let layer = &pack.layers[0];
        assert_eq!(layer.name, "mappings");
        assert_eq!(
            shown(layer),
            [
                "mappings/codes/gender.csv",
                "mappings/fragments/mmhg.yaml",
                "mappings/patient.yaml",
                "mappings/project.yaml",
                "sql/patients.sql"
            ]
        );
        assert_eq!(layer.files[2].1, "key: id\n");
    }

    #[test]
    fn one_of_several_and_what_it_extends() {
        let home = tree(&[
            ("mappings/mercy/project.yaml", "format: 1\nextends: synthea # the base\n"),
            ("mappings/mercy/patient.yaml", "extends: patient\n"),
            ("mappings/synthea/project.yaml", "format: 1\n"),
            ("sql/mercy/patients.sql", "select 1"),
            ("sql/synthea/patients.sql", "select 2"),
        ]);
        let pack = read_pack(&home.path().join("mappings/mercy")).unwrap();
        let names: Vec<&str> = pack.layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(names, ["mercy", "synthea"]);
        assert_eq!(shown(&pack.layers[1]), ["mappings/synthea/project.yaml", "sql/synthea/patients.sql"]);

        let error = read_pack(&home.path().join("mappings")).unwrap_err();
        assert!(error.help().unwrap().contains("mappings/mercy, "), "{error}");
        fs::remove_dir_all(home.path().join("mappings/mercy")).unwrap();
        assert_eq!(read_pack(&home.path().join("mappings")).unwrap().layers[0].name, "synthea");
    }

    #[test]
    fn a_base_must_exist_and_not_come_back() {
        let home = tree(&[
            ("a/project.yaml", "extends: b\n"),
            ("b/project.yaml", "extends: a\n"),
            ("c/project.yaml", "extends: nowhere\n"),
            ("d/project.yaml", "extends: ../a\n"),
            ("e/patient.yaml", "key: id\n"),
        ]);
        let error = |name: &str| read_pack(&home.path().join(name)).unwrap_err();
        assert_eq!(error("a").to_string(), "packs extend each other in a circle: a -> b -> a");
        assert!(matches!(error("c"), PackError::NoBase { .. }));
        assert!(matches!(error("d"), PackError::Extends { .. }));
        assert!(matches!(error("e"), PackError::NoProject { .. }));
        assert!(matches!(error("missing"), PackError::Io { .. }));
    }

    #[test]
    fn symbolic_links_may_share_but_not_loop() {
        let home = tree(&[("shared/gender.csv", "source,code\n"), ("pack/project.yaml", "format: 1\n")]);
        symlink(home.path().join("shared"), home.path().join("pack/codes")).unwrap();
        let pack = read_pack(&home.path().join("pack")).unwrap();
        assert_eq!(shown(&pack.layers[0]), ["pack/codes/gender.csv", "pack/project.yaml"]);
        symlink(home.path().join("pack"), home.path().join("shared/again")).unwrap();
        // A pack inside is skipped, so the loop must not look like one.
        symlink(home.path().join("shared"), home.path().join("shared/self")).unwrap();
        let error = read_pack(&home.path().join("pack")).unwrap_err();
        assert!(matches!(error, PackError::Loop { .. }), "{error}");
    }

    #[test]
    fn what_is_not_text_is_named() {
        let home = tree(&[("project.yaml", "format: 1\n")]);
        fs::write(home.path().join("patient.yaml"), b"key: \xff").unwrap();
        let error = read_pack(home.path()).unwrap_err();
        assert!(error.to_string().ends_with("patient.yaml is not UTF-8 text (byte 5)"), "{error}");

        let file = File::create(home.path().join("patient.yaml")).unwrap();
        file.set_len(MAX_FILE + 1).unwrap();
        let error = read_pack(home.path()).unwrap_err();
        assert!(error.to_string().ends_with("patient.yaml is larger than 16 MiB"), "{error}");

        fs::remove_file(home.path().join("patient.yaml")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(home.path().join("patient.yaml")).unwrap();
        assert!(matches!(read_pack(home.path()), Err(PackError::NotAFile { .. })));
    }
}
