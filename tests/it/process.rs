//! The gateway's binary as a process of its own, with nothing in its environment but what a test puts there.

use std::{collections::HashMap, ffi::OsStr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    task::JoinHandle,
    time::timeout,
};

/// Longer than any command may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process left.
#[derive(Debug)]
pub struct Ended {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

fn command<E: AsRef<OsStr>>(arguments: &[&str], env: &HashMap<&'static str, E>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portal-gateway"));
    command.args(arguments).env_clear().envs(env).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub async fn run(arguments: &[&str], env: &HashMap<&'static str, String>) -> Ended {
    let output = timeout(PATIENCE, command(arguments, env).output()).await.expect("it ends").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A process that runs until it is told to stop.
pub struct Running {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: JoinHandle<String>,
}

impl Running {
    pub fn start(arguments: &[&str], env: &HashMap<&'static str, String>) -> Self {
        let mut child = command(arguments, env).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = child.stderr.take().unwrap();
        let err = tokio::spawn(async move {
            let mut text = String::new();
            stderr.read_to_string(&mut text).await.unwrap();
            text
        });
        Self { child, out, err }
    }

    /// Its lines up to the one that contains a text.
    pub async fn lines_until(&mut self, last: &str) -> String {
        let mut text = String::new();
        let read = async {
            while let Some(line) = self.out.next_line().await.unwrap() {
                text += &line;
                text.push('\n');
                if line.contains(last) {
                    return true;
                }
            }
            false
        };
        let found = timeout(PATIENCE, read).await.expect("it says so");
        assert!(found, "it ended before it said {last:?}: {text}");
        text
    }

    /// Ends it without asking.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Stops it where it is, until [`Running::resume`].
    pub async fn pause(&self) {
        self.signal("STOP").await;
    }

    /// Lets it go on.
    pub async fn resume(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id().unwrap());
        assert!(Command::new("sh").args(["-c", &kill]).status().await.unwrap().success());
    }

    /// Asks it to stop, and waits for that.
    pub async fn stop(mut self) -> Ended {
        self.signal("TERM").await;
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it stops").unwrap();
        let mut out = String::new();
        while let Some(line) = self.out.next_line().await.unwrap() {
            out += &line;
            out.push('\n');
        }
        Ended { code: status.code(), out, err: self.err.await.unwrap() }
    }
}
