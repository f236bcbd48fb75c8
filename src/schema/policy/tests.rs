#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeSet, HashSet};

use super::*;

/// What is wrong between a table and a schema: fields and arguments without a declaration, and declarations of what is not
/// there.
fn gaps(graph: &Graph, lines: &[declared::Line]) -> Vec<String> {
    let mut gaps = Vec::new();
    let mut used = HashSet::new();
    let names: Vec<_> = lines.iter().map(|line| line.name).collect();
    for (of, fields) in &graph.types {
        let whole = format!("{of}.*");
        for (name, field) in fields {
            let name = format!("{of}.{name}");
            let line = lines.iter().find(|line| line.name == name);
            let line = line.or_else(|| lines.iter().find(|line| line.name == whole));
            let Some(line) = line else {
                gaps.push(format!("{name} is not declared"));
                continue;
            };
            used.insert(line.name);
            let declared: BTreeSet<_> =
                line.arguments.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
            let there: BTreeSet<_> = field.arguments.iter().map(String::as_str).collect();
            gaps.extend(there.difference(&declared).map(|one| format!("{name}({one}) is not declared")));
            gaps.extend(declared.difference(&there).map(|one| format!("{name}({one}) is not there")));
        }
    }
    gaps.extend(names.iter().filter(|name| !used.contains(*name)).map(|name| format!("{name} is not there")));
    for (place, name) in names.iter().enumerate() {
        if names[..place].contains(name) {
            gaps.push(format!("{name} is declared twice"));
        }
    }
    gaps.sort();
    gaps
}

#[test]
fn every_field_and_argument_declares_who_may_ask_it() {
    let lines: Vec<_> = declared::lines().collect();
    assert!(GRAPH.types.values().map(HashMap::len).sum::<usize>() > 300, "the walk found next to nothing");
    assert_eq!(gaps(&GRAPH, &lines), Vec::<String>::new());
}

#[test]
fn a_field_an_argument_and_a_line_too_many_are_found() {
    let graph =
        Graph::read("type Query { known(first: Int, secret: Int): Int new: Thing } type Thing { a: Int }");
    let line = |name, arguments| declared::Line { name, arguments, access: Access::Anybody };
    let lines = [line("Query.known", "first, gone"), line("Query.old", ""), line("Query.old", "")];
    assert_eq!(
        gaps(&graph, &lines),
        [
            "Query.known(gone) is not there",
            "Query.known(secret) is not declared",
            "Query.new is not declared",
            "Query.old is declared twice",
            "Query.old is not there",
            "Query.old is not there",
            "Thing.a is not declared",
        ]
    );
}

#[test]
fn the_table_in_the_documents_is_in_step() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/authorization.md");
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    let command = "cargo run -- schema --authorization docs/authorization.md";
    assert!(committed == table(), "docs/authorization.md is out of step: run `{command}` and read its diff");
}

/// Code and field of every fault, and a scope that is missing.
fn judged(document: &str, asker: Asker) -> Vec<(String, String)> {
    let mut request = Request::new(document);
    let told = |error: &ServerError| {
        let extensions = serde_json::to_value(&error.extensions).unwrap();
        let word = |name: &str| extensions[name].as_str().unwrap_or_default().to_owned();
        assert!(error.message.starts_with(&word("field")), "{}", error.message);
        (word("code"), format!("{} {}", word("field"), word("scope")).trim().to_owned())
    };
    refuse(&mut request, asker).iter().flat_map(|response| &response.errors).map(told).collect()
}

fn partner(scopes: &str) -> Asker {
    Asker::Partner { scopes: Scopes::parse(scopes).unwrap(), for_customer: true }
}

#[test]
fn a_partner_needs_the_scope_of_every_field_wherever_it_stands() {
    let billing = partner("billing:read");
    for allowed in [
        "{ viewer { id invoices { nodes { id total { amount } lines { description } } totals { paid { amount } } } } }",
        "{ node(id: \"x\") { __typename id ... on Invoice { number } } }",
        "{ postalLookup(code: \"150-0041\") { postalCode } __typename }",
        "{ __schema { types { name } } }",
        "subscription { invoiceUpdated { invoice { number } } }",
    ] {
        assert_eq!(judged(allowed, billing), [], "{allowed}");
    }
    for (refused, field) in [
        ("{ viewer { profile { fullName } } }", "Viewer.profile profile:read"),
        ("{ viewer { a: profile { b: email } } }", "Viewer.profile profile:read"),
        ("{ viewer { ...V } } fragment V on Viewer { orders { totalCount } }", "Viewer.orders orders:read"),
        (
            "{ ...Q } fragment Q on Query { viewer { ... { cases { totalCount } } } }",
            "Viewer.cases cases:read",
        ),
        ("{ viewer { summary { openOrders } } }", "Summary.openOrders orders:read"),
        (
            "{ viewer { invoices { edges { node { lines { subscription { id } } } } } } }",
            "InvoiceLine.subscription services:read",
        ),
        ("{ nodes(ids: []) { ... on Order { number } } }", "Order.number orders:read"),
        ("{ viewer { orders @include(if: false) { totalCount } } }", "Viewer.orders orders:read"),
        ("subscription { orderUpdated { id } }", "LiveUpdates.orderUpdated orders:read"),
        ("{ viewer { sessions { id } } }", "Viewer.sessions"),
        ("mutation { sessionCreate(input: {}) { userErrors { code } } }", "Mutation.sessionCreate"),
        ("mutation { profileUpdate(input: {}) { userErrors { code } } }", "Mutation.profileUpdate"),
        ("subscription { accountChanged { kind } }", "LiveUpdates.accountChanged"),
    ] {
        let judged = judged(refused, billing);
        assert_eq!(
            judged.first().map(|(code, field)| (code.as_str(), field.as_str())),
            Some(("FORBIDDEN", field)),
            "{refused}"
        );
    }
    // Each scope that is missing is told at once.
    let all = judged(
        "{ viewer { invoices { totalCount } orders { totalCount } cases { totalCount } } }",
        partner(""),
    );
    assert_eq!(all.len(), 3, "{all:?}");
}

#[test]
fn without_a_customer_a_partner_has_what_is_public() {
    let all: Scopes = Scope::ALL.into_iter().collect();
    let alone = Asker::Partner { scopes: all, for_customer: false };
    assert_eq!(judged("{ postalLookup(code: \"x\") { postalCode } }", alone), []);
    for document in [
        "{ viewer { id } }",
        "{ node(id: \"x\") { id } }",
        "subscription { lineUpdated { line { phoneNumber } } }",
    ] {
        assert_eq!(judged(document, alone)[0].0, "FORBIDDEN", "{document}");
    }
}

#[test]
fn who_is_not_signed_in_has_the_doors_and_what_they_give() {
    for allowed in [
        "{ viewer { profile { fullName } } signInHandOff { maskedEmail } }",
        "mutation { sessionCreate(input: {}) { viewer { invoices { nodes { id } } } } }",
        "mutation { ...M } fragment M on Mutation { sessionEnd { ended } }",
    ] {
        assert_eq!(judged(allowed, Asker::Nobody), [], "{allowed}");
    }
    for refused in [
        "{ node(id: \"x\") { id } }",
        "mutation { stepUpBegin { methods } }",
        "mutation { ...M } fragment M on Mutation { deviceRevoke(input: {}) { revoked } }",
        "subscription { orderUpdated { id } }",
    ] {
        assert_eq!(judged(refused, Asker::Nobody)[0].0, "UNAUTHENTICATED", "{refused}");
    }
}

#[test]
fn each_operation_of_a_document_is_judged_by_itself_and_what_is_remembered_by_its_name() {
    let document = "query A { viewer { id } } query B { viewer { orders { totalCount } } }";
    for _ in 0..2 {
        for (operation, is_refused) in [("A", false), ("B", true)] {
            let mut request = Request::new(document).operation_name(operation).data(DocumentName([7; 32]));
            assert_eq!(refuse(&mut request, partner("")).is_some(), is_refused, "{operation}");
            // Who else asks the same is judged for themselves.
            let mut request = Request::new(document).operation_name(operation).data(DocumentName([7; 32]));
            assert!(refuse(&mut request, Asker::Customer).is_none());
        }
    }
}

#[test]
fn a_field_that_is_not_declared_is_for_nobody() {
    let graph = Graph::read("type Query { forgotten: Int }");
    let document = async_graphql::parser::parse_query("{ forgotten }").unwrap();
    let demands = demand::read(&graph, &document);
    for asker in [Asker::Nobody, Asker::Customer, partner("billing:read")] {
        assert_eq!(demands[0].faults(asker).count(), 1, "{asker:?}");
    }
}

#[test]
fn fragments_that_double_are_walked_once() {
    let mut document = String::from("{ viewer { ...F0 } }");
    for n in 0..200 {
        document += &format!(" fragment F{n} on Viewer {{ ...F{0} ...F{0} id }}", n + 1);
    }
    document += " fragment F200 on Viewer { orders { totalCount } ...F0 }";
    assert_eq!(judged(&document, partner(""))[0].1, "Viewer.orders orders:read");
}
