//! From `--backend` and `--device` to what computes: which device, and what is said about it.

use crate::backend::gpu::{self, Adapter, Choice, DeviceKind, GpuError};
use crate::run;

use super::choices::Backend;
use super::exit::Failure;

/// What computes.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    /// The backend.
    pub backend: run::Backend,
    /// Its device.
    pub adapter: Option<Adapter>,
    /// One line for the user: why it is this one, where that is not plain.
    pub note: Option<String>,
}

impl Engine {
    /// The CPU, for a reason.
    pub fn cpu(note: Option<String>) -> Self {
        Engine {
            backend: run::Backend::Cpu,
            adapter: None,
            note,
        }
    }
}

/// What the command line means. `auto` is a real GPU, else the CPU; `gpu` is the best there is.
///
/// # Errors
/// If a GPU is asked for and there is none, or none of that name.
pub(super) fn engine(chosen: Backend, device: Option<&str>) -> Result<Engine, Failure> {
    match (chosen, device) {
        (Backend::Cpu, None) => Ok(Engine::cpu(None)),
        (Backend::Reference, None) => Ok(Engine {
            backend: run::Backend::Reference,
            ..Engine::cpu(None)
        }),
        (Backend::Cpu | Backend::Reference, Some(_)) => Err(Failure::Usage(
            "'--device' names a GPU, and the backend that was asked for computes on the CPU"
                .to_owned(),
        )),
        (Backend::Auto, None) => Ok(match gpu::choose(&gpu::adapters(), &Choice::Real) {
            Ok(adapter) => on(adapter),
            Err(error) => Engine::cpu(Some(on_cpu(&error))),
        }),
        (Backend::Gpu, None) => gpu::choose(&gpu::adapters(), &Choice::Best)
            .map(on)
            .map_err(|e| failure(&e)),
        (Backend::Auto | Backend::Gpu, Some(name)) => {
            gpu::choose(&gpu::adapters(), &Choice::Named(name.to_owned()))
                .map(on)
                .map_err(|e| failure(&e))
        }
    }
}

fn on(adapter: &Adapter) -> Engine {
    let note = match adapter.kind {
        DeviceKind::Software => Some(format!(
            "warning: '{}' is software that computes on the processor, no GPU",
            adapter.name
        )),
        _ => None,
    };
    Engine {
        backend: run::Backend::Gpu,
        adapter: Some(adapter.clone()),
        note,
    }
}

/// Why a run that could have used a GPU uses the CPU, in one line.
pub(super) fn on_cpu(error: &GpuError) -> String {
    match error {
        GpuError::None(why) => format!("running on the CPU, without a GPU: {why}"),
        other => format!("running on the CPU: {other}"),
    }
}

/// What the failure of a device means for the command, and what to try.
pub(super) fn failure(error: &GpuError) -> Failure {
    let usage = |help: &str| Failure::Usage(format!("{error}\nhelp: {help}"));
    let machine = |help: &str| Failure::Machine(format!("{error}\nhelp: {help}"));
    match error {
        GpuError::None(_) => {
            usage("'sarcolemma devices' says what to install; '--backend cpu' runs without a GPU")
        }
        GpuError::Choice(_) => usage("'sarcolemma devices' lists them"),
        GpuError::Unsuited { .. } => usage("'--backend cpu' runs without it"),
        GpuError::Memory { .. } => machine(
            "run fewer fibres at a time (--fibres, or parts with --shard), record fewer variables or less often, or use '--backend cpu'",
        ),
        GpuError::Lost { .. } | GpuError::Timeout { .. } => machine(
            "another program may use the device, or its driver was reset: try again, another '--device', or '--backend cpu'",
        ),
        GpuError::Refused { .. } => {
            machine("a newer driver may do better; '--backend cpu' runs without it")
        }
    }
}

/// The same for a run that had begun: its file stays.
pub(super) fn failure_in_run(error: &GpuError, output: &str) -> Failure {
    match failure(error) {
        Failure::Machine(message) | Failure::Usage(message) => Failure::Machine(format!(
            "{message}\n'{output}' holds what was recorded up to then"
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_fails_is_the_machine_and_one_that_is_not_there_the_command_line() {
        let device = || "A".to_owned();
        let lost = GpuError::Lost {
            device: device(),
            why: "reset".to_owned(),
        };
        let full = GpuError::Memory {
            device: device(),
            what: "the states".to_owned(),
        };
        let late = GpuError::Timeout {
            device: device(),
            seconds: 600,
        };
        for error in [lost, full, late] {
            assert!(matches!(failure(&error), Failure::Machine(m) if m.contains("help:")));
            let told = failure_in_run(&error, "out.h5");
            assert!(
                matches!(told, Failure::Machine(m) if m.contains("'out.h5' holds what was recorded"))
            );
        }
        let none = GpuError::None("no driver".to_owned());
        assert!(matches!(failure(&none), Failure::Usage(m) if m.contains("devices")));
        assert_eq!(
            on_cpu(&none),
            "running on the CPU, without a GPU: no driver"
        );
    }
}
