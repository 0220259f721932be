//! The command line: one file per verb; the only place that prints, colours and exits.
//!
//! A verb's file holds its arguments (`Args`), what it does (`execute`) and its tests. To add one, write the file and give
//! it a line in the list of verbs. Data goes to standard output and messages to standard error, both through `output`;
//! what an outcome means as an exit code stands in `exit` alone.

mod accuracy;
mod all_devices;
mod anatomy;
mod bench;
mod build;
mod check;
mod choices;
mod compare;
mod completions;
mod devices;
mod differences;
mod engine;
mod exit;
mod lost;
mod merge;
mod models;
mod new;
mod output;
mod panic;
mod plan;
mod replays;
mod rerun;
mod resume;
mod room;
mod run;
mod run_options;
mod shipped;
mod step;
mod summary;
mod table;
mod wgsl;

use std::process::ExitCode;

use clap::Parser;

use exit::{Exit, Failure};
use output::Colour;

/// Runs populations of muscle-fibre models: thousands to millions of fibres, each with its own parameters and its own step.
#[derive(Debug, Parser)]
#[command(name = "sarcolemma", version, propagate_version = false, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    /// Colour in messages. By default on a terminal only, unless NO_COLOR is set or TERM is 'dumb'
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        hide_default_value = true
    )]
    color: Colour,

    #[command(subcommand)]
    verb: Verb,
}

const AFTER_HELP: &str = "\
First steps:
  sarcolemma models                    what comes with it
  sarcolemma new study.toml            an annotated starter study
  sarcolemma run study.toml            runs it and writes study.h5

Exit codes: 0 done; 1 outside a tolerance; 2 the study, model or command line is wrong; 3 the machine failed;
130 interrupted, resumable.";

/// Every verb, in the order of the help.
#[derive(Debug, clap::Subcommand)]
enum Verb {
    Run(run::Args),
    Plan(plan::Args),
    Compare(compare::Args),
    Models(models::Args),
    Check(check::Args),
    Step(step::Args),
    Rerun(rerun::Args),
    Resume(resume::Args),
    Merge(merge::Args),
    Bench(bench::Args),
    Wgsl(wgsl::Args),
    Devices(devices::Args),
    New(new::Args),
    Completions(completions::Args),
}

impl Verb {
    fn execute(self) -> Result<Exit, Failure> {
        match self {
            Verb::Run(args) => run::execute(args),
            Verb::Plan(args) => plan::execute(args),
            Verb::Compare(args) => compare::execute(args),
            Verb::Models(args) => models::execute(args),
            Verb::Check(args) => check::execute(args),
            Verb::Step(args) => step::execute(args),
            Verb::Rerun(args) => rerun::execute(args),
            Verb::Resume(args) => resume::execute(args),
            Verb::Merge(args) => merge::execute(args),
            Verb::Bench(args) => bench::execute(args),
            Verb::Wgsl(args) => wgsl::execute(args),
            Verb::Devices(args) => devices::execute(args),
            Verb::New(args) => new::execute(args),
            Verb::Completions(args) => completions::execute(args),
        }
    }
}

/// Runs the command line of this process and returns its exit code.
pub fn main() -> ExitCode {
    panic::report_as_ours();
    ExitCode::from(panic::caught(|| match Cli::try_parse() {
        Ok(cli) => {
            output::set_colour(cli.color);
            exit::code(cli.verb.execute())
        }
        // Help and the version come this way too: clap prints them on standard output, and faults on standard error.
        Err(answer) => match answer.print() {
            Err(error) if !answer.use_stderr() => exit::code(Err(Failure::stdout(&error))),
            _ => u8::try_from(answer.exit_code()).unwrap_or(exit::WRONG_INPUT),
        },
    }))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn every_verb_and_flag_is_consistent_and_has_a_help_text() {
        let mut command = Cli::command();
        command.build();
        command.clone().debug_assert();
        for verb in command.get_subcommands().filter(|v| v.get_name() != "help") {
            assert!(
                verb.get_about().is_some(),
                "{} has no help",
                verb.get_name()
            );
            for arg in verb.get_arguments() {
                assert!(
                    arg.get_help().is_some(),
                    "{} {} has no help",
                    verb.get_name(),
                    arg.get_id()
                );
            }
        }
    }
}
