//! What a device's arithmetic can be trusted with: its compiler may reorder sums, and its exponential may be another.
//!
//! The probe runs on every device before the first fibre: 50,000 additions of 1e-8 to 1, which single precision loses one by one
//! and a compensated sum keeps; and our exponential over its range.

use crate::scheme::Summation;

use super::device::{Device, GpuError};
use super::form::Real;

/// Additions, as in `shaders/probe.wgsl`.
const ROUNDS: f64 = 50_000.0;
/// Arguments of the exponential.
const ARGUMENTS: usize = 4096;
/// Largest error of the exponential that still is our polynomial's and not a reordered reduction's, ulp: the polynomial has about 1,
/// products and sums that are fused or not another 1; a merged reduction has 68.
const MOST_EXP_ULPS: f64 = 4.0;

/// What the probe found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probe {
    /// Error of the compensated sum, ulp of single precision at 1.
    pub sum_ulps: f64,
    /// Largest error of the exponential, ulp.
    pub exp_ulps: f64,
}

impl Probe {
    /// Probes a device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn run(device: &Device) -> Result<Probe, GpuError> {
        let shader = format!(
            "{}\n{}",
            Real::F32.maths(),
            include_str!("../../../shaders/probe.wgsl")
        );
        let arguments: Vec<f32> = (0..ARGUMENTS)
            .map(|i| -80.0 + 160.0 * i as f32 / (ARGUMENTS - 1) as f32)
            .collect();
        let constants = [0u32, 1e-8f32.to_bits(), 1.0f32.to_bits(), 0];
        let mut buffers = [
            bytemuck::cast_slice(&constants).to_vec(),
            vec![0u8; 16],
            bytemuck::cast_slice(&arguments).to_vec(),
        ];
        device.run_once(&shader, &mut buffers, (ARGUMENTS / 64) as u32)?;
        let sums: Vec<f32> = bytemuck::pod_collect_to_vec(&buffers[1]);
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&buffers[2]);
        let wanted = 1.0 + ROUNDS * f64::from(1e-8f32);
        let sum = f64::from(sums[0]) - f64::from(sums[1]);
        let exp_ulps = arguments
            .iter()
            .zip(&values)
            .map(|(&x, &y)| {
                let truth = f64::from(x).exp();
                let ulp = f64::from(f32::EPSILON) * 2f64.powi(truth.log2().floor() as i32);
                let error = (f64::from(y) - truth).abs() / ulp;
                // A NaN is no small error.
                if error.is_nan() { f64::INFINITY } else { error }
            })
            .fold(0.0, f64::max);
        Ok(Probe {
            sum_ulps: (sum - wanted).abs() / f64::from(f32::EPSILON),
            exp_ulps,
        })
    }

    /// How steps are to be summed up in single precision.
    pub fn summation(&self) -> Summation {
        // Compensated, the sum is off by less than an ulp; lost, by 4194.
        if self.sum_ulps < 1.0 {
            Summation::Compensated
        } else {
            Summation::Quanta
        }
    }

    /// Whether the device can be used at all.
    ///
    /// # Errors
    /// If its exponential is not ours.
    pub fn check(&self, device: &Device) -> Result<(), GpuError> {
        if self.exp_ulps <= MOST_EXP_ULPS {
            return Ok(());
        }
        Err(GpuError::Unsuited {
            device: device.adapter.name.clone(),
            why: format!(
                "its compiler reorders arithmetic: the exponential is {:.0} units in the last place off",
                self.exp_ulps
            ),
        })
    }
}
