//! What names mean at a place: whose columns, which lists, which fragment's parameters.

use std::rc::Rc;

use super::Checker;
use crate::mapping::diagnostic::{Diagnostic, nearest};
use crate::mapping::fragment::Fragment;
use crate::mapping::pack::RawMapping;
use crate::mapping::tree::{ColumnRef, CompareOp, Condition, List, Operand};
use crate::mapping::yaml::Node;

/// A place's surroundings.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    /// Row scopes, outermost first.
    pub(super) rows: Vec<RowScope<'a>>,
    /// Inside a fragment: what its parameters stand for.
    pub(super) params: Option<Rc<Params<'a>>>,
    /// Directly inside an Extension, where `url` may be a short name.
    pub(super) in_extension: bool,
}

/// Whose columns `$x` names.
#[derive(Debug, Clone)]
pub(super) enum RowScope<'a> {
    /// The mapping's rows.
    Root(&'a RawMapping),
    /// A list of the header, with its position from the outermost.
    List(&'a List, Vec<usize>),
    /// Items of an array or json column.
    Items,
    /// No rows: a fragment checked alone.
    Nothing,
}

/// A use of a fragment.
#[derive(Debug)]
pub(super) struct Params<'a> {
    pub(super) fragment: &'a Fragment,
    /// Arguments by name, to be read in `outer`; `None` when the fragment is checked alone.
    pub(super) args: Option<Vec<(&'a str, &'a Node)>>,
    pub(super) outer: Scope<'a>,
    /// Number of uses around.
    pub(super) depth: usize,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Resolved<'a> {
    Column(ColumnRef),
    /// A constant of `site:`.
    Constant(String),
    /// A fragment's argument, and where to read it.
    Argument(&'a Node, Scope<'a>),
    /// A fragment's parameter without an argument.
    Absent,
    /// Reported.
    Wrong,
}

/// A condition after its names are resolved.
pub(super) enum Folded {
    Always,
    Never,
    When(Condition),
}

impl<'a> Scope<'a> {
    pub(super) fn root(mapping: &'a RawMapping) -> Self {
        Self { rows: vec![RowScope::Root(mapping)], params: None, in_extension: false }
    }

    /// The scope one `$each` further in.
    pub(super) fn inner(&self, row: RowScope<'a>) -> Self {
        let mut inner = self.clone();
        inner.rows.push(row);
        inner
    }

    /// The lists that `$each` may name here, and the position of their parent.
    pub(super) fn lists(&self) -> (&'a [List], &[usize]) {
        match self.rows.last() {
            Some(RowScope::Root(mapping)) => (&mapping.header.lists, &[]),
            Some(RowScope::List(list, at)) => (&list.lists, at),
            _ => (&[], &[]),
        }
    }
}

impl<'a> Checker<'a> {
    /// What a column name means in `scope`.
    pub(super) fn resolve(&mut self, scope: &Scope<'a>, column: ColumnRef) -> Resolved<'a> {
        if column.up == 0 && column.name == "site" && !column.json.is_empty() {
            return self.site(&column);
        }
        if let Some(params) = scope.params.clone() {
            return self.parameter(&params, &column);
        }
        if usize::from(column.up) >= scope.rows.len().max(1) {
            let message =
                format!("there is no parent row here for `{}{}`", "../".repeat(column.up.into()), column.name);
            let diagnostic = Diagnostic::error("M304", column.span, message);
            let levels = scope.rows.len().saturating_sub(1);
            self.report.add(diagnostic.label(match levels {
                0 => "`../` has a meaning only inside `$each`".to_owned(),
                1 => "one `$each` is open here".to_owned(),
                levels => format!("{levels} `$each` are open here"),
            }));
            return Resolved::Wrong;
        }
        Resolved::Column(column)
    }

    fn site(&mut self, column: &ColumnRef) -> Resolved<'a> {
        let name = column.json.join(".");
        if let Some(value) = self.project.site.get(&name) {
            return Resolved::Constant(value.clone());
        }
        let message = format!("project.yaml has no site constant `{name}`");
        let diagnostic = Diagnostic::error("M312", column.span, message);
        let known: Vec<&str> = self.project.site.keys().map(String::as_str).collect();
        self.report.add(match nearest(&name, known.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `site.{near}`?")),
            None if known.is_empty() => diagnostic.help("constants stand under `site:` in project.yaml"),
            None => diagnostic.note(format!("constants: {}", known.join(", "))),
        });
        Resolved::Wrong
    }

    fn parameter(&mut self, params: &Params<'a>, column: &ColumnRef) -> Resolved<'a> {
        let fragment = params.fragment;
        let declared = fragment.params.iter().any(|(name, _)| name.text == column.name);
        if !declared || column.up > 0 {
            let shown = format!("{}{}", "../".repeat(column.up.into()), column.name);
            let message = format!("fragment `{}` has no parameter `{shown}`", fragment.name);
            let mut diagnostic = Diagnostic::error("M601", column.span, message);
            diagnostic = diagnostic.label("in a fragment, names are parameters, never columns");
            let names = fragment.params.iter().map(|(name, _)| name.text.as_str());
            self.report.add(match nearest(&column.name, names.clone()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.note(format!("parameters: {}", names.collect::<Vec<_>>().join(", "))),
            });
            return Resolved::Wrong;
        }
        let Some(args) = &params.args else { return Resolved::Column(column.clone()) };
        let Some((_, node)) = args.iter().find(|(name, _)| *name == column.name) else { return Resolved::Absent };
        if column.json.is_empty() {
            return Resolved::Argument(node, params.outer.clone());
        }
        // `$p.city` walks into a json column given as `p`.
        match self.bare_column(node, &params.outer) {
            Some(Resolved::Column(mut inner)) => {
                inner.json.extend(column.json.iter().cloned());
                Resolved::Column(inner)
            }
            Some(other) => other,
            None => {
                let message =
                    format!("`{}` is given no plain column, so it has no `{}`", column.name, column.json.join("."));
                self.report.add(Diagnostic::error("M603", column.span, message));
                Resolved::Wrong
            }
        }
    }

    /// What an argument stands for when it is one column, a constant or nothing; `None` when it is more.
    pub(super) fn bare_column(&mut self, node: &'a Node, scope: &Scope<'a>) -> Option<Resolved<'a>> {
        use crate::mapping::syntax::{Piece, column, template};
        let piece = Piece::of(node)?;
        if !column::is_columns(piece.text) {
            let text = piece.text.strip_prefix('$').unwrap_or(piece.text);
            return (!template::is_template(text)).then(|| Resolved::Constant(text.to_owned()));
        }
        let columns = match column::columns(piece) {
            Ok(columns) => columns,
            Err(diagnostic) => {
                self.report.add(*diagnostic);
                return Some(Resolved::Wrong);
            }
        };
        match columns.terms.as_slice() {
            [term] if term.via.is_none() && columns.fallback.is_none() => {
                match self.resolve(scope, term.column.clone()) {
                    Resolved::Argument(node, outer) => self.bare_column(node, &outer),
                    resolved => Some(resolved),
                }
            }
            _ => None,
        }
    }

    /// A condition with its names resolved; `None` when one is wrong (and reported).
    pub(super) fn condition(&mut self, scope: &Scope<'a>, condition: Condition) -> Option<Folded> {
        Some(match self.truth(scope, condition, true)? {
            Truth::Known(true) => Folded::Always,
            Truth::Known(false) | Truth::Unknown => Folded::Never,
            Truth::Test(test) => Folded::When(test),
        })
    }

    /// `positive` outside an odd number of `not`s. It decides what an unknown part of `and` and `or` comes to: what
    /// matters is only when the whole condition is true.
    fn truth(&mut self, scope: &Scope<'a>, condition: Condition, positive: bool) -> Option<Truth> {
        Some(match condition {
            Condition::And(all) => self.junction(scope, all, false, positive)?,
            Condition::Or(all) => self.junction(scope, all, true, positive)?,
            Condition::Not(inner) => match self.truth(scope, *inner, !positive)? {
                Truth::Known(value) => Truth::Known(!value),
                Truth::Unknown => Truth::Unknown,
                Truth::Test(test) => Truth::Test(Condition::Not(Box::new(test))),
            },
            Condition::IsNull { operand, negated } => match self.operand(scope, operand)? {
                Given::Null => Truth::Known(!negated),
                Given::Operand(operand @ Operand::Column(_)) => Truth::Test(Condition::IsNull { operand, negated }),
                Given::Operand(_) => Truth::Known(negated),
            },
            Condition::In { operand, list, negated } => match self.operand(scope, operand)? {
                Given::Null => Truth::Unknown,
                Given::Operand(operand @ Operand::Column(_)) => Truth::Test(Condition::In { operand, list, negated }),
                Given::Operand(literal) => {
                    let found = list.iter().any(|other| text(other) == text(&literal));
                    Truth::Known(found != negated)
                }
            },
            Condition::Compare { left, op, right } => {
                let (left, right) = (self.operand(scope, left)?, self.operand(scope, right)?);
                match (left, right) {
                    (Given::Null, _) | (_, Given::Null) => Truth::Unknown,
                    (Given::Operand(left), Given::Operand(right)) => {
                        let columns = [&left, &right].into_iter().any(|side| matches!(side, Operand::Column(_)));
                        match (columns, op) {
                            (false, CompareOp::Eq) => Truth::Known(text(&left) == text(&right)),
                            (false, CompareOp::Ne) => Truth::Known(text(&left) != text(&right)),
                            _ => Truth::Test(Condition::Compare { left, op, right }),
                        }
                    }
                }
            }
            Condition::Truthy(column) => match self.operand(scope, Operand::Column(column))? {
                Given::Null => Truth::Unknown,
                Given::Operand(Operand::Column(column)) => Truth::Test(Condition::Truthy(column)),
                Given::Operand(literal) => Truth::Known(text(&literal) == Some("true")),
            },
        })
    }

    fn junction(&mut self, scope: &Scope<'a>, all: Vec<Condition>, any: bool, positive: bool) -> Option<Truth> {
        let (mut tests, mut decided, mut unknown) = (Vec::new(), false, false);
        for condition in all {
            match self.truth(scope, condition, positive)? {
                Truth::Known(value) => decided |= value == any,
                Truth::Unknown => unknown = true,
                Truth::Test(test) => tests.push(test),
            }
        }
        Some(match (decided, unknown, tests.len()) {
            (true, ..) => Truth::Known(any),
            (false, true, _) if any != positive => Truth::Unknown,
            (false, true, 0) => Truth::Unknown,
            (false, false, 0) => Truth::Known(!any),
            (false, _, 1) => Truth::Test(tests.remove(0)),
            _ if any => Truth::Test(Condition::Or(tests)),
            _ => Truth::Test(Condition::And(tests)),
        })
    }

    fn operand(&mut self, scope: &Scope<'a>, operand: Operand) -> Option<Given> {
        let Operand::Column(column) = operand else { return Some(Given::Operand(operand)) };
        let span = column.span;
        let name = column.name.clone();
        let resolved = match self.resolve(scope, column) {
            Resolved::Argument(node, outer) => self.bare_column(node, &outer),
            resolved => Some(resolved),
        };
        match resolved {
            Some(Resolved::Column(column)) => Some(Given::Operand(Operand::Column(column))),
            Some(Resolved::Constant(text)) => Some(Given::Operand(Operand::Text(text))),
            Some(Resolved::Absent) => Some(Given::Null),
            Some(Resolved::Wrong | Resolved::Argument(..)) => None,
            None => {
                let message = format!("a condition needs a column, and the argument given for `{name}` is none");
                self.report.add(Diagnostic::error("M603", span, message));
                None
            }
        }
    }
}

enum Truth {
    Known(bool),
    Unknown,
    Test(Condition),
}

enum Given {
    Operand(Operand),
    Null,
}

fn text(operand: &Operand) -> Option<&str> {
    match operand {
        Operand::Text(text) | Operand::Number(text) => Some(text),
        Operand::Bool(value) => Some(if *value { "true" } else { "false" }),
        Operand::Column(_) => None,
    }
}
