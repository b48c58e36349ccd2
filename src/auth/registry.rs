//! The file of registered clients, read with the line of every mistake.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use reqwest::Url;
use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::access::GroupAccess;
use super::address;
use super::authority::ANONYMOUS;
use super::client::{Client, Keys, Registry};
use super::keys::KeySet;
use super::scope::Scopes;
use crate::bulk::{TypeFilter, kickoff};

/// Longer ids would not be read in an assertion.
const MAX_ID: usize = 255;

/// Mistakes in the registry file. Nothing of a file with mistakes is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryError {
    /// All of them, in the order of the file; at least one.
    pub mistakes: Vec<Mistake>,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line of the file, from 1.
    pub line: u64,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl RegistryError {
    /// Each mistake on a line of its own: `PATH:LINE: message`.
    pub fn render(&self, path: &str) -> String {
        let lines: Vec<String> =
            self.mistakes.iter().map(|mistake| format!("{path}:{}: {}", mistake.line, mistake.message)).collect();
        lines.join("\n")
    }
}

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, Mistake { line, message }) in self.mistakes.iter().enumerate() {
            write!(f, "{}line {line}: {message}", if place == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for RegistryError {}

/// Reads the clients of a server that checks their assertions itself: each has keys.
pub fn parse(text: &str) -> Result<Registry, RegistryError> {
    read(text, true)
}

/// Reads the clients of a server that takes the tokens of another one: none has keys.
pub fn parse_external(text: &str) -> Result<Registry, RegistryError> {
    read(text, false)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    clients: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    client_id: Spanned<String>,
    jwks_uri: Option<Spanned<String>>,
    jwks: Option<Spanned<Value>>,
    scopes: Spanned<Vec<Spanned<String>>>,
    groups: Groups,
    #[serde(default)]
    admin: bool,
    #[serde(default)]
    allowed_jku: Vec<Spanned<String>>,
    allow_missing_kid: Option<Spanned<bool>>,
    #[serde(default)]
    origins: Vec<Spanned<String>>,
    max_running: Option<Spanned<u32>>,
    withhold: Option<Spanned<Vec<Spanned<String>>>>,
}

/// `all`, or a list of ids; an id of digits stays the text it is.
enum Groups {
    All,
    Only(Vec<String>),
}

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Groups;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all` or a list of Group ids")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Groups, E> {
                match text {
                    "all" => Ok(Groups::All),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Groups, A::Error> {
                let mut ids = Vec::new();
                while let Some(id) = list.next_element::<String>()? {
                    ids.push(id);
                }
                Ok(Groups::Only(ids))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

fn read(text: &str, with_keys: bool) -> Result<Registry, RegistryError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or(1, |location| location.line().max(1));
        let message = format!("{}; the file is described under \"Register a client\"", plain(&error.to_string()));
        RegistryError { mistakes: vec![Mistake { line, message }] }
    })?;
    let mut reader = Reader { with_keys, mistakes: Vec::new() };
    let mut clients: BTreeMap<String, Client> = BTreeMap::new();
    let mut lines: BTreeMap<String, u64> = BTreeMap::new();
    for entry in file.clients {
        let line = entry.value.client_id.referenced.line();
        let client = reader.client(entry.referenced.line(), entry.value);
        if let Some(first) = lines.get(&client.id) {
            reader.mistake(line, format!("client_id is that of the client in line {first}: give each its own"));
        } else {
            lines.insert(client.id.clone(), line);
            clients.insert(client.id.clone(), client);
        }
    }
    if reader.mistakes.is_empty() {
        return Ok(Registry(clients));
    }
    reader.mistakes.sort_by_key(|mistake| mistake.line);
    Err(RegistryError { mistakes: reader.mistakes })
}

/// The message without the position, which stands before it, and in words of the file.
fn plain(message: &str) -> String {
    let start = message.strip_prefix("error: ").unwrap_or(message);
    let cut = |text: &'_ str, mark: &str| text.split(mark).next().unwrap_or_default().to_owned();
    let text = cut(&cut(start, " at line "), ", set DuplicateKeyPolicy");
    match text.trim() {
        "expected sequence start" => "a list is needed here, of lines that begin with `- `".to_owned(),
        "unexpected end of input" => "the file is empty: write `clients:` and below it a list".to_owned(),
        other => other.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

struct Reader {
    with_keys: bool,
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn mistake(&mut self, line: u64, message: impl Into<String>) {
        self.mistakes.push(Mistake { line, message: message.into() });
    }

    /// Reads a client; it is used only if there was no mistake anywhere.
    fn client(&mut self, line: u64, entry: Entry) -> Client {
        let id = entry.client_id.value.clone();
        self.id(&entry.client_id);
        let keys = self.keys(line, &entry);
        let scopes = self.scopes(entry.scopes);
        let withheld = self.withheld(entry.withhold, entry.admin);
        Client {
            id,
            keys,
            scopes,
            groups: match entry.groups {
                Groups::All => GroupAccess::All,
                Groups::Only(ids) => GroupAccess::Only(ids.into_iter().collect()),
            },
            admin: entry.admin,
            allowed_jku: entry.allowed_jku.into_iter().filter_map(|url| self.url(&url, "allowed_jku")).collect(),
            allow_missing_kid: entry.allow_missing_kid.is_some_and(|allow| allow.value),
            origins: self.origins(entry.origins),
            max_running: entry.max_running.map(|most| {
                if most.value == 0 {
                    self.mistake(most.referenced.line(), "max_running is 0: remove the client to lock it out");
                }
                most.value
            }),
            withheld,
        }
    }

    /// Rules of privacy; whether the pack can honour them is asked by whoever knows it.
    fn withheld(&mut self, given: Option<Spanned<Vec<Spanned<String>>>>, admin: bool) -> Vec<TypeFilter> {
        let Some(given) = given else { return Vec::new() };
        let line = given.referenced.line();
        if given.value.is_empty() {
            self.mistake(line, "withhold is empty: remove it, or write what is withheld");
        }
        if admin {
            self.mistake(line, "withhold does not go with `admin: true`, which opens the jobs of other clients");
        }
        let mut rules = Vec::new();
        for text in given.value {
            match kickoff::rule(&text.value) {
                Ok(rule) => rules.push(rule),
                Err(wanted) => self.mistake(text.referenced.line(), format!("withhold `{}` {wanted}", text.value)),
            }
        }
        rules
    }

    fn id(&mut self, id: &Spanned<String>) {
        let line = id.referenced.line();
        if id.value.is_empty() || id.value.len() > MAX_ID || !id.value.bytes().all(|b| (0x21..0x7f).contains(&b)) {
            self.mistake(line, format!("client_id must be 1 to {MAX_ID} visible ASCII characters"));
        } else if id.value == ANONYMOUS {
            self.mistake(
                line,
                format!("client_id `{ANONYMOUS}` stands for everybody on an open server: choose another"),
            );
        }
    }

    fn keys(&mut self, line: u64, entry: &Entry) -> Keys {
        let about_keys = entry.jwks_uri.as_ref().map(|url| url.referenced.line());
        let about_keys = about_keys.or(entry.jwks.as_ref().map(|set| set.referenced.line()));
        let about_keys = about_keys.or(entry.allowed_jku.first().map(|url| url.referenced.line()));
        let about_keys = about_keys.or(entry.allow_missing_kid.as_ref().map(|allow| allow.referenced.line()));
        if !self.with_keys {
            if let Some(line) = about_keys {
                let message = "keys are checked by the authorization server: remove jwks, jwks_uri, allowed_jku and \
                               allow_missing_kid here";
                self.mistake(line, message);
            }
            return Keys::Elsewhere;
        }
        match (&entry.jwks_uri, &entry.jwks) {
            (Some(url), None) => self.url(url, "jwks_uri").map_or(Keys::Elsewhere, Keys::Url),
            (None, Some(set)) => match KeySet::registered(&set.value) {
                Ok(keys) => Keys::Inline(keys),
                Err(error) => {
                    self.mistake(set.referenced.line(), format!("jwks {error}"));
                    Keys::Elsewhere
                }
            },
            (Some(url), Some(_)) => {
                self.mistake(url.referenced.line(), "client has both jwks_uri and jwks: keep one, better jwks_uri");
                Keys::Elsewhere
            }
            (None, None) => {
                self.mistake(line, "client has no keys: write jwks_uri with the https URL of its JWKS, or jwks");
                Keys::Elsewhere
            }
        }
    }

    fn scopes(&mut self, given: Spanned<Vec<Spanned<String>>>) -> Scopes {
        if given.value.is_empty() {
            self.mistake(given.referenced.line(), "scopes is empty: write what the client may read, as `system/*.rs`");
        }
        let mut scopes = Scopes::default();
        for scope in given.value {
            let (line, text) = (scope.referenced.line(), &scope.value);
            match Scopes::registered(text) {
                Ok(one) if one.is_beyond() => {
                    self.mistake(
                        line,
                        format!("scope `{text}` writes, which this server does to Group alone: end it in `.rs`"),
                    );
                }
                Ok(one) => scopes.extend(one),
                Err(error) => self.mistake(line, format!("scope `{text}` {error}")),
            }
        }
        scopes
    }

    fn url(&mut self, url: &Spanned<String>, name: &str) -> Option<String> {
        match address::read(&url.value) {
            Ok(_) => Some(url.value.clone()),
            Err(error) => {
                self.mistake(url.referenced.line(), format!("{name} {error}"));
                None
            }
        }
    }

    fn origins(&mut self, given: Vec<Spanned<String>>) -> BTreeSet<String> {
        let mut origins = BTreeSet::new();
        for origin in given {
            let is_origin = Url::parse(&origin.value).is_ok_and(|url| {
                ["https", "http"].contains(&url.scheme()) && url.origin().ascii_serialization() == origin.value
            });
            if is_origin {
                origins.insert(origin.value);
            } else {
                let message = "origins has an entry that is not `https://host` or `https://host:port` in lower case";
                self.mistake(origin.referenced.line(), message);
            }
        }
        origins
    }
}
