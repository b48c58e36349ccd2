//! `includeAssociatedData` as it is given (K-53).

use super::mistake::Mistake;
use super::{Dialect, Given};
use crate::bulk::associated::CODE_SYSTEM;

const NAME: &str = "includeAssociatedData";

/// The text of one value. A coding of another system is a value of its own, which is not supported.
pub(super) fn value(value: Given, dialect: Dialect) -> Result<String, Mistake> {
    match value {
        Given::Text(text) if dialect == Dialect::V4 && text.contains(',') => Err(Mistake::CommaList(NAME)),
        Given::Text(text) => Ok(text),
        Given::Coding(Some(system), code) if system != CODE_SYSTEM => Ok(format!("{system}|{code}").replace(',', " ")),
        Given::Coding(_, code) => Ok(code.replace(',', " ")),
        _ => Err(Mistake::NoValue(NAME)),
    }
}
