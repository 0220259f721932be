//! What would fit on a disk where a study's output does not: samples further apart, or fewer fibres recorded.

use crate::run::sink::{Layout, Traces};
use crate::store::required_bytes;

/// In words, what of `[record]` would make the output fit into so many bytes; nothing where nothing is recorded, or nothing helps.
pub(super) fn advice(layout: &Layout, free: Option<u64>) -> Option<String> {
    let free = free?;
    let &[first, .., last] = layout.time_ms.as_slice() else {
        return None;
    };
    let fits = |layout: &Layout| required_bytes(layout).is_ok_and(|needed| needed <= free);
    let rows = |n: usize| Layout {
        time_ms: layout.time_ms[..n].to_vec(),
        ..layout.clone()
    };
    let all: Vec<u64> = match &layout.traces {
        Traces::All => (layout.first_fibre..).take(layout.n_fibres).collect(),
        Traces::Some(ids) => ids.clone(),
    };
    let fibres = |n: usize| Layout {
        traces: Traces::Some(all[..n].to_vec()),
        ..layout.clone()
    };
    let mut ways = Vec::new();
    let n = most(layout.time_ms.len(), |n| fits(&rows(n)));
    if n >= 2 {
        let every_ms = rounded_up((last - first) / (n - 1) as f64);
        ways.push(format!("every = \"{every_ms} ms\""));
    }
    let n = most(all.len(), |n| fits(&fibres(n)));
    if n >= 1 {
        ways.push(format!("fibres = {{ first = {n} }}"));
    }
    let n = most(layout.variables.len(), |n| {
        fits(&Layout {
            variables: layout.variables[..n].to_vec(),
            ..layout.clone()
        })
    });
    if n >= 1 {
        let names: Vec<String> = layout.variables[..n]
            .iter()
            .map(|v| format!("\"{}\"", v.name))
            .collect();
        ways.push(format!("variables = [{}]", names.join(", ")));
    }
    match ways.is_empty() {
        true => None,
        false => Some(format!("with {} in [record] it fits", ways.join(", or "))),
    }
}

/// The most of `1 ..= all` that fits; 0 if one does not. More never fits where less does not.
fn most(all: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut good, mut bad) = (0, all);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if fits(middle) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    good
}

/// The next larger number of two digits.
fn rounded_up(x: f64) -> f64 {
    let unit = 10f64.powi(x.log10().floor() as i32 - 1);
    let digits = (x / unit).ceil();
    // Divided where that keeps the number short.
    if unit < 1.0 {
        digits / (1.0 / unit).round()
    } else {
        digits * unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_are_enough_and_never_too_few() {
        assert_eq!(rounded_up(0.5), 0.5);
        assert_eq!(rounded_up(0.5001), 0.51);
        assert_eq!(rounded_up(1.0), 1.0);
        assert_eq!(rounded_up(12.1), 13.0);
        assert_eq!(rounded_up(0.00123), 0.0013);
        assert_eq!(rounded_up(1234.0), 1300.0);
        assert_eq!(most(10, |n| n <= 7), 7);
        assert_eq!(most(10, |_| false), 0);
        assert_eq!(most(1, |_| true), 0, "all of it is known not to fit");
    }
}
