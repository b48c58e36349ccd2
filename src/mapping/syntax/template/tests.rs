use super::*;
use crate::mapping::source::{SourceId, Span};
use crate::mapping::syntax::reference::ReferenceArg;
use crate::mapping::tree::{Arg, Test};
use crate::mapping::yaml::{Kind, Node, Scalar};

#[derive(Default)]
struct Plain {
    messages: Vec<Diagnostic>,
}

impl Names for Plain {
    fn named(&mut self, column: ColumnRef) -> Named {
        match column.name.as_str() {
            "absent" => Named::Empty,
            "constant" => Named::Parts(vec![Part::Literal("C".to_owned())]),
            _ => Named::Column(column),
        }
    }

    fn reference(&mut self, reference: Reference) -> Option<Vec<Part>> {
        let mut parts = vec![Part::Literal(format!("{}/", reference.mapping.text))];
        parts.extend(reference.args.into_iter().map(|arg| match arg {
            ReferenceArg::Column(column) => Part::Column(column),
            ReferenceArg::Literal(text) => Part::Literal(text),
        }));
        Some(parts)
    }

    fn namespace(&self) -> [u8; 16] {
        [0; 16]
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.messages.push(diagnostic);
    }
}

fn column(column: &ColumnRef) -> String {
    let json: String = column.json.iter().flat_map(|step| [".", step]).collect();
    format!("{}{}{json}", "../".repeat(column.up.into()), column.name)
}

fn arg(arg: &Arg) -> String {
    match arg {
        Arg::Column(name) => column(name),
        Arg::Literal(text) => format!("'{text}'"),
    }
}

fn test(test: &Test) -> String {
    let all =
        |tests: &[Test], joint: &str| format!("({})", tests.iter().map(self::test).collect::<Vec<_>>().join(joint));
    match test {
        Test::Truthy(name) => column(name),
        Test::Not(inner) => format!("!{}", self::test(inner)),
        Test::And(tests) => all(tests, " & "),
        Test::Or(tests) => all(tests, " | "),
        Test::Eq(left, right) => format!("{}={}", arg(left), arg(right)),
    }
}

fn show(parts: &[Part]) -> String {
    let one = |part: &Part| match part {
        Part::Literal(text) => format!("{text:?}"),
        Part::Column(name) => column(name),
        Part::Uuid { args, .. } => format!("uuid({})", args.iter().map(arg).collect::<Vec<_>>().join(", ")),
        Part::Sha256(args) => format!("sha256({})", args.iter().map(arg).collect::<Vec<_>>().join(", ")),
        Part::Apply(function, name) => format!("{function:?}({})", column(name)),
        Part::When { test, then, otherwise } => {
            format!("[{} ? {} : {}]", self::test(test), show(then), show(otherwise))
        }
        Part::Render { template, columns, required } => format!(
            "render({template:?}; {}; {})",
            columns.iter().map(column).collect::<Vec<_>>().join(" "),
            required.iter().map(column).collect::<Vec<_>>().join(" ")
        ),
    };
    parts.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn node(text: &str) -> Node {
    let span = Span::new(SourceId(0), 0, text.len());
    Node { span, kind: Kind::Scalar(Scalar { text: text.to_owned(), verbatim: Some(0), lines: Vec::new() }) }
}

/// The parts of a template, or its mistakes with the characters they point at.
fn compiled(text: &str) -> String {
    let node = node(text);
    let mut names = Plain::default();
    let compiled = compile(Piece::of(&node).unwrap(), false, &mut names);
    match compiled {
        Some(Compiled::Text(text)) => show(&text.parts),
        Some(Compiled::Empty) => "empty".to_owned(),
        None => {
            let place = |span: Span| text.get(span.start as usize..span.end as usize).unwrap().to_owned();
            let one = |d: &Diagnostic| format!("{} {} @`{}`", d.code, d.message, place(d.primary.span));
            names.messages.iter().map(one).collect::<Vec<_>>().join("\n")
        }
    }
}

#[test]
fn compiled_forms() {
    let check = |text: &str, expected: &str| assert_eq!(compiled(text), expected, "{text}");
    check("a {{b}} c", r#""a " b " c""#);
    check("{{{b}}}{{&b}}", "b b");
    check("{{this.len}}{{./b}}{{[Order Date]}}{{../b}}{{a.b.c}}{{@root.x}}", "len b Order Date ../b a.b.c x");
    check("{{! note }}x{{!-- {{b}} --}}", r#""x""#);
    check(r"\{{b}} {{b}}", r#""{{b}} " b"#);
    check("a {{~b~}} c", r#""a" b "c""#);
    check("{{#if a}}{{b}}{{else if c}}d{{else}}e{{/if}}", r#"[a ? b : [c ? "d" : "e"]]"#);
    check("{{#unless (and a (not b))}}{{c}}{{/unless}}", "[!(a & !b) ? c : ]");
    check("{{#if (eq a 'x')}}1{{/if}}{{#if (ne a 5)}}2{{/if}}", r#"[a='x' ? "1" : ] [!a='5' ? "2" : ]"#);
    check("{{#if (or a b c)}}1{{/if}}", r#"[(a | b | c) ? "1" : ]"#);
    check("{{uuid 'Lab' a b 'x'}}{{sha256 a}}", "uuid(a, b, 'x') sha256(a)");
    check("{{upper a}}{{len a}}{{urlencode 'a b'}}", r#"Upper(a) Len(a) "a%20b""#);
    check("{{ref 'patient' id}}", r#""patient/" id"#);
    check("{{constant}}-{{upper constant}}", r#""C-C""#);
    check("{{absent}}", "empty");
    check("{{#if absent}}x{{absent}}{{else}}y{{absent}}{{/if}}", r#""y""#);
}

#[test]
fn what_the_crate_renders() {
    let check = |text: &str, expected: &str| assert_eq!(compiled(text), expected, "{text}");
    check(
        "x {{#each tags}}{{this}}{{../name}}{{@index}}{{/each}}",
        r#""x " render("{{#each @root.[tags]}}{{this}}{{@root.[name]}}{{@index}}{{/each}}"; tags name; tags name)"#,
    );
    check("{{#if (gt a 3)}}{{b}}{{/if}}", r#"render("{{#if (gt @root.[a] 3)}}{{@root.[b]}}{{/if}}"; a b; )"#);
    check("{{#if a}}{{#each b}}x{{/each}}{{/if}}", r#"[a ? render("{{#each @root.[b]}}x{{/each}}"; b; ) : ]"#);
    check("{{lookup a.b '0'}}", r#"render("{{lookup @root.[a].[b] \"0\"}}"; a; a.b)"#);
    check("{{upper (trim a)}}", r#"render("{{upper (trim @root.[a])}}"; a; a)"#);
    check(
        "{{#each a as |x i|}}{{x.b}}{{i}}{{../../c}}{{/each}}",
        r#"render("{{#each @root.[a] as |x i|}}{{x.b}}{{i}}{{@root.[../c]}}{{/each}}"; a ../c; a ../c)"#,
    );
}

#[test]
fn mistakes() {
    let check = |text: &str, expected: &str| assert_eq!(compiled(text), expected, "{text}");
    check("Length {{len}} cm", "M305 `len` is a Handlebars helper, so this does not read the column `len` @`{{len}}`");
    check("{{#if a}}{{b}}", "M306 template ends before `{{/if}}` @``");
    check("{{#if a}}{{b}}{{/unless}}", "M306 `{{/unless}}` closes `{{#if}}` @`{{/unless}}`");
    check("a {{b", "M306 `{{` is not closed @`{{b`");
    check("a {{}} b", "M306 `{{}}` names nothing @`{{}}`");
    check("a {{/if}} b", "M306 `{{/if}}` closes nothing @`{{/if}}`");
    check("a {{b $c}} {{d}}", "M306 no helper `b` @`b`");
    check("a {{b | c}}", "M306 `{{b | c}}` cannot be read @`{{b | c}}`");
    check("{{uper a}}", "M306 no helper `uper` @`uper`");
    check("{{> x}}", "M306 templates have no partials @`{{> x}}`");
    check("{{* x}}", "M306 templates have no decorators @`{{* x}}`");
    check("{{log a}}", "M306 templates have no `log` @`{{log a}}`");
    check("{{{{raw}}}}x{{{{/raw}}}}", "M306 templates have no raw blocks @`{{{{raw}}}}`");
    check("{{$a}}", "M306 columns are bare inside `{{ }}` @`$a`");
    check("{{this}}", "M306 `this` is the whole row @`this`");
    check("{{@index}}", "M306 `@index` has a value only inside `{{#each}}` @`@index`");
    check("{{uuid a b}}", "M306 `uuid` starts with the name of its id space, a text @`{{uuid a b}}`");
    check("{{each a}}", "M306 `each` is a block: `{{#each …}}…{{/each}}` @`{{each a}}`");
    check("{{#a}}x{{/a}}", "M306 `a` is no block @`{{#a}}`");
    check(
        "{{#each a}}{{uuid 'x' b}}{{/each}}",
        "M306 `uuid` cannot stand inside `{{#each}}` or another helper @`{{uuid 'x' b}}`",
    );
}

/// A piece left to the crate gives the same text alone as in its place.
#[test]
fn rendered_pieces_keep_their_white_space() {
    let data = serde_json::json!({"tags": ["a", "b"], "name": "N", "n": 4});
    let mut crate_ = handlebars::Handlebars::new();
    crate_.register_escape_fn(handlebars::no_escape);
    let templates = [
        "x {{#each tags}}\n  {{this}}\n{{/each}}\ny",
        "{{#each tags}}\n  {{this}}\n{{/each}}\ny {{name}}",
        "x\n{{#each tags}}\n  {{~this~}}  \n{{else}}\n none\n{{/each}}\n\n y",
        "{{#if (gt n 3)}}\n  {{name}}\n{{else}}\n  less\n{{/if}}",
        "{{#each tags}}{{#if @first}}\nfirst\n{{/if}}{{../name}} \\{{x}} {{/each}}",
    ];
    for template in templates {
        let node = node(template);
        let mut names = Plain::default();
        let compiled = compile(Piece::of(&node).unwrap(), false, &mut names);
        let Some(Compiled::Text(text)) = compiled else { panic!("{template}: {:?}", names.messages) };
        let pieces: String = text
            .parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Column(column) => data[&column.name].as_str().unwrap().to_owned(),
                Part::Render { template, .. } => crate_.render_template(template, &data).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(pieces, crate_.render_template(template, &data).unwrap(), "{template}");
    }
}

proptest::proptest! {
    /// Any text compiles to parts or to a mistake; places stay inside it.
    #[test]
    fn no_text_panics(pieces in proptest::collection::vec(0..PIECES.len(), 0..14)) {
        let text: String = pieces.iter().map(|n| PIECES[*n]).collect();
        compiled(&text);
    }
}

const PIECES: &[&str] = &[
    "{{",
    "}}",
    "{{{",
    "}}}",
    "{{{{",
    "}}}}",
    "{{#if ",
    "{{#each ",
    "{{#unless ",
    "{{/if}}",
    "{{/each}}",
    "{{/unless}}",
    "{{else}}",
    "{{else if ",
    "{{^}}",
    "{{!",
    "{{!--",
    "--}}",
    "{{>",
    "{{*",
    "{{&",
    "a",
    "b.c",
    "../",
    "this",
    "@index",
    "@root.",
    "[x y]",
    "(",
    ")",
    "eq ",
    "upper ",
    "uuid 'x' ",
    "ref 'p' ",
    " ",
    "\n",
    "~",
    "\\",
    "'",
    "\"",
    "é",
    "=",
    "|",
    " as |x|",
    "0",
    "true",
    "null",
    "$a",
    "{{a}}",
    "{{~a~}}",
    "raw",
    "{",
    "}",
];
