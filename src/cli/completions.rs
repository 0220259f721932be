//! `sarcolemma completions`: what a shell needs to complete verbs, flags and paths.

use clap::CommandFactory;
use clap_complete::Shell;

use super::exit::{Exit, Failure};
use super::output;

/// Print the completions for a shell
///
/// For bash, put them where it looks for them: sarcolemma completions bash >
/// ~/.local/share/bash-completion/completions/sarcolemma
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut super::Cli::command(),
        "sarcolemma",
        &mut script,
    );
    output::data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
