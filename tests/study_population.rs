//! Draws: their independence, their distributions, and the numbers themselves.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod studies;

use sarcolemma::study::{Overrides, unit_interval};
use studies::{population, study_with};

fn column(study: &sarcolemma::study::Study, parameter: usize, n: u64) -> Vec<f64> {
    (0..n).map(|i| study.draw(i)[parameter]).collect()
}

fn mean_and_sd(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    (
        mean,
        (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0)).sqrt(),
    )
}

/// These numbers are a promise: a study gives the same fibres in every version. They were checked with another ChaCha8 and
/// another normal quantile, written from the description in `study::sampling` alone.
#[test]
fn draws_never_change() {
    assert_eq!(unit_interval(42, "sodium.g", 0).to_bits(), GOLDEN_UNIT[0]);
    assert_eq!(unit_interval(42, "sodium.g", 1).to_bits(), GOLDEN_UNIT[1]);
    assert_eq!(unit_interval(43, "sodium.g", 0).to_bits(), GOLDEN_UNIT[2]);
    let study = population(
        "fibres = 10\nseed = 42\n[population.parameters]\n\"sodium.g\" = { lognormal = { median = \"140 mS/cm^2\", cv = 0.1 } }\n\"sodium.E\" = { normal = { mean = 55, sd = 2 } }\n",
    );
    let bits: Vec<u64> = study.draw(7).iter().map(|v| v.to_bits()).collect();
    assert_eq!(bits, GOLDEN_DRAW, "{:?}", study.draw(7));
}

const GOLDEN_UNIT: [u64; 3] = [
    4598806536408165035,
    4605674133176813424,
    4598899871370564773,
];
const GOLDEN_DRAW: [u64; 2] = [4639820552255627367, 4633534954811529629];

#[test]
fn other_parameters_and_more_fibres_leave_a_draw_alone() {
    let one = population(
        "fibres = 10\nseed = 3\n[population.parameters]\n\"sodium.g\" = { normal = { cv = 0.2 } }\n",
    );
    let three = population(
        "fibres = 999\nseed = 3\n[population.parameters]\n\"bath.K\" = { uniform = [3, 5] }\n\"sodium.g\" = { normal = { cv = 0.2 } }\n\"potassium.g\" = { normal = { cv = 0.2 } }\n",
    );
    assert_eq!(column(&one, 0, 10), column(&three, 1, 10));
    let other = population(
        "fibres = 10\nseed = 4\n[population.parameters]\n\"sodium.g\" = { normal = { cv = 0.2 } }\n",
    );
    assert_ne!(column(&one, 0, 10), column(&other, 0, 10));
}

#[test]
fn distributions_have_the_moments_that_were_asked_for() {
    let n = 40_000;
    let study = population(&format!(
        r#"fibres = {n}
seed = 1
[population.parameters]
"sodium.g" = {{ lognormal = {{ median = "140 mS/cm^2", cv = 0.1 }} }}
"potassium.g" = {{ lognormal = {{ mean = 12, sd = 3 }} }}
"chloride.g" = {{ lognormal = {{ median = 9, sd = 2 }} }}
"sodium.E" = {{ normal = {{ mean = "55 mV", sd = "2 mV" }} }}
"bath.K" = {{ uniform = ["3 mM", "5 mM"] }}
"bath.Mg" = {{ normal = {{ mean = 0.5, sd = 0.5 }}, min = 0, max = 1 }}
"bath.Ca" = {{ choice = [1, 2, 4], weights = [1, 2, 1] }}
"#
    ));
    let column = |p| column(&study, p, n);
    let close = |found: f64, expected: f64, slack: f64| {
        assert!((found - expected).abs() < slack, "{found}, not {expected}")
    };
    let (mean, sd) = mean_and_sd(&column(0));
    close(sd / mean, 0.1, 0.002);
    let mut sorted = column(0);
    sorted.sort_by(f64::total_cmp);
    close(sorted[n as usize / 2], 140.0, 0.3);
    let (mean, sd) = mean_and_sd(&column(1));
    close(mean, 12.0, 0.06);
    close(sd, 3.0, 0.06);
    let (_, sd) = mean_and_sd(&column(2));
    close(sd, 2.0, 0.05);
    let (mean, sd) = mean_and_sd(&column(3));
    close(mean, 55.0, 0.04);
    close(sd, 2.0, 0.03);
    let (mean, sd) = mean_and_sd(&column(4));
    close(mean, 4.0, 0.02);
    close(sd, 2.0 / 12.0_f64.sqrt(), 0.01);
    let truncated = column(5);
    assert!(truncated.iter().all(|v| (0.0..=1.0).contains(v)));
    // Between one standard deviation on both sides: sd^2 (1 - 2 phi(1) / 0.6827).
    close(mean_and_sd(&truncated).1, 0.5 * 0.539_6, 0.004);
    let twos = column(6).iter().filter(|v| **v == 2.0).count();
    close(twos as f64 / n as f64, 0.5, 0.01);
    // Parameters are independent of each other.
    let (a, b) = (column(3), column(4));
    let (ma, sa) = mean_and_sd(&a);
    let (mb, sb) = mean_and_sd(&b);
    let covariance = a
        .iter()
        .zip(&b)
        .map(|(x, y)| (x - ma) * (y - mb))
        .sum::<f64>()
        / n as f64;
    close(covariance / (sa * sb), 0.0, 0.02);
}

#[test]
fn factors_are_dealt_evenly_and_the_last_changes_fastest() {
    let study = population(
        "fibres = 12\n[population.parameters]\n\"bath.Mg\" = { linspace = [\"0.1 mM\", \"1.2 mM\", 2] }\n\"sodium.E\" = { uniform = [0, 1] }\n\"bath.K\" = { logspace = [1, 100, 3] }\n",
    );
    let pairs: Vec<(f64, f64)> = (0..6)
        .map(|i| study.draw(i))
        .map(|r| (r[0], r[2]))
        .collect();
    let expected = [
        (0.1, 1.0),
        (0.1, 10.0),
        (0.1, 100.0),
        (1.2, 1.0),
        (1.2, 10.0),
        (1.2, 100.0),
    ];
    for (found, expected) in pairs.iter().zip(expected) {
        assert!(
            (found.0 - expected.0).abs() < 1e-15 && (found.1 - expected.1).abs() < 1e-13,
            "{pairs:?}"
        );
    }
    assert_eq!(study.draw(0)[0], study.draw(6)[0]);
    assert_ne!(study.draw(0)[1], study.draw(6)[1]);
}

#[test]
fn zip_pairs_row_by_row() {
    let study = population(
        "sampling = \"zip\"\n[population.parameters]\n\"bath.Mg\" = { values = [1, 2, 3] }\n\"bath.K\" = { values = [4, 5, 6] }\n",
    );
    assert_eq!(study.population.fibres, 3);
    let rows: Vec<Vec<f64>> = (0..3).map(|i| study.draw(i)).collect();
    assert_eq!(rows, [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]);
}

#[test]
fn a_table_gives_fibre_by_fibre() {
    let study = population(
        "[population.parameters]\n\"sodium.g\" = { file = \"table.csv\", column = \"g_Na\" }\n\"tubule.volume\" = { file = \"table.csv\", column = \"v_t\" }\n",
    );
    assert_eq!(study.population.fibres, 3);
    assert_eq!(study.draw(1), [150.0, 0.0039]);
}

#[test]
fn designs_fill_every_range_evenly_within_every_cell() {
    for sampling in ["sobol", "latin_hypercube"] {
        let study = population(&format!(
            "fibres = 192\nseed = 5\nsampling = \"{sampling}\"\n[population.parameters]\n\"bath.Mg\" = {{ values = [1, 2, 3] }}\n\"sodium.E\" = {{ uniform = [0, 64] }}\n\"bath.K\" = {{ uniform = [0, 64] }}\n"
        ));
        for cell in 0..3 {
            for parameter in [1, 2] {
                let mut parts: Vec<u64> = (0..64)
                    .map(|k| study.draw(cell + 3 * k)[parameter] as u64)
                    .collect();
                parts.sort_unstable();
                assert_eq!(parts, (0..64).collect::<Vec<u64>>(), "{sampling}");
            }
        }
    }
}

#[test]
fn a_shorter_run_has_the_same_first_fibres() {
    let text = "model = \"fibre\"\nduration = 1\n[population]\nfibres = 100\n[population.parameters]\n\"bath.Mg\" = { values = [1, 2] }\n\"sodium.g\" = { normal = { cv = 0.1 } }\n";
    let all = study_with(text, &Overrides::default()).unwrap().0;
    let few = study_with(
        text,
        &Overrides {
            fibres: Some(8),
            duration: None,
        },
    )
    .unwrap()
    .0;
    assert_eq!(few.population.fibres, 8);
    assert!((0..8).all(|i| all.draw(i) == few.draw(i)));
}
