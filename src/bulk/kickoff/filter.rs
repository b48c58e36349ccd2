//! `_typeFilter`: searches as text, and what they ask for (K-56 to K-65).
//!
//! What cannot be asked is an error that names the type and the parameter; what the parameter was compared with is not
//! repeated.

use super::Known;
use super::values::{Unusable, ask};
use crate::bulk::percent::{Form, decode};
use crate::bulk::request::clip;
use crate::bulk::type_filter::{Ask, EVERY_TYPE, Parameter, TypeFilter};
use crate::fhir::outcome::IssueType;
use crate::fhir::search::{search_param, search_params};

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
    #[error("search parameter `{name}` of {resource_type} has a modifier that is not supported in `_typeFilter`")]
    Modifier { resource_type: String, name: String, allowed: &'static str },
    #[error("chained search parameter `{name}` of {resource_type} is not supported in `_typeFilter`")]
    Chain { resource_type: String, name: String },
    #[error("search parameter `{name}` of {resource_type} has a value that cannot be compared in `_typeFilter`")]
    Value { resource_type: String, name: String, form: &'static str },
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
            Self::Modifier { allowed, .. } => format!("Leave the part from `:` on out; there are {allowed}."),
            Self::Chain { .. } => "Filter the type by parameters of its own.".to_owned(),
            Self::Value { form, .. } => format!("Write {form}; a comma stands between alternatives."),
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
    let known =
        Known { mapped: &[], base_url: "", compartment: &|_| false, searchable: &|_, _| true, strict_filters: true };
    let read = read(&format!("{of}?{search}"), &[of.to_owned()], &known).map_err(|error| match error {
        FilterError::Parameter { .. } => "must use a search parameter of its type",
        FilterError::Modifier { .. } | FilterError::Chain { .. } | FilterError::Result { .. } => {
            "must use parameters and modifiers that `_typeFilter` has"
        }
        FilterError::Value { .. } => "must compare with a value of its parameter's kind",
        FilterError::Form | FilterError::Type(_) | FilterError::Nothing(_) => FORM,
    })?;
    // A type that cannot have the element would be passed over, though it lacks what is asked.
    if read.parameters.iter().any(|parameter| matches!(parameter.ask, Ask::NotToken(_) | Ask::Missing(_))) {
        return Err("must use parameters without `:not` and `:missing`");
    }
    let common = |parameter: &Parameter| parameter.code.starts_with('_');
    match name {
        EVERY_TYPE if !read.parameters.iter().all(common) => {
            Err("must use `_security`, `_tag` or another parameter of every type with `*`")
        }
        _ => Ok(TypeFilter { resource_type: name.to_owned(), ..read }),
    }
}

fn parameter(resource_type: &str, piece: &str, known: &Known<'_>) -> Result<Parameter, FilterError> {
    let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
    let name = decode(name, Form::Inner).unwrap_or_else(|| "?".to_owned());
    let (of, told) = (|| resource_type.to_owned(), || clip(&name));
    let (code, modifier) = name.split_once(':').map_or((name.as_str(), None), |(code, rest)| (code, Some(rest)));
    if RESULT.contains(&code) {
        return Err(FilterError::Result { resource_type: of(), name: told() });
    }
    if name.contains('.') || code == "_has" {
        return Err(FilterError::Chain { resource_type: of(), name: told() });
    }
    let usable = |code: &str| (known.searchable)(resource_type, code);
    let Some(param) = search_param(resource_type, code).filter(|_| usable(code)) else {
        let all = search_params(resource_type).map(|param| param.code);
        let mut supported: Vec<_> = all.filter(|code| usable(code)).collect();
        supported.sort_unstable();
        return Err(FilterError::Parameter { resource_type: of(), name: told(), supported });
    };
    let unusable = |error| match error {
        Unusable::Modifier(allowed) => FilterError::Modifier { resource_type: of(), name: told(), allowed },
        Unusable::Value(form) => FilterError::Value { resource_type: of(), name: told(), form },
    };
    let value = decode(value, Form::Inner).ok_or_else(|| unusable(Unusable::Value("UTF-8 text")))?;
    let ask = ask(param, modifier, &value, known.base_url).map_err(unusable)?;
    Ok(Parameter { code: code.to_owned(), ask })
}
