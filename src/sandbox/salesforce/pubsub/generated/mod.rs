//! The service and its messages, generated from `pubsub_api.proto`. To generate them anew:
//! `UPDATE_GENERATED=1 cargo test --lib pubsub::generated`.

mod wire {
    #![expect(missing_docs, reason = "not every field of the interface says more than its name")]
    #![expect(clippy::allow_attributes, reason = "the generator writes them")]

    include!("eventbus.v1.rs");
}

pub use wire::*;

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use std::{fs, path::Path};

    const HEADER: &str = "// Generated from pubsub_api.proto; do not edit.\n\
        // UPDATE_GENERATED=1 cargo test --lib pubsub::generated\n\n";

    #[test]
    fn the_generated_code_is_that_of_the_proto() {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sandbox/salesforce/pubsub");
        let descriptors = protox::compile(["pubsub_api.proto"], [&home]).unwrap();
        let out = tempfile::tempdir().unwrap();
        tonic_prost_build::configure()
            .emit_rerun_if_changed(false)
            .client_mod_attribute("eventbus.v1", "#[cfg(test)]")
            .out_dir(out.path())
            .compile_fds(descriptors)
            .unwrap();
        let generated = HEADER.to_owned() + &fs::read_to_string(out.path().join("eventbus.v1.rs")).unwrap();
        let committed = home.join("generated/eventbus.v1.rs");
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&committed, &generated).unwrap();
        }
        let current = fs::read_to_string(&committed).unwrap();
        assert!(current == generated, "eventbus.v1.rs is not what pubsub_api.proto gives");
    }
}
