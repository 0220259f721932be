//! Whether two results agree: what is allowed, and every way in which a [`Comparison`] goes beyond it.

use crate::run::difference::Pairing;

use super::compare::{Comparison, Lost, Place, is_of_spikes};

/// What two results may be apart and still agree.
///
/// Why a share of the spikes decides and not the largest shift: a fibre next to a threshold amplifies any error, down to the rounding
/// of a single number. Measured on an earlier `examples/studies/cramp.toml` (2026-11-22, `cpu`, `ros3`): of 4200 fibres the same scheme at
/// the same tolerance in `f32` and in `f64` gives 8 a different number of spikes, and shifts one spike by 22 ms; the median shift is 2e-7 ms,
/// 99 % of the paired spikes are within 0.0008 ms, and 99.7 % of all spikes are in both within 0.05 ms. So the largest shift would fail
/// engines that are as near to each other as can be, and tells an engine that is wrong everywhere from one that is not by
/// chance only.
///
/// Against the reference (210 of the fibres, `f32`):
///
/// | tolerance of `ros3` | V, root mean square of range | spikes in both within 0.05 ms | fibres with another number | worst feature (`V50`) agrees in |
/// |---|---|---|---|---|
/// | 0.02 | 0.89 % | 96.5 % | 16 | 93.8 % of fibres |
/// | 0.01 | 0.73 % | 96.8 % | 12 | 96.7 % |
/// | 0.005 | 0.57 % | 98.2 % | 5 | 97.6 % |
/// | 0.002 | 0.39 % | 99.0 % | 1 | all |
///
/// So the limits lie where two engines with one scheme are far inside (`f32` and `f64`: 0.35 %, 99.7 %, and 99.6 % of the fibres for the
/// worst feature) and a step that is too coarse for the question is beyond.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Root mean square difference of a recorded quantity, and difference of a feature, as a share of its range. By default 1 %:
    /// about the accuracy to which a potential is measured in a fibre, 1 mV of 130 mV.
    pub of_range: f64,
    /// Time by which a spike may come earlier or later, ms. By default 0.05 ms, half of what a membrane potential takes to rise
    /// by 50 mV in its upstroke.
    pub spike_shift_ms: f64,
    /// Share of the spikes that have to be in both results within that time; and for each feature that is no
    /// spike's, the share of the fibres that have to agree in it. By default 95 %.
    pub share: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            of_range: 0.01,
            spike_shift_ms: 0.05,
            share: 0.95,
        }
    }
}

/// Something that lies beyond its limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Offence {
    /// What, where and how far, in words.
    pub text: String,
    /// How many times the limit; infinite where nothing of the kind is allowed.
    pub times: f64,
}

impl Comparison {
    /// What lies beyond the limits, the worst first; empty where the two agree.
    pub fn offences(&self) -> Vec<Offence> {
        let mut found = lost(&self.lost);
        let limits = self.limits;
        for v in &self.variables {
            let place = v
                .worst
                .map_or_else(String::new, |p| format!(" in {}", at(p)));
            let (missing, rms) = (v.difference.missing(), v.rms_of_range());
            if missing > 0 {
                let text = format!(
                    "{} has {} in one result only, the first{place}",
                    v.name,
                    counted(missing, "value")
                );
                found.push(beyond(text));
            } else if rms > limits.of_range {
                let text = format!(
                    "{} differs by {} of its range (root mean square), {} is allowed; most{place}",
                    v.name,
                    percent(rms),
                    percent(limits.of_range)
                );
                let times = rms / limits.of_range;
                found.push(Offence { text, times });
            }
        }
        for f in &self.features {
            // Spikes are judged one by one.
            if self.is_of_spikes(&f.name) || f.agreeing >= limits.share {
                continue;
            }
            let place = f
                .worst
                .map_or_else(String::new, |id| format!(", least in number {id}"));
            let text = format!(
                "{} agrees within {} of its range in {} of the fibres{place}; {} have to",
                f.name,
                percent(limits.of_range),
                percent(f.agreeing),
                percent(limits.share)
            );
            let times = (1.0 - f.agreeing) / (1.0 - limits.share);
            found.push(Offence { text, times });
        }
        if let Some(pairing) = &self.spikes {
            found.extend(spikes(pairing, limits));
        }
        found.sort_by(|x, y| y.times.total_cmp(&x.times));
        found
    }

    /// Whether a feature's column says something of spikes, each of which is compared by itself.
    pub fn is_of_spikes(&self, column: &str) -> bool {
        is_of_spikes(&self.event_features, column)
    }
}

fn spikes(pairing: &Pairing, limits: Limits) -> Option<Offence> {
    let share = pairing.coincident_share();
    if share >= limits.share {
        return None;
    }
    let mut text = format!(
        "{} of the spikes are in both and at most {} ms apart, {} have to be",
        percent(share),
        limits.spike_shift_ms,
        percent(limits.share)
    );
    if let Some(worst) = pairing.worst {
        text.push_str(&format!(
            "; the largest shift is {} ms (fibre {}, spike at {} ms)",
            decimals(pairing.largest_ms()),
            worst.fibre,
            decimals(worst.time_ms)
        ));
    }
    if let Some(first) = pairing.count_differs.first() {
        text.push_str(&format!(
            "; the number of spikes differs in {}, the first is number {first}",
            counted(pairing.count_differs.len() as u64, "fibre")
        ));
    }
    Some(Offence {
        text,
        times: (1.0 - share) / (1.0 - limits.share),
    })
}

fn lost(lost: &Lost) -> Vec<Offence> {
    let sides = [("first", &lost.a_only), ("second", &lost.b_only)];
    let offence = |(side, ids): (&str, &Vec<u64>)| {
        let first = ids.first()?;
        let (n, are) = (ids.len() as u64, if ids.len() == 1 { "is" } else { "are" });
        Some(beyond(format!(
            "{} {are} lost in the {side} result only, the first is number {first}",
            counted(n, "fibre")
        )))
    };
    sides.into_iter().filter_map(offence).collect()
}

fn beyond(text: String) -> Offence {
    Offence {
        text,
        times: f64::INFINITY,
    }
}

fn at(place: Place) -> String {
    format!("fibre {} at {} ms", place.fibre, decimals(place.time_ms))
}

fn counted(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A time to 0.1 us, without trailing zeros.
pub fn decimals(time_ms: f64) -> String {
    let text = format!("{time_ms:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// A share in percent, with three significant digits.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    let digits = if percent == 0.0 {
        0
    } else {
        percent.abs().log10().floor() as i32
    };
    let places = (2 - digits).clamp(0, 12) as usize;
    let text = format!("{percent:.places$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    format!("{text} %")
}
