//! The `sarcolemma` program: see `sarcolemma --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    quiet_device_layer();
    sarcolemma::cli::main()
}

/// A Vulkan layer that many Linux systems have reorders the devices that it lists, and complains on standard error where there
/// is no desktop. The order is chosen here by the kind of device, so the layer has nothing to add.
#[cfg(target_os = "linux")]
fn quiet_device_layer() {
    if std::env::var_os("NODEVICE_SELECT").is_none() {
        // SAFETY: the first statement of the process: there is no other thread that could read the environment meanwhile.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}
