//! What a panic says may quote what was being worked on, so the log tells its place alone.

use std::{
    env,
    process::{Command, Stdio},
    thread,
};

use portal_gateway::{config::LogFormat, log};

use super::EMAIL;

/// Which process this is.
const ROLE: &str = "CANARY_PANICS";

/// Cuts a text in the middle of a character, which is a panic that quotes it.
fn cut() {
    let text = format!("é{EMAIL}");
    let _ = text.split_at(1);
}

#[test]
fn a_panic_tells_where_and_nothing_of_what() {
    match env::var(ROLE).as_deref() {
        Ok("logs") => {
            let _log = log::start("trace", LogFormat::Json, false, std::io::stderr()).unwrap();
            let _ = thread::spawn(cut).join();
            return;
        }
        Ok(_) => {
            let _ = thread::spawn(cut).join();
            return;
        }
        Err(_) => {}
    }
    // The same test as a process of its own: what it does with panics it does for all of the process.
    let (_, module) = module_path!().split_once("::").unwrap();
    let name = format!("{module}::a_panic_tells_where_and_nothing_of_what");
    let said = |role: &str| {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", &name, "--nocapture"]).env(ROLE, role).stdin(Stdio::null());
        let output = child.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let (told, plain) = (said("logs"), said("does not"));
    // A slice that panics in the library is told by its place there.
    assert!(told.contains("a thread panicked") && told.contains("\"place\":\""), "{told}");
    assert!(!told.contains(EMAIL), "{told}");
    assert!(plain.contains(EMAIL), "the control: {plain}");
}
