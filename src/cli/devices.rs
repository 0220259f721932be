//! `sarcolemma devices`: what can compute on this machine.

use serde_json::{Value, json};

use crate::backend::cpu::{Engine, Simd};
use crate::backend::gpu::{self, Adapter, Choice, Device, DeviceKind, Probe};
use crate::scheme::Summation;

use super::exit::{Exit, Failure};
use super::{output, table};

/// Show what can compute here: processor, threads, GPUs
///
/// Every GPU is opened and probed: whether its compiler keeps compensated sums, whether it computes in double precision, how large
/// its buffers are. Where there is none, says what to install.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A device and what the probe found.
struct Probed {
    adapter: Adapter,
    /// Or why it cannot be used.
    probe: Result<Probe, String>,
}

/// Prints the devices.
pub fn execute(args: Args) -> Result<Exit, Failure> {
    let simd = Simd::available();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let gpus: Vec<Probed> = gpu::adapters().into_iter().map(probed).collect();
    match args.json {
        true => output::json(&as_json(&simd, threads, &gpus))?,
        false => output::data(&as_text(&simd, threads, &gpus))?,
    }
    Ok(Exit::Done)
}

fn probed(adapter: Adapter) -> Probed {
    let probe = match &adapter.unusable {
        Some(why) => Err(why.clone()),
        None => Device::open(&adapter)
            .and_then(|device| {
                let probe = Probe::run(&device)?;
                probe.check(&device)?;
                Ok(probe)
            })
            .map_err(|e| e.to_string()),
    };
    Probed { adapter, probe }
}

/// What runs programs on the best of the instruction sets.
fn engine(simd: &[Simd]) -> String {
    let best = simd.first().copied().unwrap_or(Simd::Baseline);
    Engine::from(best).name()
}

fn names(simd: &[Simd]) -> Vec<&'static str> {
    simd.iter().map(|s| s.name()).collect()
}

/// What to install where there is no real GPU.
fn to_install() -> &'static str {
    if cfg!(target_os = "linux") {
        "a GPU needs its Vulkan driver: on Debian and Ubuntu 'mesa-vulkan-drivers' (AMD, Intel) or NVIDIA's own driver with 'libvulkan1'; \
         the CPU backend needs nothing"
    } else if cfg!(target_os = "macos") {
        "Metal comes with macOS: nothing needs to be installed; the CPU backend runs everywhere"
    } else {
        "a GPU needs its vendor's present driver, for DirectX 12 or Vulkan; the CPU backend needs nothing"
    }
}

fn auto(gpus: &[Probed]) -> Option<&Adapter> {
    let usable: Vec<Adapter> = gpus
        .iter()
        .filter(|g| g.probe.is_ok())
        .map(|g| g.adapter.clone())
        .collect();
    let chosen = gpu::choose(&usable, &Choice::Real).ok()?.number;
    gpus.iter().map(|g| &g.adapter).find(|a| a.number == chosen)
}

fn as_json(simd: &[Simd], threads: usize, gpus: &[Probed]) -> Value {
    let list: Vec<Value> = gpus
        .iter()
        .map(|g| {
            let a = &g.adapter;
            json!({
                "number": a.number,
                "name": a.name,
                "kind": a.kind.name(),
                "software": a.kind == DeviceKind::Software,
                "api": a.api,
                "driver": a.driver,
                "usable": g.probe.is_ok(),
                "why_not": g.probe.as_ref().err(),
                "f64": a.has_f64,
                "summation": g.probe.as_ref().ok().map(|p| p.summation().name()),
                "exp_ulps": g.probe.as_ref().ok().map(|p| p.exp_ulps),
                "max_binding_bytes": a.most_binding_bytes,
                "max_buffer_bytes": a.most_buffer_bytes,
                "max_workgroups": a.most_workgroups,
                "subgroup_min": a.subgroup.0,
                "subgroup_max": a.subgroup.1,
            })
        })
        .collect();
    json!({
        "schema": 1,
        "cpu": {
            "architecture": std::env::consts::ARCH,
            "simd": names(simd).first(),
            "simd_available": names(simd),
            "engine": engine(simd),
            "threads": threads,
        },
        "gpus": list,
        "auto": auto(gpus).map_or("cpu".to_owned(), |a| a.name.clone()),
        "gpu_note": auto(gpus).is_none().then(to_install),
    })
}

fn as_text(simd: &[Simd], threads: usize, gpus: &[Probed]) -> String {
    let best = engine(simd);
    let (s, arch) = (if threads == 1 { "" } else { "s" }, std::env::consts::ARCH);
    let mut rows = vec![vec![
        "cpu".to_owned(),
        format!("{arch}, {best}, {threads} thread{s}"),
    ]];
    for g in gpus {
        let a = &g.adapter;
        let found = match &g.probe {
            Ok(probe) => format!(
                "{}{}; buffers up to {}",
                match probe.summation() {
                    Summation::Compensated => "f32 with compensated sums",
                    _ =>
                        "f32 as distances from the start, since its compiler undoes compensated sums",
                },
                if a.has_f64 { ", f64" } else { ", no f64" },
                super::summary::bytes(a.most_binding_bytes),
            ),
            Err(why) => format!("cannot be used: {why}"),
        };
        rows.push(vec![
            format!("gpu {}", a.number),
            format!(
                "{}, {}, {} {}; {found}",
                a.name,
                a.kind.name(),
                a.api,
                a.driver
            ),
        ]);
    }
    let mut text = table::aligned(&rows);
    text.push_str(&match auto(gpus) {
        Some(adapter) => format!("\n'--backend auto' takes {}.\n", adapter.name),
        None => format!(
            "\n'--backend auto' takes the CPU. For more, {}.\n",
            to_install()
        ),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_instruction_set_comes_first_and_without_a_gpu_the_text_says_what_to_install() {
        let sets = [Simd::Avx2, Simd::Baseline];
        let text = as_text(&sets, 1, &[]);
        assert!(
            text.lines()
                .next()
                .is_some_and(|l| l.ends_with(" AVX2, 1 thread")),
            "{text}"
        );
        assert!(text.contains("takes the CPU"), "{text}");
        let json = as_json(&sets, 8, &[]);
        assert_eq!(json["cpu"]["simd"], "AVX2");
        assert_eq!(json["auto"], "cpu");
        assert!(json["gpu_note"].is_string());
    }
}
