//! What the data engineer writes, read into a checked and located tree. Knows FHIR, no database.

pub mod catalogue;
pub mod check;
mod codes;
pub mod diagnostic;
pub mod fragment;
pub mod header;
pub mod pack;
pub mod patch;
pub mod project;
pub mod render;
mod shape;
pub mod source;
mod sql;
pub mod syntax;
pub mod tree;
pub mod uuid5;
pub mod yaml;

/// The candidate most like `word`, if one is close enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word.to_lowercase(), &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
