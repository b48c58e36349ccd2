use proptest::collection::vec;
use proptest::prelude::{BoxedStrategy, Strategy, prop_oneof};
use proptest::sample::select;

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
    check("{{upper (a)}}", r#"render("{{upper @root.[a]}}"; a; a)"#);
    check("{{#if (gt (len a) (b))}}x{{/if}}", r#"render("{{#if (gt (len @root.[a]) @root.[b])}}x{{/if}}"; a b; )"#);
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
    check("{{#each a}}{{uuid 'x' b}}{{/each}}", "M306 `uuid` cannot stand inside `{{#each}}` @`{{uuid 'x' b}}`");
    check("{{upper (sha256 b)}}", "M306 `sha256` cannot stand inside another helper @`{{upper (sha256 b)}}`");
    check(
        "{{#if (gt a 3)}}{{ref 'p' b}}{{/if}}",
        "M306 `ref` cannot stand inside an `{{#if}}` that is not compiled @`{{ref 'p' b}}`",
    );
}

/// What the crate would find out at every row, or never.
#[test]
fn helpers_have_their_arguments() {
    let check = |text: &str, expected: &str| assert_eq!(compiled(text), expected, "{text}");
    check("{{#if (gt a)}}x{{/if}}", "M306 `gt` takes 2 arguments, and 1 is given @`{{#if (gt a)}}`");
    check("{{lookup a}}", "M306 `lookup` takes 2 arguments, and 1 is given @`{{lookup a}}`");
    check("{{eq a b c}}", "M306 `eq` takes 2 arguments, and 3 are given @`{{eq a b c}}`");
    check("{{#if (not a b)}}x{{/if}}", "M306 `not` takes 1 argument, and 2 are given @`{{#if (not a b)}}`");
    check("{{#each}}x{{/each}}", "M306 `each` takes 1 argument, and 0 are given @`{{#each}}`");
    check("{{#with a b}}x{{/with}}", "M306 `with` takes 1 argument, and 2 are given @`{{#with a b}}`");
    check("{{#if a zero=true}}x{{/if}}", "M306 `if` takes no argument `zero` @`{{#if a zero=true}}`");
    check("{{#if a as |x|}}{{x}}{{/if}}", "M306 `if` makes nothing that `as |x|` could name @`{{#if a as |x|}}`");
    check("{{upper (trim a x=1)}}", "M306 `trim` takes no argument `x` @`{{upper (trim a x=1)}}`");
    check(
        "{{#if (len)}}x{{/if}}",
        "M305 `len` is a Handlebars helper, so this does not read the column `len` @`{{#if (len)}}`",
    );
    check("{{upper (len)}}", "M305 `len` is a Handlebars helper, so this does not read `len` @`len`");
    check("{{#if a includeZero=true}}x{{/if}}", r#"render("{{#if @root.[a] includeZero=true}}x{{/if}}"; a; )"#);
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

/// An argument; a helper may have too few or too many of its own.
fn argument() -> BoxedStrategy<String> {
    let plain = select(vec!["a", "b.c", "this", "../a", "@index", "@root.a", "'x'", "3", "true", "x"]);
    plain
        .prop_map(str::to_owned)
        .boxed()
        .prop_recursive(2, 6, 3, |inner| call(inner).prop_map(|call| format!("({call})")))
        .boxed()
}

fn call(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let named = select(vec!["", "", "", "", "", " includeZero=true", " y=a"]);
    (select(HELPERS.to_vec()), vec(inner, 3), 0..8_usize, named).prop_map(|(name, args, given, named)| {
        let right = match name {
            "upper" | "lower" | "trim" | "urlencode" | "len" | "not" => 1,
            _ => 2,
        };
        // Mostly the right number.
        let given = if given > 3 { right } else { given };
        format!("{name} {}{named}", args[..given].join(" ")).trim().to_owned()
    })
}

fn tags() -> BoxedStrategy<String> {
    let leaf = prop_oneof![argument(), call(argument())].prop_map(|inner| format!("{{{{{inner}}}}}"));
    leaf.boxed()
        .prop_recursive(3, 12, 3, |inner| {
            let body = vec(inner, 0..3).prop_map(|tags| tags.concat());
            let names = select(vec!["each", "with", "if", "unless"]);
            (names, vec(argument(), 1..2), select(vec!["", " as |x|"]), body.clone(), proptest::option::of(body))
                .prop_map(|(name, args, locals, then, otherwise)| {
                    let otherwise = otherwise.map(|body| format!("{{{{else}}}}{body}")).unwrap_or_default();
                    format!("{{{{#{name} {}{locals}}}}}{then}{otherwise}{{{{/{name}}}}}", args.join(" "))
                })
        })
        .boxed()
}

/// Pieces left to the crate, however deep they lie.
fn rendered(parts: &[Part]) -> Vec<&str> {
    parts
        .iter()
        .flat_map(|part| match part {
            Part::Render { template, .. } => vec![template.as_str()],
            Part::When { then, otherwise, .. } => [rendered(then), rendered(otherwise)].concat(),
            _ => Vec::new(),
        })
        .collect()
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(4_096))]
    /// What is accepted does not fail at a row for what it says: only a step into a list that is no number may.
    #[test]
    fn accepted_pieces_render(text in tags(), a in select(vec!["{}", "[]", "[1, {\"c\": 2}]", "\"x\"", "7", "true"])) {
        let node = node(&text);
        let mut names = Plain::default();
        let Some(Compiled::Text(made)) = compile(Piece::of(&node).unwrap(), false, &mut names) else { return Ok(()) };
        let mut crate_ = handlebars::Handlebars::new();
        handlebars::handlebars_helper!(any: |_text: Json| "x");
        for name in ["upper", "lower", "trim", "urlencode"] {
            crate_.register_helper(name, Box::new(any));
        }
        let a: serde_json::Value = serde_json::from_str(a).unwrap();
        for row in [serde_json::json!({}), serde_json::json!({"a": a, "b": {"c": "y"}, "../a": "z"})] {
            for piece in rendered(&made.parts) {
                if let Err(error) = crate_.render_template(piece, &row) {
                    let bad_step = matches!(error.reason(), handlebars::RenderErrorReason::InvalidJsonIndex(_));
                    proptest::prop_assert!(bad_step, "{text}\n{piece}\n{error}");
                }
            }
        }
    }

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
