//! Profiles and extensions of the embedded packages: what each says beyond base R4, enough to check a mapping when it
//! is compiled. Nothing here validates a finished resource.

use std::sync::LazyLock;

use super::codes::{CodeList, CodeTable};
use super::elements::{ElementType, types_of};
use super::table::{Table, cells};

/// An embedded package of profiles.
pub struct Package {
    /// `hl7.fhir.us.core`.
    pub name: &'static str,
    /// `6.1.0`.
    pub version: &'static str,
    profiles: LazyLock<Table<Profile>>,
    codes: LazyLock<CodeTable>,
}

macro_rules! us_core {
    ($version:literal) => {
        Package {
            name: "hl7.fhir.us.core",
            version: $version,
            profiles: LazyLock::new(|| Table::read(include_str!(concat!("profiles/us-core-", $version, ".tsv")))),
            codes: LazyLock::new(|| {
                CodeTable::read(include_str!(concat!("profiles/us-core-", $version, "-codes.tsv")))
            }),
        }
    };
}

static PACKAGES: [Package; 3] = [us_core!("6.1.0"), us_core!("7.0.0"), us_core!("8.0.0")];

/// A profile of a resource type, or an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its URL, without version.
    pub canonical: &'static str,
    /// Last segment of the canonical, also its built-in alias: `us-core-patient`.
    pub name: &'static str,
    /// Version of the package: `6.1.0`.
    pub version: &'static str,
    /// Title for people.
    pub title: &'static str,
    /// The type it constrains: `Patient`; `Extension` for an extension.
    pub base: &'static str,
    /// What differs from base R4, in FHIR order.
    pub constraints: Vec<Constraint>,
    /// The slices among the constraints, with how to tell them.
    pub slices: Vec<Slice>,
}

/// What a profile says about one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    /// The element's id without the type: `category:VSCat.coding.code` is inside slice `VSCat` of `category`, and
    /// `value[x]:valueQuantity.unit` inside `value[x]` as a Quantity.
    pub path: &'static str,
    /// How many are needed where the parent is there.
    pub min: u32,
    /// How many are allowed; `Some(0)`: prohibited, `None`: no limit.
    pub max: Option<u32>,
    /// The profile needs more of it than base R4 does.
    pub mandatory: bool,
    /// Must support.
    pub must_support: bool,
    /// The only types (and targets) allowed; empty: those of base R4.
    pub types: Vec<ElementType>,
    /// Profiles its value follows, one of them: extensions mostly.
    pub profiles: Vec<&'static str>,
    /// The value it must have.
    pub value: Option<Expected>,
    /// Canonical of the value set bound as required, where base R4 does not already.
    pub value_set: Option<&'static str>,
    /// The codes of that set, if they are a closed list.
    pub codes: Option<&'static CodeList>,
    /// How its slices are told apart; empty: not sliced.
    pub discriminators: Vec<Discriminator>,
}

/// A value a profile demands, as JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Exactly this value.
    Fixed(&'static str),
    /// At least these members; of a list, at least these items.
    Pattern(&'static str),
}

/// What tells slices apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discriminator {
    /// `value`, `pattern` or `type`.
    pub kind: &'static str,
    /// Path from the item: `coding.code`, or `$this` for the item itself.
    pub path: &'static str,
}

/// A named part of a list (or of a choice).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// The constraint path of the slice: `component:systolic`.
    pub path: &'static str,
    /// Where its items stand: `component`.
    pub list: &'static str,
    /// `systolic`.
    pub name: &'static str,
    /// How many are needed where the list may stand.
    pub min: u32,
    /// An item belongs to the slice when all of these hold; empty when the package leaves it open.
    pub tests: Vec<SliceTest>,
}

/// One test of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceTest {
    /// Path from the item, `coding.code`; empty: the item itself.
    pub path: &'static str,
    /// What must stand there.
    pub rule: SliceRule,
}

/// What a slice's item must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SliceRule {
    /// This value.
    Value(Expected),
    /// A code of this list.
    Codes(&'static CodeList),
    /// A code of this value set, whose codes are not known here.
    OpenCodes(&'static str),
    /// One of these types.
    Types(Vec<&'static str>),
}

/// The embedded packages, oldest first.
pub fn packages() -> &'static [Package] {
    &PACKAGES
}

/// A package by `name#version`, as a pack's `packages:` names it.
pub fn package(reference: &str) -> Option<&'static Package> {
    let (name, version) = reference.split_once('#')?;
    PACKAGES.iter().find(|package| package.name == name && package.version == version)
}

/// A profile by canonical. `canonical|version` means that version alone; without one the oldest embedded package that
/// has it answers (6.1.0 for all that US Core kept), so ask [`Package::profile`] where the version is known.
pub fn profile(url: &str) -> Option<&'static Profile> {
    match url.split_once('|') {
        Some((_, version)) if PACKAGES.iter().all(|package| package.version != version) => None,
        _ => first_that_has(url, Package::profile),
    }
}

/// Asks the package whose version `canonical|version` names, and the others only if there is none such.
pub(super) fn first_that_has<T>(
    url: &str,
    find: impl Fn(&'static Package, &str) -> Option<&'static T>,
) -> Option<&'static T> {
    let (canonical, version) = url.split_once('|').unwrap_or((url, ""));
    match PACKAGES.iter().find(|package| package.version == version) {
        Some(package) => find(package, canonical),
        None => PACKAGES.iter().find_map(|package| find(package, canonical)),
    }
}

impl Package {
    /// A profile by canonical, without version.
    pub fn profile(&'static self, canonical: &str) -> Option<&'static Profile> {
        let block = self.profiles.get(canonical)?;
        Some(block.value(|rows| {
            let (base, title) = block.head.split_once('\t').unwrap_or((block.head, ""));
            let constraints: Vec<_> = rows.map(|row| self.constraint(row)).collect();
            let slices = constraints.iter().filter_map(|constraint| slice(constraint, &constraints)).collect();
            let name = super::last_segment(block.key);
            Profile { canonical: block.key, name, version: self.version, title, base, constraints, slices }
        }))
    }

    /// Canonicals of all profiles and extensions, sorted.
    pub fn canonicals(&self) -> impl Iterator<Item = &'static str> {
        self.profiles.iter().map(|block| block.key)
    }

    /// A closed code list of this package, by canonical.
    pub fn codes(&'static self, canonical: &str) -> Option<&'static CodeList> {
        self.codes.get(canonical)
    }

    fn constraint(&'static self, row: &'static str) -> Constraint {
        let [path, cardinality, flags] = cells(row);
        let (min, max) = super::cardinality(cardinality);
        let mut constraint = Constraint {
            path,
            min,
            max,
            mandatory: flags.contains('M'),
            must_support: flags.contains('S'),
            types: Vec::new(),
            profiles: Vec::new(),
            value: None,
            value_set: None,
            codes: None,
            discriminators: Vec::new(),
        };
        for (key, value) in row.split('\t').skip(3).filter_map(|fact| fact.split_once('=')) {
            match key {
                "types" => constraint.types = types_of(value),
                "profile" => constraint.profiles = value.split('|').collect(),
                "fixed" => constraint.value = Some(Expected::Fixed(value)),
                "pattern" => constraint.value = Some(Expected::Pattern(value)),
                "codes" => {
                    constraint.value_set = Some(value);
                    constraint.codes = self.codes(value).or_else(|| super::codes::codes(value));
                }
                "slicing" => {
                    let by = value.split(',').filter_map(|by| by.split_once(':'));
                    constraint.discriminators = by.map(|(kind, path)| Discriminator { kind, path }).collect();
                }
                _ => {}
            }
        }
        constraint
    }
}

impl Profile {
    /// The constraint at a path, slices named: `component:systolic.code`.
    pub fn at(&self, path: &str) -> Option<&Constraint> {
        self.constraints.iter().find(|constraint| constraint.path == path)
    }

    /// What the profile makes mandatory and base R4 does not. An element counts only where its parent (or slice) is.
    pub fn mandatory(&self) -> impl Iterator<Item = &Constraint> {
        self.constraints.iter().filter(|constraint| constraint.mandatory)
    }

    /// What a sender must be able to fill.
    pub fn must_support(&self) -> impl Iterator<Item = &Constraint> {
        self.constraints.iter().filter(|constraint| constraint.must_support)
    }
}

impl Constraint {
    /// Whether the element may not be there.
    pub fn is_prohibited(&self) -> bool {
        self.max == Some(0)
    }

    /// The path without slice names: `category.coding.code`, `value[x].unit`.
    pub fn element_path(&self) -> String {
        let names = self.path.split('.').map(|segment| segment.split(':').next().unwrap_or_default());
        names.collect::<Vec<_>>().join(".")
    }
}

/// The slice `constraint` stands for, if it does.
fn slice(constraint: &Constraint, all: &[Constraint]) -> Option<Slice> {
    let (list, name) = constraint.path.rsplit_once(':').filter(|(_, name)| !name.contains('.'))?;
    let sliced = all.iter().find(|other| other.path == list)?;
    // Tests of some discriminators alone would let other items in.
    let tests: Option<_> = sliced.discriminators.iter().map(|by| slice_test(*by, constraint, all)).collect();
    Some(Slice { path: constraint.path, list, name, min: constraint.min, tests: tests.unwrap_or_default() })
}

/// What a slice says where a discriminator looks.
fn slice_test(by: Discriminator, slice: &Constraint, all: &[Constraint]) -> Option<SliceTest> {
    let path = if by.path == "$this" { "" } else { by.path };
    let inside = |other: &&Constraint| {
        other.path.strip_prefix(slice.path).is_some_and(|rest| rest.strip_prefix('.').unwrap_or(rest) == path)
    };
    let found = all.iter().find(inside)?;
    let rule = match (found.value, found.codes, found.value_set) {
        _ if by.kind == "type" => SliceRule::Types(found.types.iter().map(|ty| ty.code).collect()),
        (Some(value), _, _) => SliceRule::Value(value),
        (None, Some(codes), _) => SliceRule::Codes(codes),
        (None, None, Some(value_set)) => SliceRule::OpenCodes(value_set),
        (None, None, None) => return None,
    };
    Some(SliceTest { path, rule })
}

#[cfg(test)]
#[path = "profiles_tests.rs"]
mod tests;
