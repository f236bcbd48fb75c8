//! `schema`: the contract as text.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use portal_gateway::schema;

/// What to do with the schema; without an option it is printed.
#[derive(Args)]
#[group(multiple = false)]
pub struct Options {
    /// Store it in this file.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Fail unless this file holds it.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Store in this file who may ask what.
    #[arg(long, value_name = "FILE")]
    authorization: Option<PathBuf>,
}

/// Prints, stores or compares.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if let Some(file) = &options.authorization {
        fs::write(file, schema::policy::table())
            .with_context(|| format!("{} cannot be written", file.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let sdl = schema::sdl();
    if let Some(file) = &options.write {
        fs::write(file, sdl).with_context(|| format!("{} cannot be written", file.display()))?;
    } else if let Some(file) = &options.check {
        let committed =
            fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        if committed != sdl {
            eprintln!("{} is out of step: run `cargo sdl` and read its diff", file.display());
            return Ok(ExitCode::FAILURE);
        }
    } else {
        print!("{sdl}");
    }
    Ok(ExitCode::SUCCESS)
}
