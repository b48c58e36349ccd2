//! SMART system scopes of both versions (A-18 to A-21).
//!
//! Only what can be enforced is understood: `system/` scopes without a query. Everything else of a request is dropped,
//! so an answer is never wider than what was asked for and never wider than what the client is registered for.

use std::collections::BTreeSet;
use std::fmt;

/// `r`: read.
const READ: u8 = 0b0_0010;
/// `s`: search.
const SEARCH: u8 = 0b1_0000;
/// The letters in the order they are written in.
const LETTERS: [(u8, char); 5] = [(1, 'c'), (READ, 'r'), (4, 'u'), (8, 'd'), (SEARCH, 's')];
/// What this service can grant of most types: it writes nothing of them.
const GRANTABLE: u8 = READ | SEARCH;
/// All letters.
const CRUDS: u8 = 0b1_1111;
/// The letters that v1 has words for.
const V1: [u8; 3] = [GRANTABLE, 0b0_1101, CRUDS];

/// What this service can grant of a type: clients make Groups (G-16), and nothing else.
fn grantable(resource_type: Option<&str>) -> u8 {
    if resource_type == Some("Group") { CRUDS } else { GRANTABLE }
}

/// A set of scopes, in the order they were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scopes(Vec<Scope>);

/// One scope.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Scope {
    /// `None` is `*`.
    resource: Option<String>,
    letters: u8,
    /// Asked for as `.read`, answered so (A-19).
    v1: bool,
}

/// Why a scope cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// `patient/`, `user/`, `openid`: not for a backend service.
    #[error("is not a system scope: write `system/TYPE.rs`")]
    NotSystem,
    /// The part after `system/` has another form.
    #[error("is not of the form `system/TYPE.rs`, `system/*.rs` or `system/TYPE.read`")]
    Form,
    /// Letters that are no ordered part of `cruds` (A-19).
    #[error("has letters other than `cruds` in this order")]
    Letters,
    /// A query behind the letters, which nothing here would enforce (A-21).
    #[error("has a query, which is not enforced here and therefore never granted")]
    Query,
}

impl Scopes {
    /// Reads a `scope` parameter or claim; what cannot be granted is dropped (A-18).
    pub fn parse(text: &str) -> Self {
        Self::collect(text.split(' ').filter_map(|one| Scope::parse(one).ok()))
    }

    /// Reads scopes that must all be understood, and only read: those of a registration.
    pub(super) fn registered(text: &str) -> Result<Self, ScopeError> {
        Scope::parse(text).map(|scope| Self(vec![scope]))
    }

    /// Every resource type, for reading and searching, and Groups for writing.
    pub fn everything() -> Self {
        let scope = |resource: Option<&str>| Scope {
            resource: resource.map(str::to_owned),
            letters: grantable(resource),
            v1: false,
        };
        Self(vec![scope(None), scope(Some("Group"))])
    }

    /// Whether resources of this type may be read (A-20): `r`, and `s` alone is not enough.
    pub fn reads(&self, resource_type: &str) -> bool {
        self.letters(resource_type) & READ != 0
    }

    /// Whether it allows what a letter of `cruds` stands for.
    pub fn allows(&self, letter: char, resource_type: &str) -> bool {
        let bit = LETTERS.iter().find(|(_, known)| *known == letter).map_or(0, |(bit, _)| *bit);
        self.letters(resource_type) & bit != 0
    }

    /// Whether resources of every type may be read.
    pub fn reads_everything(&self) -> bool {
        self.star() & READ != 0
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it holds letters that this service never grants.
    pub(super) fn is_beyond(&self) -> bool {
        self.0.iter().any(|scope| scope.letters & !grantable(scope.resource.as_deref()) != 0)
    }

    /// Adds what the other set has.
    pub(super) fn extend(&mut self, other: Self) {
        *self = Self::collect(self.0.drain(..).chain(other.0).collect::<Vec<_>>());
    }

    /// What both sets have, in the order and form of this one (A-18, A-19), as far as this service grants it.
    ///
    /// `supported` are the types there can be resources of; `None` asks nothing.
    #[must_use]
    pub fn intersection(&self, policy: &Self, supported: Option<&BTreeSet<String>>) -> Self {
        let known = |name: &str| supported.is_none_or(|types| types.contains(name));
        let mut granted = Vec::new();
        for asked in &self.0 {
            let mut grant = |resource: Option<&str>, letters: u8| {
                let letters = letters & asked.letters & grantable(resource);
                if letters != 0 {
                    // A v1 word would say more than a part of its letters.
                    let v1 = asked.v1 && V1.contains(&letters);
                    granted.push(Scope { resource: resource.map(str::to_owned), letters, v1 });
                }
            };
            match &asked.resource {
                Some(name) if known(name) => grant(Some(name), policy.letters(name)),
                Some(_) => {}
                None => {
                    let star = policy.star();
                    grant(None, star);
                    for name in policy.0.iter().filter_map(|scope| scope.resource.as_deref()) {
                        let letters = policy.letters(name);
                        if known(name) && letters & !star & asked.letters & grantable(Some(name)) != 0 {
                            grant(Some(name), letters);
                        }
                    }
                }
            }
        }
        Self::collect(granted)
    }

    /// Letters for a type, its own and those of `*`.
    fn letters(&self, resource_type: &str) -> u8 {
        let applies = |scope: &&Scope| scope.resource.as_deref().is_none_or(|name| name == resource_type);
        self.0.iter().filter(applies).fold(0, |letters, scope| letters | scope.letters)
    }

    /// Letters for every type.
    fn star(&self) -> u8 {
        self.0.iter().filter(|scope| scope.resource.is_none()).fold(0, |letters, scope| letters | scope.letters)
    }

    /// Each scope once.
    fn collect(scopes: impl IntoIterator<Item = Scope>) -> Self {
        let mut kept: Vec<Scope> = Vec::new();
        for scope in scopes {
            if !kept.contains(&scope) {
                kept.push(scope);
            }
        }
        Self(kept)
    }
}

impl Scope {
    fn parse(text: &str) -> Result<Self, ScopeError> {
        let rest = text.strip_prefix("system/").ok_or(ScopeError::NotSystem)?;
        if rest.contains('?') {
            return Err(ScopeError::Query);
        }
        let (resource, action) = rest.split_once('.').ok_or(ScopeError::Form)?;
        let is_type = resource.starts_with(|c: char| c.is_ascii_uppercase())
            && resource.len() <= 64
            && resource.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let resource = match resource {
            "*" => None,
            _ if is_type => Some(resource.to_owned()),
            _ => return Err(ScopeError::Form),
        };
        let (letters, v1) = match action {
            "read" => (GRANTABLE, true),
            "write" => (0b0_1101, true),
            "*" => (CRUDS, true),
            _ => (letters(action)?, false),
        };
        Ok(Self { resource, letters, v1 })
    }
}

/// An ordered part of `cruds`.
fn letters(text: &str) -> Result<u8, ScopeError> {
    let mut order = LETTERS.iter();
    let mut found = 0;
    for c in text.chars() {
        let (bit, _) = order.find(|(_, letter)| *letter == c).ok_or(ScopeError::Letters)?;
        found |= bit;
    }
    if found == 0 { Err(ScopeError::Form) } else { Ok(found) }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.0.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{scope}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system/{}.", self.resource.as_deref().unwrap_or("*"))?;
        match (self.v1, self.letters) {
            (true, GRANTABLE) => f.write_str("read"),
            (true, 0b0_1101) => f.write_str("write"),
            (true, CRUDS) => f.write_str("*"),
            (_, letters) => LETTERS
                .iter()
                .filter(|(bit, _)| letters & bit != 0)
                .try_for_each(|(_, letter)| f.write_str(letter.encode_utf8(&mut [0; 4]))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A-19: both forms, and what is dropped (A-18).
    #[test]
    fn both_forms_are_read() {
        for (text, want) in [
            ("system/Patient.rs", "system/Patient.rs"),
            ("system/*.read", "system/*.read"),
            ("system/*.*", "system/*.*"),
            ("system/Patient.write", "system/Patient.write"),
            ("system/Patient.cruds", "system/Patient.cruds"),
            ("system/Patient.r", "system/Patient.r"),
            ("system/Patient.rs system/Patient.rs  system/Patient.read", "system/Patient.rs system/Patient.read"),
            // Out of order, unknown, empty.
            ("system/Patient.sr system/Patient.rr system/Patient.x system/Patient. system/Patient", ""),
            ("patient/Patient.rs user/*.read openid launch offline_access", ""),
            ("system/.rs system/patient.rs system/Pa-tient.rs system/Patient/1.rs system/**.rs", ""),
            // A-21: a query is never granted without being enforced.
            ("system/Observation.rs?category=laboratory", ""),
            ("SYSTEM/Patient.rs", ""),
            ("system/Patient.READ", ""),
            ("system/Patient.rs\u{a0}system/Observation.rs", ""),
            ("", ""),
        ] {
            assert_eq!(Scopes::parse(text).to_string(), want, "{text}");
        }
    }

    /// A-20.
    #[test]
    fn reading_needs_r() {
        for (scopes, resource_type, want) in [
            ("system/Patient.r", "Patient", true),
            ("system/Patient.rs", "Patient", true),
            ("system/Patient.cruds", "Patient", true),
            ("system/Patient.read", "Patient", true),
            ("system/Patient.*", "Patient", true),
            ("system/*.rs", "Patient", true),
            ("system/*.read", "Observation", true),
            ("system/Patient.s", "Patient", false),
            ("system/Patient.write", "Patient", false),
            ("system/Patient.cud", "Patient", false),
            ("system/Patient.rs", "Observation", false),
            ("system/Patient.rs", "PatientX", false),
            ("", "Patient", false),
        ] {
            assert_eq!(Scopes::parse(scopes).reads(resource_type), want, "{scopes} {resource_type}");
        }
        assert!(Scopes::parse("system/*.r").reads_everything());
        assert!(!Scopes::parse("system/*.s system/Patient.rs").reads_everything());
        assert!(Scopes::everything().reads("Binary") && Scopes::everything().allows('u', "Group"));
        assert!(!Scopes::everything().allows('c', "Binary"));
        for (scopes, allowed) in [("system/Group.cd", "cd"), ("system/*.cruds", "cruds"), ("system/Patient.c", "")] {
            let all = "cruds".chars().filter(|letter| Scopes::parse(scopes).allows(*letter, "Group"));
            assert_eq!(all.collect::<String>(), allowed, "{scopes}");
        }
    }

    /// A-18, A-19, T-19: the intersection, in the words of the request.
    #[test]
    fn what_is_granted_is_in_both() {
        let types = ["Patient", "Observation", "Condition", "Group"].map(str::to_owned).into();
        for (asked, policy, want) in [
            ("system/*.rs", "system/*.rs", "system/*.rs"),
            ("system/*.read", "system/*.rs", "system/*.read"),
            ("system/Patient.read", "system/*.rs", "system/Patient.read"),
            ("system/Patient.rs", "system/*.read", "system/Patient.rs"),
            ("system/*.rs", "system/Patient.rs system/Condition.rs", "system/Patient.rs system/Condition.rs"),
            ("system/*.read", "system/Patient.rs", "system/Patient.read"),
            // Nothing is written here, whatever is asked for.
            ("system/*.*", "system/*.rs", "system/*.read"),
            ("system/*.cruds", "system/*.rs", "system/*.rs"),
            ("system/Patient.write", "system/*.rs", ""),
            ("system/Patient.cud", "system/*.rs", ""),
            // A part of `.read` is not `.read`.
            ("system/Patient.read", "system/*.r", "system/Patient.r"),
            ("system/*.rs", "system/*.s system/Patient.r", "system/*.s system/Patient.rs"),
            ("system/Patient.r", "system/*.rs", "system/Patient.r"),
            // Letters of several registrations add up.
            ("system/Patient.rs", "system/*.s system/Patient.r", "system/Patient.rs"),
            ("system/Observation.rs", "system/*.s system/Patient.r", "system/Observation.s"),
            // Types that are not here, queries, other contexts.
            ("system/Binary.read system/Patient.read", "system/*.rs", "system/Patient.read"),
            ("system/Observation.rs?category=laboratory", "system/*.rs", ""),
            ("openid user/Patient.rs system/Patient.rs", "system/*.rs", "system/Patient.rs"),
            ("system/Patient.rs", "system/Observation.rs", ""),
            ("system/*.rs", "system/Binary.rs", ""),
            ("system/*.rs", "", ""),
            // G-16: Groups are made by clients that are registered for it.
            ("system/Group.cruds", "system/Group.cruds", "system/Group.cruds"),
            ("system/Group.cud", "system/*.rs system/Group.cruds", "system/Group.cud"),
            ("system/Group.write", "system/*.rs system/Group.cruds", "system/Group.write"),
            ("system/Group.*", "system/*.rs system/Group.cr", "system/Group.crs"),
            ("system/Group.cud", "system/*.rs", ""),
            ("system/*.cruds", "system/*.rs system/Group.cruds", "system/*.rs system/Group.cruds"),
            ("system/*.*", "system/*.rs system/Group.cruds", "system/*.read system/Group.*"),
            ("system/*.rs", "system/*.rs system/Group.cruds", "system/*.rs"),
        ] {
            let granted = Scopes::parse(asked).intersection(&Scopes::parse(policy), Some(&types));
            assert_eq!(granted.to_string(), want, "{asked} of {policy}");
            assert_eq!(granted.is_empty(), want.is_empty());
        }
    }

    proptest::proptest! {
        /// A-18: never wider than either side, and stable when it is asked for again.
        #[test]
        fn an_answer_is_never_wider(
            asked in "(system/(\\*|Patient|Observation)\\.(r|s|rs|cruds|read|write|\\*|cud) ?){0,4}",
            policy in "(system/(\\*|Patient|Observation)\\.(r|s|rs|read) ){0,3}",
        ) {
            let (asked, policy) = (Scopes::parse(&asked), Scopes::parse(&policy));
            let granted = asked.intersection(&policy, None);
            for name in ["Patient", "Observation", "Device"] {
                let both = asked.letters(name) & policy.letters(name) & GRANTABLE;
                proptest::prop_assert_eq!(granted.letters(name), both, "{} of {} is {}", asked, policy, granted);
            }
            proptest::prop_assert_eq!(Scopes::parse(&granted.to_string()), granted.clone());
            proptest::prop_assert_eq!(granted.intersection(&policy, None), granted);
        }

        #[test]
        fn any_text_can_be_a_scope(text in ".{0,200}") {
            let _ = Scopes::parse(&text).to_string();
        }
    }
}
