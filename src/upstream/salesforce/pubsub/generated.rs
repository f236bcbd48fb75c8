//! Holds the committed code against its description.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{fs, path::Path};

/// On top of the committed code.
const HEAD: &str = "\
// Made from pubsub_api.proto; do not edit. To make it anew:
//   UPDATE_GENERATED=1 cargo test --lib pubsub::generated
";

#[test]
fn the_committed_code_is_what_the_description_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/upstream/salesforce/pubsub");
    let description = protox::compile(["pubsub_api.proto"], [&folder]).unwrap();
    let made = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .bytes(".")
        .out_dir(made.path())
        .compile_fds(description)
        .unwrap();
    let code = HEAD.to_owned() + &fs::read_to_string(made.path().join("eventbus.v1.rs")).unwrap();
    let committed = folder.join("eventbus.rs");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        fs::write(&committed, &code).unwrap();
    }
    assert!(fs::read_to_string(committed).unwrap() == code, "{}", HEAD);
}
