//! Imports point down only. This file holds the table of who may name whom, and reads the source against it.
//!
//! Paths are found among the tokens of each file, so comments and strings do not count and the bodies of
//! macros do. A path through `super` counts as the path that it means.

use std::{
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The words that all layers share.
const WORDS: &[&str] =
    &["big_int", "clock", "deadline", "error", "id", "money", "page", "seal", "secret", "spending"];

/// Each room, and what it may name besides itself and the shared words. `room::Item` allows that item alone.
const TABLE: &[(&str, &[&str])] = &[
    // Rows of customers in front of the sandbox; like the sandbox, no part of a production build.
    ("demo", &["identity", "sandbox"]),
    // Whole answers are kept at the door.
    ("http", &["app", "config", "schema", "identity", "events", "freshness"]),
    (
        "schema",
        &[
            "app",
            "workflows",
            "billing",
            "crm",
            "sim",
            "notify",
            "postal",
            "identity",
            "mail::Language",
            "freshness::Read",
            "freshness::Reader",
        ],
    ),
    (
        "app",
        &[
            "config",
            "workflows",
            "events",
            "billing",
            "crm",
            "sim",
            "notify",
            "postal",
            "identity",
            "upstream",
            "freshness",
            "jobs",
            "mail",
            "store",
        ],
    ),
    // It fills the settings that each room declares.
    (
        "config",
        &[
            "billing",
            "crm",
            "sim",
            "notify",
            "postal",
            "identity",
            "upstream",
            "freshness",
            "jobs",
            "mail",
            "store",
            "events",
            "workflows",
        ],
    ),
    ("log", &["config"]),
    (
        "workflows",
        &[
            "billing",
            "crm",
            "sim",
            "notify",
            "identity",
            "jobs",
            "mail",
            "store",
            "postal::PostalCode",
            // Whether a value is as its system has it now.
            "freshness::Read",
        ],
    ),
    (
        "events",
        &[
            "workflows",
            "billing",
            "crm",
            "sim",
            "notify",
            "identity",
            "upstream",
            "freshness",
            "jobs",
            "mail",
            "store",
        ],
    ),
    ("billing", DOMAIN),
    ("crm", DOMAIN),
    ("sim", DOMAIN),
    ("notify", DOMAIN),
    ("postal", DOMAIN),
    ("identity", &["freshness", "jobs", "mail", "store", "upstream::captcha"]),
    ("upstream", &[]),
    ("freshness", &["store"]),
    ("jobs", &["store"]),
    ("mail", &["jobs"]),
    ("store", &[]),
    ("sandbox", &[]),
];

/// The modules of the binary, which may name everything.
const BINARY: &[&str] = &["main", "command"];

/// What a domain may name. Two domains meet in `schema` or in `workflows`.
const DOMAIN: &[&str] = &["identity::Viewer", "upstream", "freshness", "jobs", "store"];

/// Crates that only some rooms may name: the web framework stays at the door, SQL in the store.
const CRATES: &[(&str, &[&str])] = &[("axum", &["http", "sandbox"]), ("sqlx", &["store"])];

#[test]
fn imports_point_down_only() {
    let mut found = Vec::new();
    for file in rust_files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let source = fs::read_to_string(&file).unwrap();
        let inside = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
        found.extend(violations(inside, &source));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_planted_violation_is_found() {
    for (file, source, named) in [
        ("billing/invoices.rs", "use crate::crm::Order;", "crm::Order"),
        ("billing/invoices.rs", "use crate::{error::Result, sim};", "sim"),
        ("billing/invoices.rs", "use crate::identity::{Viewer, Session};", "identity::Session"),
        ("billing/invoices.rs", "fn f() { join!(crate::crm::orders()) }", "crm::orders"),
        ("billing/invoices.rs", "use super::super::crm;", "crm"),
        (
            "billing/mod.rs",
            "mod deep { mod er { use super::super::super::schema::Query; } }",
            "schema::Query",
        ),
        ("billing/mod.rs", "fn f(_: axum::Router) {}", "axum::Router"),
        ("schema/viewer.rs", "use crate::upstream::whmcs::Client;", "upstream::whmcs::Client"),
        ("http/graphql.rs", "use crate::store::Store;", "store::Store"),
        ("store/users.rs", "use crate::identity::UserRow;", "identity::UserRow"),
        ("upstream/whmcs/client.rs", "use crate::freshness::Tag;", "freshness::Tag"),
        ("sandbox/whmcs/mod.rs", "use crate::upstream::whmcs::Invoice;", "upstream::whmcs::Invoice"),
        ("identity/login.rs", "use sqlx::query;", "sqlx::query"),
        ("money.rs", "use crate::billing::Invoice;", "billing::Invoice"),
        ("attic/mod.rs", "use crate::error::Error;", "attic"),
    ] {
        let found = violations(Path::new(file), source);
        assert_eq!(found.len(), 1, "{source} in {file}: {found:?}");
        assert!(found[0].ends_with(&format!(" {named}")), "{found:?}");
    }
}

#[test]
fn what_the_table_allows_is_not_reported() {
    for (file, source) in [
        ("billing/invoices.rs", "use crate::{error::{Error, Result}, identity::Viewer, upstream::whmcs};"),
        ("billing/invoices.rs", "use super::{clients::Client, super::upstream}; mod tests { use super::*; }"),
        ("billing/mod.rs", "/// See `crate::crm::Order`.\nconst TEXT: &str = \"crate::crm::Order\";"),
        ("schema/invoice.rs", "use crate::{billing::Invoice, sim::Line};"),
        ("http/mod.rs", "use axum::Router; use crate::schema::Schema;"),
        ("sandbox/mod.rs", "pub(crate) use crate::clock::Clock;"),
        ("lib.rs", "pub mod billing; pub mod crm;"),
        ("main.rs", "use portal_gateway::{app::App, sandbox};"),
    ] {
        assert_eq!(violations(Path::new(file), source), Vec::<String>::new(), "{source} in {file}");
    }
}

/// What a file names and must not, one sentence each: `billing/invoices.rs may not name crm::Order`.
fn violations(file: &Path, source: &str) -> Vec<String> {
    let module = module_of(file);
    // The library's root only declares the rooms; the binary wires all of them.
    let Some(room) = module.first().filter(|room| !BINARY.contains(&room.as_str())) else {
        return Vec::new();
    };
    let Some(allowed) = allowed_in(room) else {
        return vec![format!("{} stands in a room that the table does not know: {room}", file.display())];
    };
    let mut paths = Vec::new();
    collect(source.parse().unwrap_or_else(|e| panic!("{}: {e}", file.display())), &module, &mut paths);
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| !match path {
            Named::Ours(path) => {
                path.is_empty()
                    || path[0] == *room
                    || WORDS.contains(&path[0].as_str())
                    || allowed.iter().any(|rule| {
                        let rule: Vec<_> = rule.split("::").collect();
                        path.len() >= rule.len() && path.iter().zip(&rule).all(|(a, b)| a == b)
                    })
            }
            Named::Other(path) => CRATES
                .iter()
                .find(|(name, _)| *name == path[0])
                .is_none_or(|(_, rooms)| rooms.contains(&room.as_str())),
        })
        .map(|named| {
            let (Named::Ours(path) | Named::Other(path)) = named;
            format!("{} may not name {}", file.display(), path.join("::"))
        })
        .collect()
}

fn allowed_in(room: &str) -> Option<&'static [&'static str]> {
    match TABLE.iter().find(|(name, _)| *name == room) {
        Some((_, allowed)) => Some(allowed),
        None => WORDS.contains(&room).then_some(&[]),
    }
}

/// A path that a file names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    /// From the root of this crate.
    Ours(Vec<String>),
    /// Of another crate, or relative to a name in scope.
    Other(Vec<String>),
}

/// Finds every path of two or more names in the tokens of `module`.
fn collect(tokens: TokenStream, module: &[String], found: &mut Vec<Named>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match (&tokens[at], tokens.get(at + 1), tokens.get(at + 2)) {
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)), Some(TokenTree::Group(body)))
                if *word == "mod" =>
            {
                let inner: Vec<_> = module.iter().cloned().chain([name.to_string()]).collect();
                collect(body.stream(), &inner, found);
                at += 3;
            }
            (TokenTree::Ident(_), ..) if is_path_separator(&tokens, at + 1) => {
                let mut paths = Vec::new();
                at = path_at(&tokens, at, &[], &mut paths);
                found.extend(paths.iter().map(|path| resolve(path, module)));
            }
            (TokenTree::Group(group), ..) => {
                collect(group.stream(), module, found);
                at += 1;
            }
            _ => at += 1,
        }
    }
}

/// Reads the path, or the tree of a `use`, that begins at `at`; returns where it ends.
fn path_at(tokens: &[TokenTree], mut at: usize, prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(at) {
            Some(TokenTree::Ident(name)) => path.push(name.to_string()),
            Some(TokenTree::Group(tree)) if tree.delimiter() == Delimiter::Brace => {
                let branches: Vec<_> = tree.stream().into_iter().collect();
                for branch in
                    branches.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ','))
                {
                    if !branch.is_empty() {
                        path_at(branch, 0, &path, paths);
                    }
                }
                return at + 1;
            }
            // A glob or generic arguments: what they belong to is named already.
            _ => break,
        }
        at += 1;
        if !is_path_separator(tokens, at) {
            break;
        }
        at += 2;
    }
    paths.push(path);
    at
}

fn is_path_separator(tokens: &[TokenTree], at: usize) -> bool {
    let is_colon = |at| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == ':');
    is_colon(at) && is_colon(at + 1)
}

fn resolve(path: &[String], module: &[String]) -> Named {
    let mut base = match path[0].as_str() {
        "crate" => Vec::new(),
        "self" | "super" => module.to_vec(),
        _ => return Named::Other(path.to_vec()),
    };
    for name in path.iter().skip(usize::from(path[0] != "super")) {
        match name.as_str() {
            "super" => drop(base.pop()),
            "self" => {}
            _ => base.push(name.clone()),
        }
    }
    Named::Ours(base)
}

/// `billing/mod.rs` is `billing`; `billing/invoices.rs` is `billing::invoices`; `lib.rs` is the root.
fn module_of(file: &Path) -> Vec<String> {
    let mut module: Vec<_> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    module
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
