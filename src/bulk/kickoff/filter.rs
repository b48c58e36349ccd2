//! `_typeFilter`: searches as text, and what they ask for (K-56 to K-65).
//!
//! Token parameters are understood, without modifiers. Everything else is an error that names the type and the
//! parameter; what the parameter was compared with is not repeated.

use super::Known;
use crate::bulk::percent::{Form, decode};
use crate::bulk::request::clip;
use crate::bulk::type_filter::{EVERY_TYPE, Token, TokenParameter, TypeFilter};
use crate::fhir::outcome::IssueType;
use crate::fhir::search::{SearchType, search_param, search_params};

/// Why a search cannot filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FilterError {
    #[error("a `_typeFilter` does not have the form `Type?parameter=value`")]
    Form,
    #[error("a `_typeFilter` is for `{0}`, which is not exported")]
    Type(String),
    #[error("the `_typeFilter` for {0} has no search parameter")]
    Nothing(String),
    #[error("the `_typeFilter` for {resource_type} has `{name}`, which shapes results and filters nothing")]
    Result { resource_type: String, name: String },
    #[error("search parameter `{name}` is not supported for {resource_type} in `_typeFilter`")]
    Parameter { resource_type: String, name: String, supported: Vec<&'static str> },
    #[error("search parameter `{name}` of {resource_type} is supported in `_typeFilter` without a modifier only")]
    Modifier { resource_type: String, name: String },
    #[error("chained search parameter `{name}` of {resource_type} is not supported in `_typeFilter`")]
    Chain { resource_type: String, name: String },
    #[error("search parameter `{name}` of {resource_type} has a value that is no token in `_typeFilter`")]
    Value { resource_type: String, name: String },
}

impl FilterError {
    pub(super) fn code(&self) -> IssueType {
        match self {
            Self::Form | Self::Nothing(_) | Self::Result { .. } => IssueType::Invalid,
            Self::Type(_) | Self::Parameter { .. } | Self::Modifier { .. } | Self::Chain { .. } => {
                IssueType::NotSupported
            }
            Self::Value { .. } => IssueType::Value,
        }
    }

    pub(super) fn help(&self) -> String {
        match self {
            Self::Form => "Write a search on one type, as in Observation?category=laboratory.".to_owned(),
            Self::Type(_) => "Name its type in `_type`, or leave the filter out.".to_owned(),
            Self::Nothing(_) => "Leave the filter out to export the whole type.".to_owned(),
            Self::Result { .. } => "Leave it out of the filter.".to_owned(),
            Self::Parameter { resource_type, supported, .. } if supported.is_empty() => {
                format!("No search parameter is supported for {resource_type}; leave the filter out.")
            }
            Self::Parameter { supported, .. } => format!("Supported: {}.", supported.join(", ")),
            Self::Modifier { .. } => "Leave the part from `:` on out.".to_owned(),
            Self::Chain { .. } => "Filter the type by parameters of its own.".to_owned(),
            Self::Value { .. } => "Write `code`, `system|code`, `|code` or `system|`, with commas between.".to_owned(),
        }
    }
}

/// Parameters of a search that shape its result (K-58).
const RESULT: &[&str] = &[
    "_sort",
    "_count",
    "_include",
    "_revinclude",
    "_summary",
    "_total",
    "_elements",
    "_contained",
    "_containedType",
    "_format",
    "_pretty",
    "_score",
    "_maxresults",
];

/// The queries in a comma list of them: a comma ends a query when a type and `?` follow; `\,` never does (K-61).
pub(super) fn split(text: &str) -> Vec<&str> {
    let starts_query = |rest: &str| {
        let name = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        rest.starts_with(|c: char| c.is_ascii_uppercase()) && rest[name..].starts_with('?')
    };
    let mut queries = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(',') {
        if starts_query(text[at + 1..].trim_start()) && !text[..at].ends_with('\\') {
            queries.push(&text[start..at]);
            start = at + 1;
        }
    }
    queries.push(&text[start..]);
    queries
}

/// Reads one query for one of `types`.
pub(super) fn read(query: &str, types: &[String], known: &Known<'_>) -> Result<TypeFilter, FilterError> {
    let (resource_type, search) = query.trim().split_once('?').ok_or(FilterError::Form)?;
    if resource_type.is_empty() || !resource_type.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(FilterError::Form);
    }
    if !types.iter().any(|name| name == resource_type) {
        return Err(FilterError::Type(clip(resource_type)));
    }
    let pieces = search.split('&').filter(|piece| !piece.is_empty());
    let parameters: Vec<_> = pieces.map(|piece| parameter(resource_type, piece, known)).collect::<Result<_, _>>()?;
    if parameters.is_empty() {
        return Err(FilterError::Nothing(resource_type.to_owned()));
    }
    Ok(TypeFilter { resource_type: resource_type.to_owned(), parameters })
}

/// Reads a rule that withholds resources: as a filter, or with `*` for every type. Whether a pack can honour it
/// is for the pack to say.
///
/// # Errors
///
/// What the rule would have to be.
pub fn rule(text: &str) -> Result<TypeFilter, &'static str> {
    const FORM: &str = "must be `Type?parameter=value`, or `*?_security=system|code` for every type";
    let (name, search) = text.trim().split_once('?').ok_or(FORM)?;
    // What every type has, Basic has.
    let of = if name == EVERY_TYPE { "Basic" } else { name };
    let known = Known { mapped: &[], base_url: "", compartment: &|_| false, searchable: &|_, _| true };
    let read = read(&format!("{of}?{search}"), &[of.to_owned()], &known).map_err(|error| match error {
        FilterError::Parameter { .. } => "must use a token parameter of its type",
        FilterError::Modifier { .. } | FilterError::Chain { .. } | FilterError::Result { .. } => {
            "must use plain token parameters, without a modifier or a chain"
        }
        FilterError::Value { .. } => "must compare with `code`, `system|code`, `|code` or `system|`",
        FilterError::Form | FilterError::Type(_) | FilterError::Nothing(_) => FORM,
    })?;
    let common = |parameter: &TokenParameter| parameter.code.starts_with('_');
    match name {
        EVERY_TYPE if !read.parameters.iter().all(common) => Err("must use `_security`, `_tag` or `_id` with `*`"),
        _ => Ok(TypeFilter { resource_type: name.to_owned(), ..read }),
    }
}

fn parameter(resource_type: &str, piece: &str, known: &Known<'_>) -> Result<TokenParameter, FilterError> {
    let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
    let name = decode(name, Form::Inner).unwrap_or_else(|| "?".to_owned());
    let (of, told) = (|| resource_type.to_owned(), || clip(&name));
    let base = name.split(':').next().unwrap_or_default();
    if RESULT.contains(&base) {
        return Err(FilterError::Result { resource_type: of(), name: told() });
    }
    if name.contains('.') || base == "_has" {
        return Err(FilterError::Chain { resource_type: of(), name: told() });
    }
    let usable = |code: &str| (known.searchable)(resource_type, code);
    let token = |code: &str| search_param(resource_type, code).is_some_and(|param| param.kind == SearchType::Token);
    if !token(base) || !usable(base) {
        let all = search_params(resource_type).filter(|param| param.kind == SearchType::Token);
        let mut supported: Vec<_> = all.map(|param| param.code).filter(|code| usable(code)).collect();
        supported.sort_unstable();
        return Err(FilterError::Parameter { resource_type: of(), name: told(), supported });
    }
    if base != name {
        return Err(FilterError::Modifier { resource_type: of(), name: told() });
    }
    let tokens = decode(value, Form::Inner).and_then(|value| tokens(&value));
    let any = tokens.ok_or_else(|| FilterError::Value { resource_type: of(), name: told() })?;
    Ok(TokenParameter { code: name, any })
}

/// The tokens of a value; none where one has no form of a token, or there is none.
fn tokens(value: &str) -> Option<Vec<Token>> {
    // PostgreSQL knows no NUL, and no code has a control character in it.
    if value.contains(char::is_control) {
        return None;
    }
    let items = unescaped(value, ',').into_iter().map(str::trim).filter(|item| !item.is_empty());
    items.map(token).collect::<Option<Vec<_>>>().filter(|tokens| !tokens.is_empty())
}

fn token(item: &str) -> Option<Token> {
    let parts = unescaped(item, '|');
    let given = |text: &str| Some(plain(text)).filter(|text| !text.is_empty());
    match parts.as_slice() {
        [code] => Some(Token { system: None, code: Some(given(code)?) }),
        [system, code] if !(system.is_empty() && code.is_empty()) => {
            Some(Token { system: Some(plain(system)), code: given(code) })
        }
        _ => None,
    }
}

/// The pieces between `mark`s that no `\` stands before.
fn unescaped(text: &str, mark: char) -> Vec<&str> {
    let mut escaped = false;
    text.split(|c: char| {
        let plain = !std::mem::take(&mut escaped);
        escaped = plain && c == '\\';
        plain && c == mark
    })
    .collect()
}

/// `\,` `\|` `\$` `\\` are the character behind the `\`; another `\` is itself (K-62).
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = chars.next_if(|next| c == '\\' && matches!(next, ',' | '|' | '$' | '\\'));
        out.push(escaped.unwrap_or(c));
    }
    out
}
