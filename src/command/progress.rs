//! How far a long command is.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line tells how far it is, where there is no terminal.
const TELL: Duration = Duration::from_secs(10);

/// How far it is: a bar on a terminal, else a line from time to time.
pub struct Progress {
    bar: ProgressBar,
    what: &'static str,
    is_terminal: bool,
    told: Instant,
}

impl Progress {
    /// Nothing is done yet of so many things, which have this name.
    pub fn new(what: &'static str, all: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(all), target);
        let template = format!("{{bar:40}} {{pos}} of {{len}} {what}, {{eta}} left");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        let progress = Self { bar, what, is_terminal, told: Instant::now() };
        progress.tell();
        progress
    }

    /// So many more are done.
    pub fn step(&mut self, more: u64) {
        self.bar.inc(more);
        if self.told.elapsed() >= TELL {
            self.told = Instant::now();
            self.tell();
        }
    }

    /// That was all.
    pub fn end(&self) {
        self.bar.finish_and_clear();
        self.tell();
    }

    fn tell(&self) {
        if !self.is_terminal {
            let (done, all) = (self.bar.position(), self.bar.length().unwrap_or_default());
            eprintln!("{done} of {all} {}", self.what);
        }
    }
}
