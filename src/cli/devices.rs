//! `sarcolemma devices`: what can compute on this machine.

use serde_json::{Value, json};

use crate::backend::cpu::Simd;

use super::exit::{Exit, Failure};
use super::{output, table};

/// Show what can compute here: processor, threads, GPUs
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Why there is no GPU in the list.
const NO_GPU: &str = "this version runs on the CPU only; nothing needs to be installed";

/// Prints the devices.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let simd = Simd::available();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    match args.json {
        true => output::json(&as_json(&simd, threads))?,
        false => output::data(&as_text(&simd, threads))?,
    }
    Ok(Exit::Done)
}

fn names(simd: &[Simd]) -> Vec<&'static str> {
    simd.iter().map(|s| s.name()).collect()
}

fn as_json(simd: &[Simd], threads: usize) -> Value {
    json!({
        "schema": 1,
        "cpu": {
            "architecture": std::env::consts::ARCH,
            "simd": names(simd).first(),
            "simd_available": names(simd),
            "threads": threads,
        },
        "gpus": [],
        "gpu_note": NO_GPU,
    })
}

fn as_text(simd: &[Simd], threads: usize) -> String {
    let best = names(simd).first().copied().unwrap_or("baseline");
    let (s, arch) = (if threads == 1 { "" } else { "s" }, std::env::consts::ARCH);
    let rows = [
        [
            "cpu".to_owned(),
            format!("{arch}, {best}, {threads} thread{s}"),
        ],
        ["gpu".to_owned(), format!("none: {NO_GPU}")],
    ];
    table::aligned(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_instruction_set_comes_first() {
        let sets = [Simd::Avx2, Simd::Baseline];
        assert!(
            as_text(&sets, 1)
                .lines()
                .next()
                .is_some_and(|l| l.ends_with(", AVX2, 1 thread"))
        );
        assert_eq!(as_json(&sets, 8)["cpu"]["simd"], "AVX2");
    }
}
