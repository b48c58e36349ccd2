//! Columns of a scope: where a name comes from, the slot it gets, and the streams the slots are read from.

use std::fmt::Write as _;

use super::bind::{described, from_item, listed};
use super::catalog::RowSource;
use super::lower::Lower;
use super::program::{KeyColumn, ScopeRows, Slot, SlotRef, Writer};
use super::scope::{Presence, ScopeDraft, Sym};
use super::select::{ParentLink, Read, ReadForm, StreamPlan, quote_ident, quote_literal};
use super::split::SplitColumn;
use super::updated;
use crate::mapping::diagnostic::Diagnostic;
use crate::mapping::source::Span;
use crate::mapping::tree::{ColumnRef, List, Mapping, Name, Split};
use crate::row::PgKind;

/// What a scope's names refer to.
#[derive(Debug, Clone)]
pub(super) enum ScopeNames<'a> {
    /// Columns of a stream.
    Rows {
        rows: &'a RowSource,
        described: String,
        stream: u16,
        alias: &'static str,
        /// Position of the list in the header, outermost first; empty for the driving rows.
        path: Vec<usize>,
        each: Option<Span>,
    },
    /// Fields of the items of a json array in the enclosing scope's stream.
    Json {
        /// SQL of the array, as jsonb.
        array: String,
        /// The row source, column, type and path of the array.
        source: (String, String, PgKind, Vec<String>),
    },
    /// The elements of an array in slot `slot` of the enclosing scope.
    Array { of: PgKind, slot: u16, column: String },
}

/// A column found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) up: u8,
    scope: u16,
    column: u16,
    pub(super) kind: PgKind,
    pub(super) from_json: bool,
}

/// How a column takes part in an ordering that streams share.
pub(super) struct KeyForm {
    select: String,
    order: String,
    pub(super) kind: PgKind,
}

/// The form a key column is ordered, compared and split in; `None` for types without one.
pub(super) fn key_form(alias: &str, name: &str, kind: &PgKind) -> Option<KeyForm> {
    let raw = format!("{alias}.{}", quote_ident(name));
    let (select, order, kind) = match kind {
        // Bytes order the same on both sides whatever the database's collation is.
        PgKind::Text | PgKind::Char => {
            let text = format!("{raw}::text collate \"C\"");
            (text.clone(), text, PgKind::Text)
        }
        PgKind::Int2 | PgKind::Int4 | PgKind::Int8 => (format!("{raw}::int8"), raw, PgKind::Int8),
        PgKind::Uuid | PgKind::Numeric | PgKind::Date | PgKind::Timestamp | PgKind::TimestampTz => {
            (raw.clone(), raw, kind.clone())
        }
        _ => return None,
    };
    Some(KeyForm { select, order, kind })
}

/// How a column is ordered by, if its type can be.
pub(super) fn order_of(alias: &str, name: &str, kind: &PgKind) -> Option<String> {
    key_form(alias, name, kind).map(|form| form.order)
}

/// The column that parallel cursors divide the driving rows by.
pub(super) fn split_column(mapping: &Mapping, rows: &RowSource) -> Option<SplitColumn> {
    let name = match &mapping.header.split {
        Split::None => return None,
        Split::Column(name) => name,
        Split::FirstKey => mapping.header.key.first()?,
    };
    let (_, column) = rows.column(&name.text)?;
    order_of("q", &name.text, &column.kind)?;
    Some(SplitColumn { name: name.text.clone(), kind: column.kind.clone(), origin: column.origin.clone() })
}

impl<'a> Lower<'a> {
    /// Adds an expression to a stream's select list, once.
    fn stream_column(&mut self, stream: u16, expression: String, read: Read) -> u16 {
        let StreamPlan { columns, reads, .. } = &mut self.streams[stream as usize];
        if let Some(at) = columns.iter().position(|known| *known == expression) {
            return at as u16;
        }
        columns.push(expression);
        reads.push(read);
        (columns.len() - 1) as u16
    }

    /// The catalog's name of the list at this position of the header; of the driving rows when it is empty.
    fn rows_name(&self, path: &[usize]) -> String {
        list_name(&self.mapping.name, &self.mapping.header.lists, path)
    }

    /// Finds a column from the current scope; says what is wrong when it is not there. With `document`, a json path
    /// stays json instead of becoming text.
    pub(super) fn find_column(&mut self, name: &ColumnRef, document: bool) -> Option<Found> {
        let mut scope = self.current;
        for _ in 0..name.up {
            scope = self.scopes[scope as usize].parent?;
        }
        match self.names[scope as usize].clone() {
            ScopeNames::Rows { rows, described, stream, alias, path, each } => {
                if path.is_empty()
                    && let Some((sql, kind, form)) = updated::computed(self.mapping, rows, alias, &name.name)
                {
                    let source = (self.rows_name(&path), name.name.clone(), kind.clone());
                    let column = self.stream_column(stream, sql, read(source, form));
                    return Some(Found { up: name.up, scope, column, kind, from_json: false });
                }
                let Some((_, column)) = rows.column(&name.name) else {
                    self.unknown(name, scope, rows, &described, &path, each);
                    return None;
                };
                let raw = format!("{alias}.{}", quote_ident(&name.name));
                let source = (self.rows_name(&path), name.name.clone(), column.kind.clone());
                if name.json.is_empty() {
                    let kind = column.kind.clone();
                    let column = self.stream_column(stream, raw, read(source, ReadForm::Plain));
                    return Some(Found { up: name.up, scope, column, kind, from_json: false });
                }
                if !matches!(column.kind, PgKind::Json | PgKind::Jsonb) {
                    self.diagnostics.push(
                        Diagnostic::error("M204", name.span, format!("column `{}` is not a json document", name.name))
                            .label(format!("{} has no fields", column.kind)),
                    );
                    return None;
                }
                let steps: Vec<String> = name.json.iter().map(|step| quote_literal(step)).collect();
                let operator = if document { "#>" } else { "#>>" };
                let kind = if document { PgKind::Jsonb } else { PgKind::Text };
                let form = if document { ReadForm::Json } else { ReadForm::JsonText };
                let expression = format!("{raw}::jsonb {operator} array[{}]", steps.join(","));
                let column = self.stream_column(stream, expression, read(source, form(name.json.clone())));
                Some(Found { up: name.up, scope, column, kind, from_json: true })
            }
            ScopeNames::Json { array, source: (rows, column, kind, path) } => {
                let field: Vec<String> = std::iter::once(&name.name).chain(&name.json).cloned().collect();
                let steps: Vec<String> = field.iter().map(|step| quote_literal(step)).collect();
                let expression = format!(
                    "array(select e.v #>> array[{}] from jsonb_array_elements(case jsonb_typeof({array}) \
                     when 'array' then {array} end) with ordinality e(v, n) order by e.n)",
                    steps.join(",")
                );
                let read = read((rows, column, kind), ReadForm::JsonItems { array: path, field });
                let slot = self.enclosing_array(scope, expression, read, PgKind::Text)?;
                let column = self.array_position(scope, slot);
                Some(Found { up: name.up, scope, column, kind: PgKind::Text, from_json: true })
            }
            ScopeNames::Array { of, slot, column } => {
                if name.name != "value" || !name.json.is_empty() {
                    self.diagnostics.push(
                        Diagnostic::error("M304", name.span, format!("no column `{}` in array `{column}`", name.name))
                            .label("the elements of an array are `$value`"),
                    );
                    return None;
                }
                let column = self.array_position(scope, slot);
                Some(Found { up: name.up, scope, column, kind: of, from_json: false })
            }
        }
    }

    /// The slot of the enclosing scope that holds this array expression.
    fn enclosing_array(&mut self, scope: u16, expression: String, read: Read, of: PgKind) -> Option<u16> {
        let outer = self.scopes[scope as usize].parent?;
        let ScopeNames::Rows { stream, .. } = self.names[outer as usize] else { return None };
        let column = self.stream_column(stream, expression, read);
        Some(self.scopes[outer as usize].slot(Slot { column, kind: PgKind::Array(Box::new(of)), check: None }))
    }

    fn array_position(&mut self, scope: u16, slot: u16) -> u16 {
        let ScopeRows::Arrays { arrays } = &mut self.scopes[scope as usize].rows else { return 0 };
        if let Some(at) = arrays.iter().position(|known| *known == slot) {
            return at as u16;
        }
        arrays.push(slot);
        (arrays.len() - 1) as u16
    }

    fn unknown(
        &mut self,
        name: &ColumnRef,
        scope: u16,
        rows: &'a RowSource,
        described: &str,
        path: &[usize],
        each: Option<Span>,
    ) {
        let Some(each) = each.filter(|_| !path.is_empty()) else {
            super::bind::find(rows, described, &name.name, name.span, &mut self.diagnostics);
            return;
        };
        let list = list_at(&self.mapping.header.lists, path).map_or("", |list| &list.name.text);
        let names: Vec<&str> = rows.columns.iter().map(|column| column.name.as_str()).collect();
        let mut diagnostic =
            Diagnostic::error("M304", name.span, format!("no column `{}` in list `{list}`", name.name))
                .label(format!("columns here: {}", listed(&names, 11)))
                .also(
                    each,
                    format!("inside this list, columns are those of {}", described.trim_start_matches("table ")),
                );
        let parent_has = self.scopes[scope as usize].parent.is_some_and(|outer| match &self.names[outer as usize] {
            ScopeNames::Rows { rows, .. } => rows.column(&name.name).is_some(),
            _ => false,
        });
        let at = Span { start: name.span.end.saturating_sub(name.name.len() as u32).max(name.span.start), ..name.span };
        if parent_has {
            let insert = Span { end: at.start, ..at };
            diagnostic = diagnostic.edit("the parent row has it; write", insert, "../");
        } else if let Some(near) = crate::mapping::nearest(&name.name, names.iter().copied()) {
            diagnostic = diagnostic.edit("a column with a similar name exists", at, near);
        }
        self.diagnostics.push(diagnostic);
    }

    /// The slot that reads a found column, seen from the current scope, and when it is not empty.
    pub(super) fn slot_of(&mut self, found: &Found, check: Option<(Writer, u16)>) -> (SlotRef, Presence) {
        let slot =
            self.scopes[found.scope as usize].slot(Slot { column: found.column, kind: found.kind.clone(), check });
        let presence = self.seen(found.scope, Sym::Slot(slot));
        (SlotRef { up: found.up, slot }, presence)
    }

    /// A bit of an enclosing scope as a bit of the current one.
    pub(super) fn seen(&mut self, scope: u16, bit: Sym) -> Presence {
        let mut chain = Vec::new();
        let mut at = self.current;
        while at != scope {
            chain.push(at);
            match self.scopes[at as usize].parent {
                Some(parent) => at = parent,
                None => return Presence::Never,
            }
        }
        let bit = chain.into_iter().rev().fold(bit, |bit, at| self.scopes[at as usize].import(bit));
        Presence::When(bit)
    }

    /// The scope number `up` levels outward.
    pub(super) fn outward(&self, up: u8) -> u16 {
        (0..up).fold(self.current, |scope, _| self.scopes[scope as usize].parent.unwrap_or(0))
    }

    /// Opens the scope of a header list: its stream, ordered as the enclosing stream is.
    pub(super) fn list_scope(&mut self, path: &[usize], each: Span) -> Option<u16> {
        let header = &self.mapping.header;
        let list = list_at(&header.lists, path)?;
        let name = list_name(&self.mapping.name, &header.lists, path);
        let rows = self.catalog.rows.get(&name)?;
        let described = described(&list.rows, self.sources, self.mapping);
        let stream = self.streams.len() as u16;
        let nested = path.len() > 1;
        let mut plan = StreamPlan {
            name: name.clone(),
            rows: name,
            from: from_item(&list.rows, "l"),
            columns: Vec::new(),
            reads: Vec::new(),
            conditions: Vec::new(),
            order: Vec::new(),
            parent: None,
            split: None,
        };
        let driving = self.catalog.rows.get(&self.mapping.name)?;
        // Levels from the outermost list to this one, each with its alias.
        let mut levels: Vec<(&'a List, &'a RowSource, String)> = Vec::new();
        for depth in 1..=path.len() {
            let level = list_at(&header.lists, &path[..depth])?;
            let rows = self.catalog.rows.get(&list_name(&self.mapping.name, &header.lists, &path[..depth]))?;
            let alias = if depth == path.len() { "l".to_owned() } else { format!("p{depth}") };
            levels.push((level, rows, alias));
        }
        for pair in levels.windows(2) {
            let [(outer, _, outer_alias), (inner, _, inner_alias)] = pair else { continue };
            let on: Vec<String> = inner
                .parent
                .iter()
                .zip(&outer.key)
                .map(|(child, key)| {
                    let (child, key) = (quote_ident(&child.text), quote_ident(&key.text));
                    format!("{inner_alias}.{child} = {outer_alias}.{key}")
                })
                .collect();
            let _ = write!(plan.from, " join {} on {}", from_item(&outer.rows, outer_alias), on.join(" and "));
        }
        self.streams.push(plan);
        let mut key = Vec::new();
        // The driving key, as the outermost list holds it.
        let (top, top_rows, top_alias) = levels.first().cloned()?;
        let mut link = ParentLink {
            columns: Vec::new(),
            key: Vec::new(),
            from: from_item(&header.rows, "q"),
            always: nested || !top.lists.is_empty(),
        };
        for (child, parent) in top.parent.iter().zip(&header.key) {
            let own = self.key_column(top_rows, &top_alias, child)?;
            let theirs = self.key_column(driving, "q", parent)?;
            if own.kind != theirs.kind {
                let kinds = (top_rows.column(&child.text), driving.column(&parent.text));
                if let (Some((_, own)), Some((_, theirs))) = kinds {
                    self.key_types_differ(child, &own.kind, parent, &theirs.kind);
                }
                return None;
            }
            link.columns.push(own.order.clone());
            link.key.push(theirs.order.clone());
            self.streams[stream as usize]
                .conditions
                .push(format!("{top_alias}.{} is not null", quote_ident(&child.text)));
            self.streams[stream as usize].order.push(own.order.clone());
            let child_read = key_read(self.rows_name(&path[..1]), top_rows, child);
            let child_column = self.stream_column(stream, own.select, child_read.clone());
            let outer_stream = self.stream_of(self.current)?;
            let parent_column = if nested {
                // The enclosing list's stream holds the driving key too.
                let outer = self.key_column(top_rows, if path.len() == 2 { "l" } else { &top_alias }, child)?;
                self.stream_column(outer_stream, outer.select, child_read)
            } else {
                let parent_read = key_read(self.rows_name(&[]), driving, parent);
                self.stream_column(outer_stream, theirs.select, parent_read)
            };
            key.push(KeyColumn { parent: parent_column, child: child_column, kind: own.kind });
        }
        // Below that, each level's order and key, as the enclosing stream is ordered.
        for (depth, (level, level_rows, alias)) in levels.iter().enumerate() {
            let last = depth + 1 == levels.len();
            for order in &level.order {
                let form = level_rows.column(&order.text).and_then(|(_, c)| key_form(alias, &order.text, &c.kind));
                let order = form.map_or_else(|| format!("{alias}.{}", quote_ident(&order.text)), |form| form.order);
                self.streams[stream as usize].order.push(order);
            }
            for name in &level.key {
                let own = self.key_column(level_rows, alias, name)?;
                self.streams[stream as usize].order.push(own.order.clone());
                if !last {
                    let read = key_read(self.rows_name(&path[..=depth]), level_rows, name);
                    let child = self.stream_column(stream, own.select, read.clone());
                    let outer_alias = if depth + 2 == levels.len() { "l".to_owned() } else { alias.clone() };
                    let outer = self.key_column(level_rows, &outer_alias, name)?;
                    let outer_stream = self.stream_of(self.current)?;
                    let parent = self.stream_column(outer_stream, outer.select, read);
                    key.push(KeyColumn { parent, child, kind: own.kind });
                }
            }
        }
        if header.key.first().is_some_and(|first| self.split.as_ref().is_some_and(|split| split.name == first.text)) {
            self.streams[stream as usize].split = link.columns.first().cloned();
        }
        self.streams[stream as usize].parent = Some(link);
        self.order_driving_rows(driving)?;
        let scope = self.scopes.len() as u16;
        self.scopes.push(ScopeDraft::new(Some(self.current), ScopeRows::Stream { stream, key, joined: nested }));
        self.names.push(ScopeNames::Rows {
            rows,
            described,
            stream,
            alias: "l",
            path: path.to_vec(),
            each: Some(each),
        });
        Some(scope)
    }

    /// Orders stream 0 by the key, once the first list needs it.
    fn order_driving_rows(&mut self, driving: &'a RowSource) -> Option<()> {
        if self.streams[0].order.is_empty() {
            for name in &self.mapping.header.key {
                let form = self.key_column(driving, "q", name)?;
                self.streams[0].order.push(form.order);
            }
        }
        Some(())
    }

    fn stream_of(&self, scope: u16) -> Option<u16> {
        match &self.names[scope as usize] {
            ScopeNames::Rows { stream, .. } => Some(*stream),
            _ => None,
        }
    }

    fn key_column(&mut self, rows: &RowSource, alias: &str, name: &Name) -> Option<KeyForm> {
        let (_, column) = rows.column(&name.text)?;
        let form = key_form(alias, &name.text, &column.kind);
        if form.is_none() {
            self.diagnostics.push(
                Diagnostic::error("M204", name.span, format!("{} cannot be part of a key", column.kind))
                    .help("keys are integers, uuids, texts, dates, times or numerics; cast it in SQL"),
            );
        }
        form
    }

    fn key_types_differ(&mut self, child: &Name, own: &PgKind, parent: &Name, theirs: &PgKind) {
        self.diagnostics.push(
            Diagnostic::error("M406", child.span, format!("key types differ: {own} here, {theirs} in the parent"))
                .also(parent.span, "the parent's key")
                .help("cast one of them in SQL, so that both are of one type"),
        );
    }

    /// Opens the scope of an array or json-array column of the current scope.
    pub(super) fn column_scope(&mut self, column: &ColumnRef) -> Option<u16> {
        let found = self.find_column(column, true)?;
        let ScopeNames::Rows { rows, alias, path, .. } = self.names[found.scope as usize].clone() else {
            self.diagnostics.push(
                Diagnostic::error("M204", column.span, "an array inside an array cannot be iterated")
                    .help("make it a list of the header, with SQL that returns one row per item"),
            );
            return None;
        };
        if found.scope != self.current {
            self.diagnostics.push(
                Diagnostic::error("M204", column.span, "an array of the parent row cannot be iterated here")
                    .help("iterate it outside this `$each`"),
            );
            return None;
        }
        let raw = format!("{alias}.{}", quote_ident(&column.name));
        let names = match &found.kind {
            PgKind::Json | PgKind::Jsonb => {
                let array = if column.json.is_empty() {
                    format!("({raw})::jsonb")
                } else {
                    let steps: Vec<String> = column.json.iter().map(|step| quote_literal(step)).collect();
                    format!("({raw}::jsonb #> array[{}])", steps.join(","))
                };
                let kind = rows.column(&column.name).map_or(PgKind::Jsonb, |(_, column)| column.kind.clone());
                let source = (self.rows_name(&path), column.name.clone(), kind, column.json.clone());
                ScopeNames::Json { array, source }
            }
            PgKind::Array(of) => {
                let (slot, _) = self.slot_of(&found, None);
                ScopeNames::Array { of: (**of).clone(), slot: slot.slot, column: column.name.clone() }
            }
            other => {
                self.diagnostics.push(
                    Diagnostic::error(
                        "M204",
                        column.span,
                        format!("`$each` needs rows, and `{}` has none", column.name),
                    )
                    .label(format!("{other}; an array, a json array or a list of the header can be iterated")),
                );
                return None;
            }
        };
        let scope = self.scopes.len() as u16;
        self.scopes.push(ScopeDraft::new(Some(self.current), ScopeRows::Arrays { arrays: Vec::new() }));
        self.names.push(names);
        Some(scope)
    }
}

fn read((rows, column, kind): (String, String, PgKind), form: ReadForm) -> Read {
    Read::Column { rows, column, kind, form }
}

fn key_read(rows: String, known: &RowSource, name: &Name) -> Read {
    let kind = known.column(&name.text).map_or(PgKind::Text, |(_, column)| column.kind.clone());
    Read::Column { rows, column: name.text.clone(), kind, form: ReadForm::Key }
}

/// The list at this position of the header.
pub(super) fn list_at<'a>(lists: &'a [List], path: &[usize]) -> Option<&'a List> {
    let (first, rest) = path.split_first()?;
    let list = lists.get(*first)?;
    if rest.is_empty() { Some(list) } else { list_at(&list.lists, rest) }
}

/// The catalog's name of the list at this position of the header; of the mapping's rows when it is empty.
pub(super) fn list_name(mapping: &str, lists: &[List], path: &[usize]) -> String {
    let mut name = mapping.to_owned();
    for depth in 1..=path.len() {
        if let Some(list) = list_at(lists, &path[..depth]) {
            name.push('/');
            name.push_str(&list.name.text);
        }
    }
    name
}
