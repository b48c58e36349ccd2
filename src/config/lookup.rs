//! Where a value is found: flag, environment, file, default, the first of them that has one.

use std::env::VarError;
use std::path::{Path, PathBuf};

use super::flat;
use super::settings::{Origin, SettingsError};
use super::table::{Kind, Setting, all};
use super::value;

/// Looks values up.
pub(super) struct Lookup<'a, E> {
    pairs: Vec<(&'static Setting, String, Origin)>,
    env: E,
    flags: &'a [(&'a str, String)],
}

/// A value on its way.
struct Given {
    setting: &'static Setting,
    text: String,
    origin: Origin,
}

impl<'a, E: Fn(&str) -> Result<String, VarError>> Lookup<'a, E> {
    /// Reads the file's pairs; every key must be a setting.
    pub(super) fn new(
        file: Option<(&Path, &str)>,
        env: E,
        flags: &'a [(&'a str, String)],
    ) -> Result<Self, SettingsError> {
        let pairs = match file {
            Some((path, text)) => read_file(path, text)?,
            None => Vec::new(),
        };
        Ok(Self { pairs, env, flags })
    }

    fn given(&self, setting: &'static Setting) -> Result<Option<Given>, SettingsError> {
        let given = |text: &str, origin| Given { setting, text: text.to_owned(), origin };
        if let Some((_, text)) = self.flags.iter().find(|(flag, _)| *flag == setting.name) {
            return Ok(Some(given(text, Origin::Flag(setting.flag))));
        }
        match (self.env)(setting.env) {
            Ok(text) => return Ok(Some(given(&text, Origin::Env(setting.env)))),
            Err(VarError::NotPresent) => {}
            Err(VarError::NotUnicode(_)) => return Err(SettingsError::NotText { name: setting.env }),
        }
        let in_file = self.pairs.iter().find(|(found, ..)| found.name == setting.name);
        let default = || setting.default.map(|text| given(text, Origin::Default));
        Ok(in_file.map(|(_, text, origin)| given(text, origin.clone())).or_else(default))
    }

    fn find(&self, name: &'static str) -> Result<Option<Given>, SettingsError> {
        match all().find(|setting| setting.name == name) {
            Some(setting) => self.given(setting),
            None => Ok(None),
        }
    }

    /// A value, read.
    pub(super) fn get<T>(
        &self,
        name: &'static str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, SettingsError> {
        self.find(name)?.map(|given| given.read(read)).transpose()
    }

    /// A path; in the settings file it is relative to that file.
    pub(super) fn path(&self, name: &'static str) -> Result<Option<PathBuf>, SettingsError> {
        let Some(given) = self.find(name)? else { return Ok(None) };
        let base = match &given.origin {
            Origin::File(path, _) => path.parent().map(Path::to_owned).unwrap_or_default(),
            _ => PathBuf::new(),
        };
        given.read(value::text).map(|text| Some(base.join(text)))
    }

    /// A time in seconds, within the bounds of the setting.
    pub(super) fn time(&self, name: &'static str) -> Result<Option<std::time::Duration>, SettingsError> {
        let Some(given) = self.find(name)? else { return Ok(None) };
        let bounds = match given.setting.kind {
            Kind::Time(least, most) => least..=most,
            _ => 0..=u64::MAX,
        };
        given.read(|text| value::time(text).filter(|time| bounds.contains(&time.as_secs()))).map(Some)
    }

    /// Every setting that has a value, and where it comes from.
    pub(super) fn listing(&self) -> Result<Vec<(&'static str, String, Origin)>, SettingsError> {
        let mut listing = Vec::new();
        for setting in all() {
            if let Some(Given { text, origin, .. }) = self.given(setting)? {
                let text = if setting.kind == Kind::Database { "(not shown)".to_owned() } else { text };
                listing.push((setting.name, text, origin));
            }
        }
        Ok(listing)
    }
}

impl Given {
    fn read<T>(self, read: impl Fn(&str) -> Option<T>) -> Result<T, SettingsError> {
        read(self.text.trim()).ok_or(SettingsError::Value { origin: self.origin, setting: self.setting })
    }
}

fn read_file(path: &Path, text: &str) -> Result<Vec<(&'static Setting, String, Origin)>, SettingsError> {
    let pairs = flat::read(text).map_err(|flat::NotFlat { line, problem }| SettingsError::NotFlat {
        path: path.to_owned(),
        line,
        problem,
    })?;
    pairs
        .into_iter()
        .map(|flat::Pair { key, value, line }| {
            let origin = Origin::File(path.to_owned(), line);
            match (all().find(|setting| setting.name == key), value) {
                (None, _) => Err(SettingsError::Unknown { path: path.to_owned(), line, key }),
                (Some(setting), Some(text)) => Ok((setting, text, origin)),
                (Some(setting), None) => Err(SettingsError::Value { origin, setting }),
            }
        })
        .collect()
}
