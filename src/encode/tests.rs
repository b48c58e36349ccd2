//! The machine, with programs written by hand.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::fixture::{Assembler, Rows, own, rows, run};
use super::{EncodeError, Encoder, Limits, Rejection, SiteCounts};
use crate::mapping::tree::{CompareOp, Function};
use crate::plan::program::{
    Comparand, MapOther, MapTable, Op, PredicateTest, Program, SlotRef, Syntax, TextArg, TextArgText, TextPart,
    TextProgram, TextTest, Writer,
};

const ALL: usize = usize::MAX;

fn outer(slot: u16) -> SlotRef {
    SlotRef { up: 1, slot }
}

/// Runs with one batch and one chunk, and again with the smallest of both: the bytes must be the same.
fn check(program: &Arc<Program>, streams: &[Rows], expected: &str) -> super::Report {
    let whole = run(program, streams, 1_000, ALL);
    assert_eq!(whole.text, expected);
    for (batch_rows, chunk_bytes) in [(1, ALL), (2, 2), (1, 24)] {
        let parts = run(program, streams, batch_rows, chunk_bytes);
        assert_eq!(parts.text, expected, "batches of {batch_rows}, chunks of {chunk_bytes}");
        assert_eq!(parts.report, whole.report);
    }
    whole.report
}

fn map(entries: &[(&str, &str)], empty: MapOther, other: MapOther) -> MapTable {
    let entries = entries.iter().map(|(from, to)| ((*from).to_owned(), to.as_bytes().to_vec())).collect();
    MapTable { name: "m".to_owned(), entries, empty, other, counted: true }
}

/// `{"id":…,"gender":…,"birthDate":…}`
fn patients() -> Arc<Program> {
    let mut asm = Assembler::new(&["text", "text", "date"]);
    let id_site = asm.site("R405", "Patient.id");
    let map_site = asm.site("R503", "Patient.gender");
    let date_site = asm.site("R204", "Patient.birthDate");
    let other = MapOther::Json(b"\"unknown\"".to_vec());
    let (gender, present, _) =
        asm.lookup(0, 1, map(&[("M", "\"male\""), ("F", "\"female\"")], MapOther::Omit, other), map_site);
    let no_id = asm.here();
    asm.op(Op::JumpUnless { bit: 0, to: no_id + 2 }).op(Op::Jump { to: no_id + 3 }).op(Op::Reject { site: id_site });
    asm.write("{\"id\":").op(Op::Text { text: 0, site: id_site }).write(",");
    asm.when(present, |asm| {
        asm.write("\"gender\":").op(Op::Map { up: 0, lookup: gender }).write(",");
    });
    asm.when(2, |asm| {
        asm.write("\"birthDate\":").put(own(2), Writer::Date, date_site).write(",");
    });
    asm.trim("}\n");
    asm.finish()
}

#[test]
fn flat_rows() {
    let report = check(
        &patients(),
        &[rows("a|M|1990-07-21\n b-2|X|-\n c| |2020-02-29\n d|-|-\n")],
        "{\"id\":\"a\",\"gender\":\"male\",\"birthDate\":\"1990-07-21\"}\n\
         {\"id\":\"b-2\",\"gender\":\"unknown\"}\n\
         {\"id\":\"c\",\"birthDate\":\"2020-02-29\"}\n\
         {\"id\":\"d\"}\n",
    );
    assert_eq!((report.rows_read, report.emitted, report.rejected), (4, 4, 0));
    assert_eq!((report.sites[&1].unmapped, report.distinct_unmapped(1)), (1, 1));
}

#[test]
fn rejected_rows_leave_no_bytes() {
    let report = check(
        &patients(),
        &[rows("a|M|infinity\n b_2|M|-\n -|M|-\n good|M|-\n c|M|-infinity\n")],
        "{\"id\":\"good\",\"gender\":\"male\"}\n",
    );
    assert_eq!((report.rows_read, report.emitted, report.rejected), (5, 1, 4));
    let rejection = |site, id: Option<&str>| Rejection { site, id: id.map(str::to_owned) };
    assert_eq!(
        report.rejections,
        [rejection(2, Some("a")), rejection(0, None), rejection(0, None), rejection(2, Some("c"))]
    );
    assert_eq!(report.sites[&2], SiteCounts { rejected: 2, ..SiteCounts::default() });
}

#[test]
fn a_map_that_says_error_rejects_where_it_is_used() {
    let mut asm = Assembler::new(&["text", "text"]);
    let site = asm.site("R503", "Basic.code");
    let (code, present, _) = asm.lookup(0, 1, map(&[("a", "\"A\"")], MapOther::Omit, MapOther::Reject), site);
    let used = asm.predicate(0, PredicateTest::Literal(own(0), CompareOp::Ne, Comparand::Text("skip".to_owned())));
    asm.write("{\"x\":1,");
    asm.when(used, |asm| {
        asm.when(present, |asm| {
            asm.write("\"code\":").op(Op::Map { up: 0, lookup: code }).write(",");
        });
    });
    asm.trim("}\n");
    let report =
        check(&asm.finish(), &[rows("1|a\n 2|b\n skip|b\n 3|-\n")], "{\"x\":1,\"code\":\"A\"}\n{\"x\":1}\n{\"x\":1}\n");
    assert_eq!(report.rejections, [Rejection { site, id: Some("2".to_owned()) }]);
}

#[test]
fn invalid_values_are_omitted_where_the_policy_says_so() {
    let mut asm = Assembler::new(&["text", "text"]);
    let site = asm.site("R204", "Basic.created");
    asm.program.scopes[0].slots[1].check = Some((Writer::Checked(Syntax::Date, None), site));
    asm.write("{\"x\":1,");
    asm.when(1, |asm| {
        asm.write("\"created\":").put(own(1), Writer::Checked(Syntax::Date, None), site).write(",");
    });
    asm.trim("}\n");
    let report =
        check(&asm.finish(), &[rows("1| 2020-01 \n 2|bad\n")], "{\"x\":1,\"created\":\"2020-01\"}\n{\"x\":1}\n");
    assert_eq!(report.sites[&site], SiteCounts { invalid: 1, ..SiteCounts::default() });
}

#[test]
fn adjusted_times_are_counted() {
    let mut asm = Assembler::new(&["text", "timestamp"]);
    asm.program.timezone = "America/New_York".to_owned();
    let site = asm.site("R204", "Basic.created");
    asm.write("{\"t\":").put(own(1), Writer::Timestamp, site).write("}\n");
    let report = check(
        &asm.finish(),
        &[rows("1|2026-03-08 02:30:00\n 2|2026-03-08 03:30:00\n")],
        "{\"t\":\"2026-03-08T02:30:00-04:00\"}\n{\"t\":\"2026-03-08T03:30:00-04:00\"}\n",
    );
    assert_eq!(report.sites[&site], SiteCounts { adjusted: 1, ..SiteCounts::default() });
}

#[test]
fn conditions_have_three_values() {
    let number = |n| Comparand::Int(n);
    let text = |text: &str| Comparand::Text(text.to_owned());
    let is = |slot, op, literal| PredicateTest::Literal(own(slot), op, literal);
    let not = |test| PredicateTest::Not(Box::new(test));
    for (test, expected) in [
        (is(1, CompareOp::Gt, number(1)), "b"),
        (not(is(1, CompareOp::Gt, number(1))), "a"),
        (PredicateTest::IsNull(own(1)), "c"),
        (not(PredicateTest::IsNull(own(1))), "ab"),
        (PredicateTest::In(own(2), vec![text("x"), text("y")]), "ab"),
        (not(PredicateTest::In(own(2), vec![text("x")])), "b"),
        (PredicateTest::IsNull(own(2)), "c"),
        (PredicateTest::And(vec![is(1, CompareOp::Ge, number(1)), is(2, CompareOp::Eq, text("x"))]), "a"),
        (PredicateTest::Or(vec![is(1, CompareOp::Eq, number(2)), PredicateTest::Truthy(own(3))]), "abc"),
        (not(PredicateTest::And(vec![PredicateTest::Truthy(own(3)), is(1, CompareOp::Eq, number(2))])), "ab"),
        (PredicateTest::Slots(own(1), CompareOp::Lt, own(4)), "a"),
        (PredicateTest::And(vec![]), "abc"),
        (PredicateTest::Or(vec![]), ""),
    ] {
        let mut asm = Assembler::new(&["text", "integer", "text", "boolean", "integer"]);
        let site = asm.site("R204", "Basic.id");
        let bit = asm.predicate(0, test.clone());
        asm.when(bit, |asm| {
            asm.op(Op::Text { text: 0, site });
        });
        let found = run(&asm.finish(), &[rows("a|1|x|true|5\n b|2|y|false|-\n c|-| |true|5\n")], 1_000, ALL);
        assert_eq!(found.text.replace('"', ""), expected, "{test:?}");
    }
}

#[test]
fn rules_and_absent_codes() {
    let mut asm = Assembler::new(&["text", "text", "text"]);
    let site = asm.site("R501", "Basic.code");
    let unmapped = map(&[("a", "\"A\"")], MapOther::Json(b"\"N\"".to_vec()), MapOther::Absent);
    let (code, present, absent) = asm.lookup(0, 1, unmapped, site);
    let same = MapOther::Around(b"{\"text\":".to_vec(), b"}".to_vec());
    let (concept, concept_present, _) = asm.lookup(0, 2, map(&[], MapOther::Omit, same), site);
    let any = asm.rule(0, &[absent, 2], false);
    let both = asm.rule(0, &[present, any], true);
    asm.write("[");
    asm.when(present, |asm| {
        asm.op(Op::Map { up: 0, lookup: code }).write(",");
    });
    asm.when(absent, |asm| {
        asm.write("\"absent\",");
    });
    asm.when(concept_present, |asm| {
        asm.op(Op::Map { up: 0, lookup: concept }).write(",");
    });
    asm.when(any, |asm| {
        asm.write("\"any\",");
    });
    asm.when(both, |asm| {
        asm.write("\"both\",");
    });
    asm.trim("]\n");
    let report = check(
        &asm.finish(),
        &[rows("1|a|-\n 2|x|-\n 3|-|q\"\n")],
        "[\"A\"]\n[\"absent\",\"any\"]\n[\"N\",{\"text\":\"q\\\"\"},\"any\",\"both\"]\n",
    );
    assert_eq!((report.sites[&site].unmapped, report.distinct_unmapped(site)), (2, 2));
}

// ---- lists --------------------------------------------------------------------------------------------------

/// `{"id":…,"note":[{"text":…,"by":<parent's>}],"code":[…]}`: a list below an optional object, then an array.
fn with_list() -> Arc<Program> {
    let mut asm = Assembler::new(&["integer", "text", "text[]"]);
    asm.program.texts[0].parts = vec![TextPart::Slot(own(0), Writer::BigInt)];
    let site = asm.site("R204", "Basic");
    let notes = asm.list(0, 1, 1, false, &["integer", "text"]);
    let by = asm.import(notes, 1);
    let codes = asm.arrays(0, &[2], &["text"]);
    asm.write("{\"id\":").op(Op::Text { text: 0, site }).write(",");
    asm.open("\"note\":[");
    asm.each(notes, |asm| {
        asm.when(1, |asm| {
            asm.write("{\"text\":").put(own(1), Writer::String, site).write(",");
            asm.when(by, |asm| {
                asm.write("\"by\":").put(outer(1), Writer::String, site).write(",");
            });
            asm.trim("},").op(Op::Live);
        });
    });
    asm.close("],");
    asm.open("\"code\":[");
    asm.each(codes, |asm| {
        asm.when(0, |asm| {
            asm.put(own(0), Writer::String, site).write(",").op(Op::Live);
        });
    });
    asm.close("],");
    asm.trim("}\n");
    asm.finish()
}

#[test]
fn lists_and_arrays() {
    let report = check(
        &with_list(),
        &[
            rows("1|me|{a,NULL,b}\n 2|-|-\n 3|you|{\" \"}\n 5| |{}\n"),
            rows("0|lost\n 1|x\n 1|y\n 3|-\n 4|lost\n 5|z\n 9|lost\n 9|lost\n"),
        ],
        "{\"id\":\"1\",\"note\":[{\"text\":\"x\",\"by\":\"me\"},{\"text\":\"y\",\"by\":\"me\"}],\"code\":[\"a\",\"b\"]}\n\
         {\"id\":\"2\"}\n{\"id\":\"3\"}\n{\"id\":\"5\",\"note\":[{\"text\":\"z\"}]}\n",
    );
    assert_eq!((report.items, report.orphans), (vec![0, 4], vec![0, 4]));
}

#[test]
fn arrays_side_by_side_and_of_two_dimensions() {
    let mut asm = Assembler::new(&["text", "text[]", "integer[]"]);
    let site = asm.site("R204", "Basic");
    let items = asm.arrays(0, &[1, 2], &["text", "integer"]);
    asm.write("[");
    asm.each(items, |asm| {
        asm.write("[");
        asm.when(0, |asm| {
            asm.put(own(0), Writer::String, site).write(",");
        });
        asm.when(1, |asm| {
            asm.put(own(1), Writer::BigInt, site).write(",");
        });
        asm.trim("],");
    });
    asm.trim("]\n");
    check(
        &asm.finish(),
        &[rows("1|{a,b,NULL}|{1}\n 2|-|{{1,2},{3,4}}\n 3|{}|-\n")],
        "[[\"a\",1],[\"b\"],[]]\n[[1],[2],[3],[4]]\n[]\n",
    );
}

/// A required list below a part that can be taken back: `{"id":…,"a":{"b":"c","list":[…]},"z":1}`.
fn with_required(reject: bool) -> Arc<Program> {
    let mut asm = Assembler::new(&["integer", "text"]);
    asm.program.texts[0].parts = vec![TextPart::Slot(own(0), Writer::BigInt)];
    let site = asm.site("R206", "Basic.a.list");
    let list = asm.list(0, 1, 1, false, &["integer", "text"]);
    asm.write("{\"id\":").op(Op::Text { text: 0, site }).write(",");
    asm.open("\"a\":{").write("\"b\":\"c\",").op(Op::Live);
    asm.open("\"list\":[");
    asm.each(list, |asm| {
        asm.when(1, |asm| {
            asm.put(own(1), Writer::String, site).write(",").op(Op::Live);
        });
    });
    asm.close("],");
    let at = asm.here();
    asm.op(Op::JumpIfKept { to: at + 2 }).op(Op::Lack { site, reject });
    asm.write("\"d\":\"e\",");
    asm.close("},");
    let at = asm.here();
    asm.op(Op::JumpIfKept { to: at + 2 }).write("\"none\":true,");
    asm.write("\"z\":1,");
    asm.trim("}\n");
    asm.finish()
}

#[test]
fn a_required_list_takes_the_part_around_it_along() {
    let streams = [rows("1|-\n 2|-\n 3|-\n"), rows("1|x\n 2|-\n")];
    let kept = "{\"id\":\"1\",\"a\":{\"b\":\"c\",\"list\":[\"x\"],\"d\":\"e\"},\"z\":1}\n";
    let dropped = "{\"id\":\"2\",\"none\":true,\"z\":1}\n{\"id\":\"3\",\"none\":true,\"z\":1}\n";
    let report = check(&with_required(false), &streams, &format!("{kept}{dropped}"));
    assert_eq!(report.sites[&0], SiteCounts { dropped: 2, ..SiteCounts::default() });
    let report = check(&with_required(true), &streams, kept);
    assert_eq!(report.sites[&0], SiteCounts { rejected: 2, ..SiteCounts::default() });
    assert_eq!(report.rejections.iter().map(|one| one.id.as_deref()).collect::<Vec<_>>(), [Some("2"), Some("3")]);
}

/// `{"id":…,"group":[{"g":…,"item":[…]}]}`; an item called `bad` rejects the resource, a group called `skip` is not
/// written, and under a guard the whole list is not.
fn nested() -> Arc<Program> {
    let mut asm = Assembler::new(&["integer", "boolean"]);
    asm.program.texts[0].parts = vec![TextPart::Slot(own(0), Writer::BigInt)];
    let site = asm.site("R204", "Basic");
    let groups = asm.list(0, 1, 1, false, &["integer", "integer", "text"]);
    let items = asm.list(groups, 2, 2, true, &["integer", "integer", "text"]);
    let wanted =
        asm.predicate(groups, PredicateTest::Literal(own(2), CompareOp::Ne, Comparand::Text("skip".to_owned())));
    let bad = asm.predicate(items, PredicateTest::Literal(own(2), CompareOp::Eq, Comparand::Text("bad".to_owned())));
    let listed = asm.predicate(0, PredicateTest::Truthy(own(1)));
    asm.write("{\"id\":").op(Op::Text { text: 0, site }).write(",");
    asm.when(listed, |asm| {
        asm.open("\"group\":[");
        asm.each(groups, |asm| {
            asm.when(wanted, |asm| {
                asm.open("{\"g\":").put(own(2), Writer::String, site).write(",").op(Op::Live);
                asm.open("\"item\":[");
                asm.each(items, |asm| {
                    asm.when(bad, |asm| {
                        asm.op(Op::Reject { site });
                    });
                    asm.write("[").put(own(2), Writer::String, site).write(",");
                    asm.put(outer(2), Writer::String, site).write(",");
                    asm.put(SlotRef { up: 2, slot: 0 }, Writer::BigInt, site).write(",");
                    asm.trim("],").op(Op::Live);
                });
                asm.close("],");
                asm.close("},");
            });
        });
        asm.close("],");
    });
    asm.trim("}\n");
    asm.finish()
}

#[test]
fn nested_lists_whose_parents_are_skipped() {
    let report = check(
        &nested(),
        &[
            rows("1|t\n 2|f\n 3|t\n 4|t\n 5|t\n"),
            rows("0|9|lost\n 1|1|a\n 1|2|skip\n 1|3|c\n 2|1|a\n 3|1|a\n 3|2|b\n 4|1|a\n 5|1|e\n 6|1|lost\n"),
            rows(
                "0|9|l\n 1|1|x\n 1|1|y\n 1|2|gone\n 1|3|z\n 2|1|gone\n 3|1|ok\n 3|1|bad\n 3|1|gone\n 3|2|gone\n 5|1|last\n 6|1|lost\n",
            ),
        ],
        "{\"id\":\"1\",\"group\":[{\"g\":\"a\",\"item\":[[\"x\",\"a\",1],[\"y\",\"a\",1]]},{\"g\":\"c\",\"item\":[[\"z\",\"c\",1]]}]}\n\
         {\"id\":\"2\"}\n\
         {\"id\":\"4\",\"group\":[{\"g\":\"a\"}]}\n\
         {\"id\":\"5\",\"group\":[{\"g\":\"e\",\"item\":[[\"last\",\"e\",5]]}]}\n",
    );
    assert_eq!((report.rows_read, report.emitted, report.rejected), (5, 4, 1));
    // Rows below a list row that belongs to nobody go with it; what is left at the end belongs to nobody.
    assert_eq!(report.orphans, [0, 2, 1]);
}

#[test]
fn a_long_list_streams_through_a_small_buffer() {
    let items: Rows = (0..20_000).map(|n| vec!["1".to_owned(), format!("item {n}")]).collect();
    let program = with_list();
    let found = run(&program, &[rows("1|me|-\n 2|-|-\n"), items], 100, 4_096);
    assert!(found.spills > 100 && found.most < 8_192, "{} {}", found.spills, found.most);
    assert_eq!(found.resources, 2);
    let mut expected = String::from("{\"id\":\"1\",\"note\":[");
    for n in 0..20_000 {
        write!(expected, "{{\"text\":\"item {n}\",\"by\":\"me\"}},").unwrap();
    }
    expected.pop();
    expected.push_str("]}\n{\"id\":\"2\"}\n");
    assert!(found.text == expected);
}

// ---- texts --------------------------------------------------------------------------------------------------

fn texts(kinds: &[&str], program: TextProgram, line: &str) -> String {
    let mut asm = Assembler::new(kinds);
    let site = asm.site("R204", "Basic.text");
    asm.program.texts.push(program);
    asm.op(Op::Text { text: 1, site });
    run(&asm.finish(), &[rows(line)], 1_000, ALL).text
}

#[test]
fn strings_built_per_row() {
    let slot = |n| TextPart::Slot(own(n), Writer::String);
    let literal = |text: &str| TextPart::Literal(text.to_owned());
    let truthy = |n| TextTest::Truthy(own(n));
    let kinds = ["text", "text", "integer", "boolean", "timestamptz", "numeric", "uuid"];
    let line = "a\"b|<c>|0|true|2026-03-08T14:31:02.500Z|1.50|c757873d-ec9a-4326-a141-556f43239520";
    let namespace = *uuid::Uuid::NAMESPACE_OID.as_bytes();
    let args = |n: &[u16]| n.iter().map(|n| TextArg::Slot(own(*n))).collect::<Vec<_>>();
    let eq = |literal: &str| {
        let side = TextArgText::Slot(own(5), Writer::Numeric);
        TextTest::Eq(side, TextArgText::Literal(literal.to_owned()))
    };
    let render = |source: &str| {
        let columns = vec![
            ("a".to_owned(), own(0), Writer::String),
            ("c".to_owned(), own(1), Writer::String),
            ("n".to_owned(), own(2), Writer::BigInt),
            ("d".to_owned(), own(5), Writer::Numeric),
        ];
        TextPart::Render(source.to_owned(), columns)
    };
    let yes_no = |test| TextPart::When(test, vec![literal("yes")], vec![literal("no")]);
    for (html, parts, expected) in [
        (false, vec![literal("x\n"), slot(0), slot(1)], r#""x\na\"b<c>""#.to_owned()),
        (true, vec![literal("<p>"), slot(1), slot(0)], r#""<p>&lt;c&gt;a&quot;b""#.to_owned()),
        (false, vec![TextPart::Apply(Function::Upper, own(0), Writer::String)], r#""A\"B""#.to_owned()),
        (false, vec![TextPart::Slot(own(4), Writer::TimestampTz)], r#""2026-03-08T14:31:02.500Z""#.to_owned()),
        (false, vec![yes_no(truthy(2)), yes_no(truthy(3)), yes_no(truthy(0))], "\"noyesyes\"".to_owned()),
        (false, vec![yes_no(eq("1.50")), yes_no(eq("1.5"))], "\"yesno\"".to_owned()),
        (
            false,
            vec![TextPart::Uuid(namespace, args(&[0, 4, 5, 6]))],
            format!(
                "\"{}\"",
                uuid::Uuid::new_v5(
                    &uuid::Uuid::NAMESPACE_OID,
                    b"a\"b-2026-03-08 14:31:02.5+00-1.50-c757873d-ec9a-4326-a141-556f43239520"
                )
            ),
        ),
        (
            false,
            vec![TextPart::Sha256(vec![TextArg::Literal("abc".to_owned())])],
            "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"".to_owned(),
        ),
        (false, vec![render("{{#if (gt n 1)}}x{{else}}{{upper a}}{{c}} {{d}}{{/if}}")], r#""A\"B<c> 1.50""#.to_owned()),
        (true, vec![render("<i>{{upper c}}{{{c}}}</i>")], r#""<i>&lt;C&gt;<c></i>""#.to_owned()),
    ] {
        assert_eq!(texts(&kinds, TextProgram { parts, html }, line), expected);
    }
    assert_eq!(
        texts(&["text", "text"], TextProgram { parts: vec![yes_no(truthy(1)), literal("!")], html: false }, "a| "),
        "\"no!\""
    );
}

#[test]
fn templates_reach_the_row_around_and_documents() {
    let mut asm = Assembler::new(&["text", "text", "jsonb"]);
    let site = asm.site("R204", "Basic");
    let list = asm.list(0, 1, 1, false, &["text", "text"]);
    asm.program.texts.push(TextProgram {
        parts: vec![TextPart::Render(
            "{{#each @root.[../address].lines}}{{this}},{{/each}} {{@root.[../name]}}: {{@root.[name]}}".to_owned(),
            vec![
                ("../address".to_owned(), outer(2), Writer::Json),
                ("../name".to_owned(), outer(1), Writer::String),
                ("name".to_owned(), own(1), Writer::String),
            ],
        )],
        html: false,
    });
    asm.write("[");
    asm.each(list, |asm| {
        asm.op(Op::Text { text: 1, site }).write(",");
    });
    asm.trim("]\n");
    check(
        &asm.finish(),
        &[rows("1|Ann|{\"lines\": [\"x\", \"y\"]}\n"), rows("1|a\n 1|b\n")],
        "[\"x,y, Ann: a\",\"x,y, Ann: b\"]\n",
    );
}

// ---- programs that cannot run -------------------------------------------------------------------------------

#[test]
fn programs_are_verified() {
    let refused = |change: &dyn Fn(&mut Program)| {
        let mut program = Program::clone(&with_list());
        change(&mut program);
        match Encoder::new(Arc::new(program), Limits { chunk_bytes: 1_000 }) {
            Err(EncodeError::Program(what)) => what.to_owned(),
            Err(other) => other.to_string().split('`').next().unwrap_or_default().to_owned(),
            Ok(_) => "nothing".to_owned(),
        }
    };
    assert_eq!(refused(&|_| {}), "nothing");
    assert_eq!(refused(&|program| program.ops.push(Op::Live)), "the last op is not the end");
    assert_eq!(refused(&|program| program.ops[0] = Op::Jump { to: 999 }), "a jump leads out of the program");
    assert_eq!(refused(&|program| program.ops[0] = Op::Drop { site: 9 }), "a site is not there");
    assert_eq!(refused(&|program| program.ops[0] = Op::JumpUnless { bit: 9, to: 1 }), "a bit is not there");
    assert_eq!(refused(&|program| program.ops[0] = Op::Text { text: 9, site: 0 }), "a text is not there");
    assert_eq!(
        refused(&|program| program.ops[0] = Op::Each { scope: 7, end: 1 }),
        "a scope is entered from the wrong place"
    );
    assert_eq!(
        refused(&|program| program.ops.insert(0, Op::Next { scope: 1, start: 0 })),
        "a scope is left that was not entered"
    );
    assert_eq!(refused(&|program| program.literals.clear()), "a literal is not there");
    assert_eq!(refused(&|program| program.scopes[0].slots.clear()), "an array is not there");
    assert_eq!(refused(&|program| program.texts.clear()), "a text is not there");
    assert_eq!(refused(&|program| program.timezone = "Nowhere".to_owned()), "failed to find time zone ");
    assert_eq!(
        refused(&|program| program.texts[0].parts = vec![TextPart::Render("{{#if".to_owned(), vec![])]).get(..27),
        Some("failed to parse a template:")
    );
}

// ---- any data -----------------------------------------------------------------------------------------------

/// Parents, groups of theirs (some skipped, some nobody's), and items of the groups, with what must come out.
fn families() -> impl Strategy<Value = (Vec<Rows>, String)> {
    let items = prop::collection::vec(prop_oneof![9 => "[a-z]{1,6}", 1 => Just("bad".to_owned())], 0..4);
    let group = (prop_oneof![4 => "[a-z]{1,6}", 1 => Just("skip".to_owned())], items);
    let parent = (any::<bool>(), prop::bool::weighted(0.8), prop::collection::vec(group, 0..4));
    prop::collection::vec(parent, 0..8).prop_map(|parents| {
        let (mut streams, mut text) = (vec![Rows::new(), Rows::new(), Rows::new()], String::new());
        for (id, (listed, exists, groups)) in parents.into_iter().enumerate() {
            if exists {
                streams[0].push(vec![id.to_string(), listed.to_string()]);
            }
            let mut written = Vec::new();
            let mut rejected = false;
            for (number, (name, items)) in groups.into_iter().enumerate() {
                let lists: Vec<String> = items.iter().map(|item| format!("[\"{item}\",\"{name}\",{id}]")).collect();
                rejected |= name != "skip" && items.iter().any(|item| item == "bad");
                let list = if lists.is_empty() { String::new() } else { format!(",\"item\":[{}]", lists.join(",")) };
                if name != "skip" {
                    written.push(format!("{{\"g\":\"{name}\"{list}}}"));
                }
                for item in items {
                    streams[2].push(vec![id.to_string(), number.to_string(), item]);
                }
                streams[1].push(vec![id.to_string(), number.to_string(), name]);
            }
            if exists && !(listed && rejected) {
                let groups = if written.is_empty() || !listed {
                    String::new()
                } else {
                    format!(",\"group\":[{}]", written.join(","))
                };
                writeln!(text, "{{\"id\":\"{id}\"{groups}}}").unwrap();
            }
        }
        (streams, text)
    })
}

proptest! {
    #[test]
    fn neither_batches_nor_chunks_change_the_bytes(
        (streams, expected) in families(),
        batch_rows in 1_usize..5,
        chunk_bytes in 2_usize..120,
    ) {
        let program = nested();
        let found = run(&program, &streams, batch_rows, chunk_bytes);
        prop_assert_eq!(&found.text, &expected);
        prop_assert_eq!(found.report, run(&program, &streams, 1_000, ALL).report);
    }
}
