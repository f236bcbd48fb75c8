#![expect(clippy::unwrap_used, reason = "a test may panic")]

use async_graphql::{
    Variables,
    parser::{
        parse_query,
        types::{ExecutableDocument, Selection, SelectionSet},
    },
};
use proptest::prelude::*;
use serde_json::json;

use crate::http::guard::{Guard, Limits};

#[path = "../../../benches/documents/mod.rs"]
mod documents;

fn guard(change: impl FnOnce(&mut Limits)) -> Guard {
    let mut limits = Limits::default();
    change(&mut limits);
    Guard::new(limits)
}

/// The code of the refusal, or `ok`.
async fn verdict(guard: &Guard, query: &str) -> &'static str {
    verdict_with(guard, query, json!({})).await
}

async fn verdict_with(guard: &Guard, query: &str, variables: serde_json::Value) -> &'static str {
    guard.admit(query, &Variables::from_json(variables), None).await.map_or_else(|r| r.code, |_| "ok")
}

fn times(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect()
}

/// The code of a limit, a guard that has it, a document that has so much of it, and the limit.
type Case = (&'static str, Guard, Box<dyn Fn(usize) -> String>, usize);

#[tokio::test]
async fn each_limit_passes_at_n_and_fails_at_n_plus_one() {
    let wide = |limits: &mut Limits| {
        limits.root_fields = 10_000;
        limits.selections = 10_000;
    };
    let fields = |n| times(n, |_| "x ".to_owned());
    let cases: Vec<Case> = vec![
        ("DOCUMENT_TOO_LARGE", guard(|_| {}), Box::new(|n| format!("{{x}}{}", " ".repeat(n - 3))), 16 * 1024),
        ("TOO_MANY_TOKENS", guard(wide), Box::new(move |n| format!("{{{}}}", fields(n - 2))), 2_000),
        (
            "NESTING_LIMIT",
            guard(|_| {}),
            Box::new(|n| format!("{{x(a:{}{})}}", "[".repeat(n - 2), "]".repeat(n - 2))),
            40,
        ),
        ("DEPTH_LIMIT", guard(|_| {}), Box::new(documents::nested), 12),
        (
            "DEPTH_LIMIT",
            guard(|_| {}),
            Box::new(|n| format!("{{{}...F{}}} fragment F on T{{x}}", "x{".repeat(n - 1), "}".repeat(n - 1))),
            12,
        ),
        (
            "DEPTH_LIMIT",
            guard(|limits| limits.introspection = true),
            Box::new(|n| format!("{{__schema{{{}x{}}}}}", "x{".repeat(n - 2), "}".repeat(n - 2))),
            16,
        ),
        (
            "DEPTH_LIMIT",
            guard(|limits| limits.introspection = true),
            Box::new(|n| format!("{{__schema{{types{{{}x{}}}}}}}", "fields{type{".repeat(n), "}}".repeat(n))),
            2,
        ),
        ("ALIAS_LIMIT", guard(wide), Box::new(|n| format!("{{{}}}", times(n, |i| format!("a{i}:x ")))), 30),
        (
            "ROOT_FIELD_LIMIT",
            guard(|_| {}),
            Box::new(move |n| format!("{{{}}}", times(n, |_| "x ".to_owned()))),
            20,
        ),
        (
            "ROOT_FIELD_LIMIT",
            guard(|_| {}),
            Box::new(|n| format!("{{...F}} fragment F on T{{{}}}", times(n, |_| "x ".to_owned()))),
            20,
        ),
        ("DIRECTIVE_LIMIT", guard(|_| {}), Box::new(|n| format!("{{x {}}}", "@d ".repeat(n))), 5),
        ("DIRECTIVE_LIMIT", guard(|_| {}), Box::new(|n| format!("{{v{{{}}}}}", "x @d ".repeat(n))), 50),
        (
            "FRAGMENT_LIMIT",
            guard(|_| {}),
            Box::new(|n| format!("{{x}}{}", times(n, |i| format!("fragment F{i} on T{{x}}")))),
            100,
        ),
        ("SELECTION_LIMIT", guard(|_| {}), Box::new(|n| format!("{{v{{{}}}}}", "x ".repeat(n - 1))), 500),
        ("PAGE_SIZE_LIMIT", guard(|_| {}), Box::new(|n| format!("{{v(first:{n}){{nodes{{x}}}}}}")), 100),
        (
            "COST_LIMIT",
            guard(|limits| limits.cost = 141),
            Box::new(|n| format!("{{v(first:{n}){{nodes{{x}}}}}}")),
            70,
        ),
        (
            "REPEATED_SIGN_IN",
            guard(|_| {}),
            Box::new(|n| format!("mutation{{{}}}", times(n, |i| format!("a{i}:sessionCreate{{x}}")))),
            1,
        ),
    ];
    for (code, guard, document, n) in cases {
        assert_eq!(verdict(&guard, &document(n)).await, "ok", "{code} at {n}: {}", document(n));
        assert_eq!(verdict(&guard, &document(n + 1)).await, code, "at {}", n + 1);
    }
}

#[tokio::test]
async fn what_may_stand_once_is_counted_over_the_operation_that_is_executed() {
    const OTHERS: &str = " mutation Other { a: sessionCreate { x } b: sessionVerify { x } ...Twice } \
         fragment Twice on Mutation { c: signUpVerify { x } d: signUpVerify { x } }";
    let guard = guard(|_| {});
    for once in guard.limits().once {
        let other = if *once == "sessionRefresh" { "stepUp" } else { "sessionRefresh" };
        let table = [
            (format!("{{ {once} {{ x }} }}"), "ok"),
            (format!("{{ a: {once} {{ x }} sessionEnd {{ x }} }}"), "ok"),
            (format!("{{ ...F }} fragment F on Mutation {{ {once} {{ x }} }}"), "ok"),
            (format!("{{ {once} {{ x }} {once} {{ x }} }}"), "REPEATED_SIGN_IN"),
            (format!("{{ a: {once} {{ x }} b: {once} {{ x }} }}"), "REPEATED_SIGN_IN"),
            (format!("{{ {once} {{ x }} {other} {{ x }} }}"), "REPEATED_SIGN_IN"),
            (format!("{{ {once} {{ x }} a: {once} @skip(if: true) {{ x }} }}"), "REPEATED_SIGN_IN"),
            (format!("{{ {once} {{ x }} ... {{ a: {once} {{ x }} }} }}"), "REPEATED_SIGN_IN"),
            (
                format!("{{ ... on Mutation {{ {once} {{ x }} }} ... {{ {once} {{ x }} }} }}"),
                "REPEATED_SIGN_IN",
            ),
            (format!("{{ ...F ...F }} fragment F on Mutation {{ {once} {{ x }} }}"), "REPEATED_SIGN_IN"),
            (
                format!("{{ a: {once} {{ x }} ...F }} fragment F on Mutation {{ {once} {{ x }} }}"),
                "REPEATED_SIGN_IN",
            ),
            (
                format!(
                    "{{ ...F }} fragment F on Mutation {{ ...G ...G }} fragment G on Mutation {{ {once} {{ x }} }}"
                ),
                "REPEATED_SIGN_IN",
            ),
        ];
        for (operation, expected) in table {
            let alone = format!("mutation {operation}");
            assert_eq!(verdict(&guard, &alone).await, expected, "{alone}");
            // Other operations of the document neither add to it nor hide it.
            let beside = format!("mutation This {operation} {OTHERS}");
            let admitted = guard.admit(&beside, &Variables::default(), Some("This")).await;
            assert_eq!(admitted.map_or_else(|refusal| refusal.code, |_| "ok"), expected, "{beside}");
            let other = guard.admit(&beside, &Variables::default(), Some("Other")).await;
            assert_eq!(other.unwrap_err().code, "REPEATED_SIGN_IN", "{beside}");
        }
    }
}

#[tokio::test]
async fn whether_a_password_is_hashed_is_found_in_the_operation_that_is_executed() {
    let guard = guard(|_| {});
    for (document, operation, hashes) in [
        ("mutation { sessionCreate { x } }", None, true),
        ("mutation { sessionEnd { x } }", None, false),
        ("{ sessionCreate { x } }", None, false),
        ("mutation { sessionEnd { sessionCreate { x } } }", None, false),
        ("mutation { sessionEnd { x } ...F } fragment F on Mutation { a: passwordReset { x } }", None, true),
        ("mutation A { signUpComplete { x } } mutation B { sessionEnd { x } }", Some("A"), true),
        ("mutation A { signUpComplete { x } } mutation B { sessionEnd { x } }", Some("B"), false),
    ] {
        let admitted = guard.admit(document, &Variables::default(), operation).await.unwrap();
        assert_eq!(admitted.hashes, hashes, "{document}");
    }
}

#[tokio::test]
async fn the_json_of_variables_is_bounded_before_it_is_read() {
    let guard = guard(|_| {});
    let deep = |n: usize| format!("{}{}", "{\"a\":".repeat(n - 1) + "{", "}".repeat(n));
    assert!(guard.admit_variables(&deep(32)).is_ok());
    assert_eq!(guard.admit_variables(&deep(33)).unwrap_err().code, "VARIABLES_TOO_DEEP");
    let large = |n: usize| format!("\"{}\"", "[".repeat(n - 2));
    assert!(guard.admit_variables(&large(64 * 1024)).is_ok());
    assert_eq!(guard.admit_variables(&large(64 * 1024 + 1)).unwrap_err().code, "VARIABLES_TOO_LARGE");
    assert!(guard.admit_variables(r#"{"a":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}"#).is_ok());
    assert_eq!(guard.admit_variables(&"[".repeat(5_000)).unwrap_err().code, "VARIABLES_TOO_DEEP");
}

#[tokio::test]
async fn every_hostile_document_is_refused_and_none_is_kept() {
    let guard = guard(|_| {});
    for (name, document) in documents::hostile() {
        let refusal = guard.admit(&document, &Variables::default(), None).await.unwrap_err();
        assert!(refusal.message.len() < 200, "{name}: {refusal:?}");
    }
    guard.known.run_pending_tasks().await;
    assert_eq!(guard.known.entry_count(), 0);
}

#[tokio::test]
async fn the_parser_does_not_overflow_a_small_stack_within_the_raw_limits() {
    let documents = [
        format!("{{x(a:{}{})}}", "[".repeat(38), "]".repeat(38)),
        format!("{{x(a:{}1{})}}", "{a:".repeat(38), "}".repeat(38)),
        format!("query($a:{}X{}){{x}}", "[".repeat(39), "]".repeat(39)),
        documents::nested(40),
        format!("{}x{}", "{...".repeat(40), "}".repeat(40)),
        format!("query($a:X={}{}){{x}}", "[".repeat(39), "]".repeat(39)),
    ];
    // Half of what a worker of the runtime has.
    let parse = move || documents.iter().map(|d| parse_query(d).is_ok()).collect::<Vec<_>>();
    let parsed = std::thread::Builder::new().stack_size(1 << 20).spawn(parse).unwrap().join().unwrap();
    assert_eq!(parsed, [true; 6]);
}

#[tokio::test]
async fn a_dashboard_and_the_usual_introspection_are_admitted() {
    let admitted = guard(|_| {}).admit(documents::DASHBOARD, &Variables::default(), None).await.unwrap();
    assert_eq!(admitted.operation_name.as_deref(), Some("Dashboard"));
    assert!(admitted.cost > 400 && admitted.cost < 2_000, "{}", admitted.cost);
    let types = format!("kind name {}kind name{}", "ofType{kind name ".repeat(9), "}".repeat(9));
    let introspection = format!(
        "query I {{ __schema {{ queryType {{ name }} types {{ ...F }} directives {{ name args {{ ...V }} }} }} }} \
         fragment F on __Type {{ kind name fields(includeDeprecated: true) {{ name args {{ ...V }} type {{ ...R }} }} \
         inputFields {{ ...V }} interfaces {{ ...R }} possibleTypes {{ ...R }} }} \
         fragment V on __InputValue {{ name type {{ ...R }} defaultValue }} fragment R on __Type {{ {types} }}"
    );
    assert_eq!(verdict(&guard(|_| {}), &introspection).await, "INTROSPECTION_DISABLED");
    assert_eq!(verdict(&guard(|limits| limits.introspection = true), &introspection).await, "ok");
}

#[tokio::test]
async fn a_page_size_in_a_variable_counts_every_time() {
    let guard = guard(|limits| limits.cost = 100);
    let query = "query($n: Int, $ids: [ID!]) { v(first: $n) { nodes { x } } nodes(ids: $ids) { x } }";
    assert_eq!(verdict_with(&guard, query, json!({"n": 40})).await, "ok");
    assert_eq!(verdict_with(&guard, query, json!({"n": 60})).await, "COST_LIMIT");
    assert_eq!(verdict_with(&guard, query, json!({"n": 101})).await, "PAGE_SIZE_LIMIT");
    assert_eq!(
        verdict_with(&guard, query, json!({"n": 18_446_744_073_709_551_615_u64})).await,
        "PAGE_SIZE_LIMIT"
    );
    assert_eq!(verdict_with(&guard, query, json!({"n": 1, "ids": vec!["a"; 60]})).await, "COST_LIMIT");
    let by_default = "query($n: Int = 60) { v(first: $n) { nodes { x } } }";
    assert_eq!(verdict(&guard, by_default).await, "COST_LIMIT");
    assert_eq!(verdict_with(&guard, by_default, json!({"n": 2})).await, "ok");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_without_its_words() {
    let guard = guard(|_| {});
    for (query, variables, code) in [
        ("{ secretWord(", json!({}), "GRAPHQL_PARSE_FAILED"),
        ("{ secretWord ! }", json!({}), "GRAPHQL_PARSE_FAILED"),
        ("", json!({}), "GRAPHQL_PARSE_FAILED"),
        ("{ x } }", json!({}), "GRAPHQL_PARSE_FAILED"),
        ("query A{x} query B{x}", json!({}), "GRAPHQL_VALIDATION_FAILED"),
        ("query($n: Int!) { x(n: $n) }", json!({"n": null}), "BAD_USER_INPUT"),
        ("query($n: Int!) { x(n: $n) }", json!({}), "BAD_USER_INPUT"),
        ("query($n: Int! = 1) { x(n: $n) }", json!({}), "ok"),
        ("{...A} fragment A on Q{...A}", json!({}), "CIRCULAR_FRAGMENT"),
    ] {
        assert_eq!(verdict_with(&guard, query, variables).await, code, "{query}");
    }
    let refusal = guard.admit("{ secretWord ! }", &Variables::default(), None).await.unwrap_err();
    assert_eq!(refusal.message, "syntax error at line 1, column 14");
    let refusal = guard.admit("query A{x}", &Variables::default(), Some("B")).await.unwrap_err();
    assert_eq!(refusal.code, "GRAPHQL_VALIDATION_FAILED");
}

/// The number of selections after expansion, found by expanding.
fn expanded(document: &ExecutableDocument, set: &SelectionSet) -> u64 {
    let size = |selection: &Selection| match selection {
        Selection::Field(field) => expanded(document, &field.node.selection_set.node),
        Selection::InlineFragment(inline) => expanded(document, &inline.node.selection_set.node),
        Selection::FragmentSpread(spread) => document
            .fragments
            .get(&spread.node.fragment_name.node)
            .map_or(0, |fragment| expanded(document, &fragment.node.selection_set.node)),
    };
    set.items.iter().map(|item| 1 + size(&item.node)).sum()
}

fn selection_set() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("x".to_owned()), Just("nodes".to_owned()), Just("a: y(first: 3)".to_owned())];
    let set = leaf.prop_recursive(4, 40, 4, |inner| {
        let set = prop::collection::vec(inner, 1..4).prop_map(|items| items.join(" "));
        (
            prop::sample::select(vec![
                "v",
                "v(first: 0)",
                "v(first: 7)",
                "nodes",
                "edges",
                "...",
                "... on T",
            ]),
            set,
        )
            .prop_map(|(head, set)| format!("{head} {{ {set} }}"))
    });
    prop::collection::vec(set, 1..4).prop_map(|items| items.join(" "))
}

proptest! {
    #[test]
    fn a_cost_is_never_below_the_expanded_size(
        root in selection_set(),
        fragments in prop::collection::vec((selection_set(), 1_usize..4), 1..6),
    ) {
        // Each fragment spreads the next one up to three times: no circle, steep growth.
        let mut query = format!("{{ {root} ...F0 }}");
        for (n, (set, spreads)) in fragments.iter().enumerate() {
            let spreads = format!("...F{} ", n + 1).repeat(*spreads);
            query += &format!(" fragment F{n} on T {{ {set} w {{ {spreads} x }} {spreads} }}");
        }
        query += &format!(" fragment F{} on T {{ x }}", fragments.len());
        let mut limits = Limits {
            depth: 100, aliases: 10_000, root_fields: u64::MAX, cost: u64::MAX, selections: u64::MAX,
            ..Limits::default()
        };
        let parsed = parse_query(&query).unwrap();
        let operation = &parsed.operations.iter().next().unwrap().1.node;
        let size = expanded(&parsed, &operation.selection_set.node);
        let (cost, _) = super::cost::operation(&parsed, operation, &Variables::default(), &limits).unwrap();
        prop_assert!(cost >= size, "{cost} < {size}");
        // The measured size is the true one: it passes as the limit, and one less does not.
        limits.selections = size;
        prop_assert!(super::measure::document(&parsed, &limits).is_ok());
        limits.selections = size - 1;
        prop_assert!(super::measure::document(&parsed, &limits).is_err());
    }
}
