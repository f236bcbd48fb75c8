//! What the lock file may hold: one source, one TLS stack, licences that we may ship, and no package twice
//! without a reason. Advisories are the work of `scripts/audit`, which needs a stored copy of them.

use std::{collections::BTreeMap, process::Command};

/// Packages that must not come in, and what stands for them.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "rustls with ring is the one TLS stack"),
    ("openssl-sys", "rustls with ring is the one TLS stack"),
    ("native-tls", "rustls with ring is the one TLS stack"),
    ("boring", "rustls with ring is the one TLS stack"),
    ("aws-lc-rs", "ring is the one provider of cryptography for TLS, and builds without CMake"),
    ("aws-lc-sys", "ring is the one provider of cryptography for TLS, and builds without CMake"),
    ("async-std", "tokio is the one runtime"),
    ("actix-web", "axum is the one web framework"),
    ("chrono-tz", "Japan keeps no daylight saving: one fixed offset does"),
];

/// Licences that may be part of what we ship. A package passes when one choice that it offers consists of these alone.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages that are there in several versions, with those versions, because packages of others ask for them.
/// Each costs build time: the list may shrink, and grows only with a reason. `darling` to `synstructure` came with Avro and
/// with the generators of gRPC code, which only tests build; the older `bit-set` and `itertools` with zxcvbn.
const DUPLICATES: &[(&str, &[&str])] = &[
    ("base64", &["0.22.1", "0.23.1"]),
    ("bit-set", &["0.8.0", "0.11.1"]),
    ("bit-vec", &["0.8.0", "0.9.1", "0.10.1"]),
    ("block-buffer", &["0.10.4", "0.12.1"]),
    ("const-oid", &["0.9.6", "0.10.2"]),
    ("cpufeatures", &["0.2.17", "0.3.1"]),
    ("crypto-common", &["0.1.6", "0.2.2"]),
    ("darling", &["0.23.0", "0.24.1"]),
    ("darling_core", &["0.23.0", "0.24.1"]),
    ("darling_macro", &["0.23.0", "0.24.1"]),
    ("digest", &["0.10.7", "0.11.3"]),
    ("foldhash", &["0.1.5", "0.2.0"]),
    ("getrandom", &["0.2.17", "0.3.4", "0.4.3"]),
    ("hashbrown", &["0.15.5", "0.16.1", "0.17.1"]),
    ("heck", &["0.4.1", "0.5.0"]),
    ("hkdf", &["0.12.4", "0.13.0"]),
    ("hmac", &["0.12.1", "0.13.0"]),
    ("itertools", &["0.13.0", "0.14.0"]),
    ("logos", &["0.15.1", "0.16.1"]),
    ("logos-codegen", &["0.15.1", "0.16.1"]),
    ("logos-derive", &["0.15.1", "0.16.1"]),
    ("nom", &["7.1.3", "8.0.0"]),
    ("pem", &["3.0.6", "4.0.0"]),
    ("prettyplease", &["0.2.37", "0.3.0"]),
    ("r-efi", &["5.3.0", "6.0.0"]),
    ("rand", &["0.8.8", "0.9.5", "0.10.3"]),
    ("rand_chacha", &["0.3.1", "0.9.0"]),
    ("rand_core", &["0.6.4", "0.9.5", "0.10.1"]),
    ("sha1", &["0.10.7", "0.11.0"]),
    ("sha2", &["0.10.9", "0.11.1"]),
    ("syn", &["2.0.119", "3.0.9"]),
    ("synstructure", &["0.13.2", "0.14.0"]),
    ("windows-sys", &["0.52.0", "0.61.2"]),
    ("winnow", &["0.7.15", "1.0.5"]),
];

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn everything_comes_from_the_one_registry_with_a_checksum() {
    let packages = packages(LOCK);
    assert!(packages.len() > 100, "the lock file was not read");
    for package in packages.iter().filter(|package| package.name != env!("CARGO_PKG_NAME")) {
        let Package { name, version, source, has_checksum } = package;
        assert_eq!(source.as_deref(), Some(REGISTRY), "{name} {version}");
        assert!(has_checksum, "{name} {version} has no checksum");
    }
}

#[test]
fn no_banned_package_came_in() {
    assert_eq!(banned(&packages(LOCK)), Vec::<String>::new());
}

#[test]
fn no_package_is_there_twice_without_a_reason() {
    let found = duplicates(&packages(LOCK));
    let known: BTreeMap<_, _> = DUPLICATES
        .iter()
        .map(|(name, versions)| ((*name).to_owned(), versions.iter().map(|v| (*v).to_owned()).collect()))
        .collect::<BTreeMap<_, Vec<_>>>();
    for (name, versions) in &found {
        assert_eq!(
            Some(versions),
            known.get(name),
            "versions of {name}: find out with `cargo tree -d` who asks"
        );
    }
    for name in known.keys() {
        assert!(found.contains_key(name), "{name} is there only once by now: take it off the list");
    }
}

#[test]
fn every_licence_may_be_shipped() {
    let refused: Vec<_> = licences()
        .into_iter()
        .filter(|(_, licence)| !licence.as_deref().is_some_and(may_ship))
        .map(|(name, licence)| format!("{name}: {}", licence.as_deref().unwrap_or("none stated")))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn planted_faults_are_found() {
    let lock = "[[package]]\nname = \"openssl\"\nversion = \"0.10.1\"\nsource = \"git+https://example.com/openssl\"\n\n\
                [[package]]\nname = \"rand\"\nversion = \"0.8.0\"\n\n[[package]]\nname = \"rand\"\nversion = \"0.9.0\"\n";
    let packages = packages(lock);
    assert_eq!(banned(&packages), ["openssl: rustls with ring is the one TLS stack"]);
    assert_eq!(duplicates(&packages).keys().collect::<Vec<_>>(), ["rand"]);
    assert_eq!(packages[0].source.as_deref(), Some("git+https://example.com/openssl"));
    assert!(!packages[0].has_checksum);

    for licence in ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(MIT OR GPL-2.0) AND Unicode-3.0"] {
        assert!(may_ship(licence), "{licence}");
    }
    for licence in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND AGPL-3.0", "", "Business Source"] {
        assert!(!may_ship(licence), "{licence}");
    }
}

/// One entry of the lock file.
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    has_checksum: bool,
}

const LOCK: &str = include_str!("../../Cargo.lock");

fn packages(lock: &str) -> Vec<Package> {
    lock.split("[[package]]")
        .skip(1)
        .map(|entry| {
            let field = |name: &str| {
                entry
                    .lines()
                    .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
                    .map(str::to_owned)
            };
            Package {
                name: field("name").unwrap(),
                version: field("version").unwrap(),
                source: field("source"),
                has_checksum: field("checksum").is_some(),
            }
        })
        .collect()
}

fn banned(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter_map(|package| BANNED.iter().find(|(name, _)| *name == package.name))
        .map(|(name, instead)| format!("{name}: {instead}"))
        .collect()
}

fn duplicates(packages: &[Package]) -> BTreeMap<String, Vec<String>> {
    let mut versions = BTreeMap::<_, Vec<_>>::new();
    for package in packages {
        versions.entry(package.name.clone()).or_default().push(package.version.clone());
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions
}

/// Name and licence of every package that this platform builds. What cargo needs for that was fetched to build this test.
fn licences() -> Vec<(String, Option<String>)> {
    let host = format!("{}-unknown-{}-gnu", std::env::consts::ARCH, std::env::consts::OS);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["name"]).unwrap(), text(&package["license"])))
        .collect()
}

/// Reads a licence expression: `OR` and the older `/` offer a choice, `AND` adds, parentheses group.
fn may_ship(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = expression.split_whitespace().peekable();
    let accepted = any_of(&mut words);
    accepted && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words<'_>) -> bool {
    let mut accepted = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        accepted |= all_of(words);
    }
    accepted
}

fn all_of(words: &mut Words<'_>) -> bool {
    let mut accepted = licence(words);
    while words.next_if_eq(&"AND").is_some() {
        accepted &= licence(words);
    }
    accepted
}

fn licence(words: &mut Words<'_>) -> bool {
    if words.next_if_eq(&"(").is_some() {
        return any_of(words) && words.next() == Some(")");
    }
    let Some(name) = words.next() else { return false };
    let name = match words.next_if_eq(&"WITH") {
        Some(_) => format!("{name} WITH {}", words.next().unwrap_or_default()),
        None => name.to_owned(),
    };
    LICENCES.contains(&name.as_str())
}
