//! The FHIRPath of search parameters: element names, a type, and a few filters.

/// One way down from a resource to what a search parameter looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// From the resource down; empty for the resource itself.
    pub steps: Vec<PathStep>,
    /// Whether what is looked at is there and not `false` (`Patient?deceased`), in place of its value.
    pub presence: bool,
}

/// A step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathStep {
    /// A member by its FHIR name, a choice without its type: `value`.
    Element(&'static str),
    /// Only values of this type: `value as Quantity`.
    As(&'static str),
    /// Only objects whose member has this text: `telecom.where(system='phone')`.
    Where(&'static str, &'static str),
    /// Only references to this resource type.
    Resolves(&'static str),
}

/// The paths of an expression for `resource_type`, `None` when it has more in it than this module knows.
pub fn paths(resource_type: &str, expression: &'static str) -> Option<Vec<Path>> {
    if let Some((looked_at, _)) = expression.split_once(".exists() and ") {
        return Some(vec![Path { presence: true, ..path(resource_type, looked_at)? }]);
    }
    expression.split('|').map(|one| path(resource_type, one.trim())).collect()
}

fn path(resource_type: &str, text: &'static str) -> Option<Path> {
    // `(Observation.value as string)`, perhaps with more behind it.
    let (base, rest) = match text.strip_prefix('(') {
        Some(inner) => {
            let (inside, after) = inner.split_once(')')?;
            let (base, ty) = inside.split_once(" as ")?;
            (base, [Some(ty), after.strip_prefix('.')])
        }
        None => (text, [None, None]),
    };
    let [ty, after] = rest;
    let mut steps = Vec::new();
    let own = |name: &str| [resource_type, "Resource", "DomainResource"].contains(&name);
    for (nth, piece) in pieces(base).into_iter().enumerate() {
        if nth > 0 || !own(piece) {
            steps.extend(step(piece)?);
        }
    }
    steps.extend(ty.map(PathStep::As));
    for piece in after.map(pieces).unwrap_or_default() {
        steps.extend(step(piece)?);
    }
    Some(Path { steps, presence: false })
}

/// The pieces between dots that stand outside of parentheses.
fn pieces(text: &'static str) -> Vec<&'static str> {
    let mut depth = 0_u32;
    text.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '.' && depth == 0
    })
    .collect()
}

fn step(piece: &'static str) -> Option<Vec<PathStep>> {
    let inside = |name: &str| piece.strip_prefix(name)?.strip_prefix('(')?.strip_suffix(')');
    let unquoted = |text: &'static str| text.strip_prefix('\'')?.strip_suffix('\'').filter(|text| !text.contains('\''));
    if let Some(condition) = inside("where") {
        if let Some(target) = condition.strip_prefix("resolve() is ") {
            return Some(vec![PathStep::Resolves(target)]).filter(|_| is_name(target));
        }
        let (member, text) = condition.split_once('=')?;
        return Some(vec![PathStep::Where(member.trim(), unquoted(text.trim())?)]).filter(|_| is_name(member.trim()));
    }
    if let Some(ty) = inside("as") {
        return Some(vec![PathStep::As(ty)]).filter(|_| is_name(ty));
    }
    if let Some(url) = inside("extension") {
        let (list, value) = (PathStep::Element("extension"), PathStep::Element("value"));
        return Some(vec![list, PathStep::Where("url", unquoted(url)?), value]);
    }
    Some(vec![PathStep::Element(piece)]).filter(|_| is_name(piece))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fhir::elements::resource_types;
    use crate::fhir::search::{SearchType, search_params};

    #[test]
    fn expressions_of_every_form() {
        use PathStep::{As, Element, Resolves, Where};
        let extension = [Element("extension"), Where("url", "http://a.b/c-d"), Element("value")];
        let one = |steps: &[PathStep]| Some(vec![Path { steps: steps.to_vec(), presence: false }]);
        for (expression, want) in [
            ("Patient.birthDate", one(&[Element("birthDate")])),
            ("Resource.meta.lastUpdated", one(&[Element("meta"), Element("lastUpdated")])),
            ("(Patient.deceased as dateTime)", one(&[Element("deceased"), As("dateTime")])),
            ("(Patient.a as CodeableConcept).text", one(&[Element("a"), As("CodeableConcept"), Element("text")])),
            ("Patient.a.as(Age)", one(&[Element("a"), As("Age")])),
            ("Patient.link.where(resolve() is Patient)", one(&[Element("link"), Resolves("Patient")])),
            ("Patient.telecom.where(system='email')", one(&[Element("telecom"), Where("system", "email")])),
            ("Patient.extension('http://a.b/c-d')", one(&extension)),
            ("Patient.extension.where(url = 'http://a.b/c-d').value", one(&extension)),
            ("name", one(&[Element("name")])),
            ("Patient.entry[0].resource", None),
            ("Patient.item.where(hasExtension('x')).answer", None),
            ("Patient", one(&[])),
        ] {
            assert_eq!(paths("Patient", expression), want, "{expression}");
        }
        let deceased = paths("Patient", "Patient.deceased.exists() and Patient.deceased != false").expect("a path");
        assert_eq!(deceased, [Path { steps: vec![Element("deceased")], presence: true }]);
        assert_eq!(paths("Patient", "Patient.a | Patient.b").map(|paths| paths.len()), Some(2));
    }

    #[test]
    fn all_but_three_expressions_of_r4_are_known() {
        let mut unknown = Vec::new();
        for resource_type in resource_types() {
            for param in search_params(resource_type) {
                let simple = !matches!(param.kind, SearchType::Composite | SearchType::Special);
                if simple && !param.expression.is_empty() && paths(resource_type, param.expression).is_none() {
                    unknown.push(format!("{resource_type}?{}", param.code));
                }
            }
        }
        assert_eq!(unknown, ["Bundle?composition", "Bundle?message", "QuestionnaireResponse?item-subject"]);
    }
}
