//! Features on the device against the same features on the CPU in double precision, over random courses; and the rules at
//! edges, exactly.

mod courses;
mod device;
mod rules;

use super::*;
use crate::feature::Piece;
use crate::model::VariableId;
use courses::{Course, N_KINDS, Numbers, TOUCHING, course};
use device::{Outcome, Precision, each_precision};

/// Thresholds: between rest and peak, and two that courses touch and rest on. Single precision holds all.
const THRESHOLDS: [f64; 3] = [-30.0, 0.5, 45.0];
const AFTER_MS: f64 = 7.3;
const BEFORE_MS: f64 = 31.7;

fn spec(kind: FeatureKind) -> FeatureSpec {
    FeatureSpec::new("f", kind, VariableId(0))
}

fn with_threshold(kind: FeatureKind, threshold: f64) -> FeatureSpec {
    FeatureSpec {
        threshold,
        ..spec(kind)
    }
}

/// Every kind, with and without windows, in the oracle's time.
fn all_specs() -> Vec<FeatureSpec> {
    let mut specs = Vec::new();
    for (after_ms, before_ms) in [
        (f64::NEG_INFINITY, f64::INFINITY),
        (AFTER_MS, BEFORE_MS),
        (AFTER_MS, f64::INFINITY),
        (f64::NEG_INFINITY, BEFORE_MS),
    ] {
        let both = after_ms.is_finite() == before_ms.is_finite();
        for kind in FeatureKind::ALL {
            let thresholds = match (kind.takes_threshold(), both) {
                (false, _) => &[f64::NAN][..],
                (true, true) => &THRESHOLDS,
                (true, false) => &THRESHOLDS[..1],
            };
            if !both && !kind.takes_threshold() && kind != FeatureKind::Final {
                continue;
            }
            for &threshold in thresholds {
                specs.push(FeatureSpec {
                    threshold,
                    // At whole ticks; the first is an edge of many courses.
                    at_ms: match kind {
                        FeatureKind::ValueAt if after_ms.is_finite() => 12.34567,
                        FeatureKind::ValueAt => 10.0,
                        _ => f64::NAN,
                    },
                    after_ms: if kind.takes_window() {
                        after_ms
                    } else {
                        f64::NEG_INFINITY
                    },
                    before_ms: if kind.takes_window() {
                        before_ms
                    } else {
                        f64::INFINITY
                    },
                    ..spec(kind)
                });
            }
        }
    }
    specs
}

/// The same feature with the oracle's time 0 at `base`.
fn moved(spec: &FeatureSpec, base: Tick) -> FeatureSpec {
    let to = |t: f64| if t.is_finite() { ms(tick(t) + base) } else { t };
    FeatureSpec {
        at_ms: to(spec.at_ms),
        after_ms: to(spec.after_ms),
        before_ms: to(spec.before_ms),
        ..spec.clone()
    }
}

/// A feature's pieces in the oracle's time: sound, within the window, not longer than nothing.
fn pieces(course: &Course, spec: &FeatureSpec) -> Vec<Piece> {
    course
        .pieces
        .iter()
        .filter(|p| p.is_sound() && p.t1 > spec.after_ms && p.t0 < spec.before_ms)
        .map(|p| p.clip(spec.after_ms, spec.before_ms))
        .collect()
}

fn on_cpu(spec: &FeatureSpec, course: &Course) -> ([f64; 4], Vec<f64>) {
    let (mut gathered, mut spikes) = (spec.start(), Vec::new());
    for piece in &course.pieces {
        spec.feed(&mut gathered, piece, &mut |t| spikes.push(t));
    }
    (bytemuck::cast(gathered), spikes)
}

/// How far the device's values may be from the oracle's.
struct Rounding {
    /// Half the distance from 1 to the next number, of the device's precision.
    unit: f64,
    /// Bound of the error of a value anywhere on a course.
    value: f64,
    /// Bound of the error of a length on the CPU, which is a difference of times, ms.
    cpu_length: f64,
}

impl Rounding {
    /// A Bernstein coefficient `g + h d / 3` has at most 4 roundings, a share of the piece 2 (each worth up to 3 times the
    /// spread of the coefficients, which is twice the largest), de Casteljau's three levels 3 each, the threshold one: below
    /// 32 units of the largest coefficient. A clipped piece has up to twice as many, which do not all fall to one side; 5 units
    /// were seen. The CPU has as many of its own, in double precision, and knows times in ms, to half a unit of their last place.
    fn of(course: &Course, precision: Precision) -> Self {
        let unit = precision.unit();
        let (mut largest, mut steepest, mut latest) = (64.0_f64, 0.0_f64, 0.0_f64);
        for p in course.pieces.iter().filter(|p| p.is_sound()) {
            let third = p.length() / 3.0;
            for b in [p.g0, p.g1, p.g0 + third * p.d0, p.g1 - third * p.d1] {
                largest = largest.max(b.abs());
            }
            let chord = (p.g1 - p.g0).abs() / p.length();
            steepest = steepest.max(p.d0.abs() + p.d1.abs() + 3.0 * chord);
            latest = latest.max(p.t0.abs()).max(p.t1.abs());
        }
        let own = f64::EPSILON * (16.0 * largest + 4.0 * steepest * latest);
        Rounding {
            unit,
            value: 32.0 * unit * largest + own,
            cpu_length: f64::EPSILON * latest,
        }
    }

    /// Bound of the error of a time, ms, that lies in this piece, beside what the value's error makes of it: half a tick, and
    /// four roundings of a share (its search, twice its own, its product with the length).
    fn time(&self, course: &Course, t: f64) -> f64 {
        let holds = |p: &&Piece| p.t0 <= t && t <= p.t1;
        let longest = course
            .pieces
            .iter()
            .filter(holds)
            .map(Piece::length)
            .fold(0.0, f64::max);
        0.501 * ms(1) + 4.0 * self.unit * longest
    }
}

/// Whether rounding could decide on which side of the threshold some end or turning point lies; then whether one lies on it
/// exactly, at the end of an unclipped piece, where nothing is rounded.
fn doubtful(spec: &FeatureSpec, course: &Course, rounding: &Rounding) -> (bool, bool) {
    let ends: Vec<f64> = course.pieces.iter().flat_map(|p| [p.t0, p.t1]).collect();
    let (mut doubt, mut touches) = (false, false);
    for p in pieces(course, spec) {
        let mut points = p.knots().points().to_vec();
        // Where the slope is 0 without changing sign, up to rounding, one side may see two turning points and the other none.
        let (m, n, rise) = (p.length() * p.d0, p.length() * p.d1, p.g1 - p.g0);
        let (a, b) = (3.0 * (m + n) - 6.0 * rise, 3.0 * rise - 2.0 * m - n);
        if (b * b - a * m).abs() <= 64.0 * rounding.unit * (b * b + (a * m).abs()) {
            let t = p.t0 - b / a * p.length();
            points.extend((t > p.t0 && t < p.t1).then(|| (t, p.value(t))));
        }
        for (t, value) in points {
            if value == spec.threshold && (t == p.t0 || t == p.t1) && ends.contains(&t) {
                touches = true;
            } else if (value - spec.threshold).abs() <= rounding.value {
                doubt = true;
            }
        }
    }
    (doubt, touches)
}

/// What the comparison saw, so that it cannot be empty without notice.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    spikes: usize,
    /// Features of a course left out because rounding decides, and all of spikes.
    left_out: usize,
    counted: usize,
    extremes: usize,
    /// Times of an extreme that were compared as times, not only by the value there.
    extreme_times: usize,
    above_ms: f64,
}

struct Comparison<'a> {
    spec: &'a FeatureSpec,
    course: &'a Course,
    base: Tick,
    rounding: Rounding,
    what: String,
}

impl Comparison<'_> {
    fn compare(&self, outcome: &Outcome, k: usize, seen: &mut Seen) {
        let device: [f64; 4] = bytemuck::cast(outcome.gathered[k]);
        match self.spec.kind {
            FeatureKind::Spikes => self.spikes(device, &outcome.spikes_of(k), seen),
            FeatureKind::TimeAbove => self.time_above(device, seen),
            FeatureKind::Max
            | FeatureKind::TimeOfMax
            | FeatureKind::Min
            | FeatureKind::TimeOfMin => self.extreme(device, seen),
            FeatureKind::Mean | FeatureKind::Integral => self.integral(device),
            FeatureKind::Final | FeatureKind::ValueAt => self.value(device),
        }
    }

    fn close(&self, device: f64, cpu: f64, bound: f64) {
        let same =
            device == cpu || device.is_nan() && cpu.is_nan() || (device - cpu).abs() <= bound;
        assert!(
            same,
            "{}: {device:?} for {cpu:?}, off by {:e}, allowed {bound:e}",
            self.what,
            device - cpu
        );
    }

    /// A time of the device in the oracle's time.
    fn back(&self, time_ms: f64) -> f64 {
        if time_ms.is_nan() {
            time_ms
        } else {
            ms(tick(time_ms) - self.base)
        }
    }

    fn spikes(&self, device: [f64; 4], events: &[Tick], seen: &mut Seen) {
        let (cpu, times) = on_cpu(self.spec, self.course);
        let events: Vec<f64> = events.iter().map(|&t| ms(t - self.base)).collect();
        assert_eq!(device[0], events.len() as f64, "{}", self.what);
        self.close(
            self.back(device[1]),
            events.first().copied().unwrap_or(f64::NAN),
            0.0,
        );
        self.close(
            self.back(device[2]),
            events.last().copied().unwrap_or(f64::NAN),
            0.0,
        );
        seen.counted += 1;
        let (doubt, touches) = doubtful(self.spec, self.course, &self.rounding);
        if doubt {
            seen.left_out += 1;
            return;
        }
        assert_eq!(device[0], cpu[0], "{}: {events:?} for {times:?}", self.what);
        self.close(device[3].signum(), cpu[3].signum(), 0.0);
        self.nearest_turn(device[3].abs());
        seen.spikes += times.len();
        // The course may be off by rounding, so the crossing lies between those of the threshold less and more by that much.
        let at = |by: f64| {
            let threshold = self.spec.threshold + by * self.rounding.value;
            on_cpu(
                &FeatureSpec {
                    threshold,
                    ..self.spec.clone()
                },
                self.course,
            )
            .1
        };
        let (earliest, latest) = (at(-1.0), at(1.0));
        for (i, (&device, &cpu)) in events.iter().zip(&times).enumerate() {
            let slack = self.rounding.time(self.course, cpu);
            let (from, to) = if touches {
                // Then there are other crossings at these thresholds; a bound from the slope instead.
                let slope = |p: &Piece| self.rounding.value * 4.0 / p.slope(cpu).abs();
                let holds = |p: &&Piece| p.t0 < cpu && cpu < p.t1;
                let by = pieces(self.course, self.spec)
                    .iter()
                    .find(holds)
                    .map_or(0.0, slope);
                (cpu - by, cpu + by)
            } else {
                (earliest[i], latest[i])
            };
            assert!(
                device >= from - slack && device <= to + slack,
                "{}: crossing {i} at {device}, {cpu} on the CPU, allowed {from} to {to} and {slack}",
                self.what
            );
        }
    }

    /// How near a turning point has come to the threshold. Where a course is level at an end of a piece to within rounding, there may be
    /// one or none.
    fn nearest_turn(&self, device: f64) {
        let bound = self.rounding.value;
        let (mut sure, mut doubtful) = (f64::INFINITY, f64::INFINITY);
        for p in pieces(self.course, self.spec) {
            let mut gathered = self.spec.start();
            self.spec.feed(&mut gathered, &p, &mut |_| {});
            let of_piece = self.spec.nearest_turn(&gathered);
            let is_level = |slope: f64| (slope * p.length()).abs() <= 4.0 * bound;
            let ends = [(p.g0, is_level(p.d0)), (p.g1, is_level(p.d1))];
            for (value, _) in ends.iter().filter(|e| e.1) {
                doubtful = doubtful.min((value - self.spec.threshold).abs());
            }
            if ends.iter().any(|e| e.1) {
                doubtful = doubtful.min(of_piece);
            } else {
                sure = sure.min(of_piece);
            }
        }
        if device.is_nan() {
            // No piece was seen.
            assert_eq!(
                (sure, doubtful),
                (f64::INFINITY, f64::INFINITY),
                "{}",
                self.what
            );
            return;
        }
        assert!(
            device >= sure.min(doubtful) - bound && (device <= sure + bound),
            "{}: a turning point at {device} from the threshold, {sure} or {doubtful} on the CPU, allowed {bound:e}",
            self.what
        );
    }

    fn time_above(&self, device: [f64; 4], seen: &mut Seen) {
        let cpu = on_cpu(self.spec, self.course).0;
        assert_eq!(tick(device[1]), tick(cpu[1]), "{}: time covered", self.what);
        let at = |by: f64| {
            let threshold = self.spec.threshold + by * self.rounding.value;
            on_cpu(
                &FeatureSpec {
                    threshold,
                    ..self.spec.clone()
                },
                self.course,
            )
            .0[0]
        };
        let (least, most) = (at(1.0), at(-1.0));
        let reaches = |p: &&Piece| {
            let (low, high) = p.bounds();
            low - self.rounding.value <= self.spec.threshold
                && high + self.rounding.value >= self.spec.threshold
        };
        // Each of at most three crossings in a piece is rounded to a tick.
        let slack: f64 = pieces(self.course, self.spec)
            .iter()
            .filter(reaches)
            .map(|p| 3.0 * (ms(1) * 0.5 + 4.0 * self.rounding.unit * p.length()))
            .sum();
        assert!(
            device[0] >= least - slack - 1e-9 && device[0] <= most + slack + 1e-9,
            "{}: {} ms above, {least} to {most} on the CPU, allowed {slack}",
            self.what,
            device[0]
        );
        seen.above_ms += device[0];
    }

    fn extreme(&self, device: [f64; 4], seen: &mut Seen) {
        let cpu = on_cpu(self.spec, self.course).0;
        if cpu[1].is_nan() {
            self.close(device[1], f64::NAN, 0.0);
            self.close(device[0], cpu[0], 0.0);
            return;
        }
        seen.extremes += 1;
        self.close(device[0], cpu[0], self.rounding.value);
        let (t, at) = (self.back(device[1]), cpu[1]);
        let course = pieces(self.course, self.spec);
        let holds = |p: &&Piece, t: f64| p.t0 <= t && t <= p.t1;
        // The value at the device's time is the extreme, but for rounding and for half a tick of the slope.
        let slack = ms(1) * 0.5
            + 4.0 * self.rounding.unit * course.iter().map(Piece::length).fold(0.0, f64::max);
        let near = course.iter().filter(|p| holds(p, t)).any(|p| {
            let value = p.value(t);
            let slope = [t - slack, t, t + slack].map(|t| p.slope(t.clamp(p.t0, p.t1)).abs());
            (value - cpu[0]).abs()
                <= 2.0 * self.rounding.value + slack * slope[0].max(slope[1]).max(slope[2])
        });
        assert!(
            near,
            "{}: {} at {t}, {} at {at} on the CPU",
            self.what, device[0], cpu[0]
        );
        // The time itself, where no other place comes near the extreme: by the error of the slope and the bend there.
        let rivals = course
            .iter()
            .flat_map(|p| p.knots().points().to_vec())
            .filter(|&(other, value)| {
                other != at && (value - cpu[0]).abs() <= 4.0 * self.rounding.value
            })
            .count();
        let Some(p) = course.iter().find(|p| holds(p, at)) else {
            panic!("{}: the CPU's time {at} lies in no piece", self.what);
        };
        let by = if at == p.t0 || at == p.t1 {
            0.0
        } else {
            let (m, n, rise) = (p.length() * p.d0, p.length() * p.d1, p.g1 - p.g0);
            let x = (at - p.t0) / p.length();
            let (a, b) = (3.0 * (m + n) - 6.0 * rise, 3.0 * rise - 2.0 * m - n);
            let bend = 2.0 * (a * x + b).abs();
            // Each of the slope's three numbers has up to 8 roundings of m, n or six times the rise; twice that where the
            // piece was clipped, whose values are rounded too.
            let clipped = if self.spec.after_ms.is_finite() {
                8.0 * self.rounding.value
            } else {
                0.0
            };
            let slope_error = 32.0 * self.rounding.unit * (m.abs() + n.abs() + 6.0 * rise.abs())
                + clipped
                + (64.0 * f64::EPSILON + self.rounding.cpu_length / p.length())
                    * (m.abs() + n.abs() + p.g0.abs());
            // Nearly threefold: the bound does not hold there.
            if 4.0 * slope_error * a.abs() > 0.1 * bend * bend {
                return;
            }
            2.0 * slope_error / bend * p.length()
        };
        if rivals == 0 {
            seen.extreme_times += 1;
            self.close(t, at, by + self.rounding.time(self.course, at));
        }
    }

    fn integral(&self, device: [f64; 4]) {
        let cpu = on_cpu(self.spec, self.course).0;
        assert_eq!(tick(device[1]), tick(cpu[1]), "{}: time covered", self.what);
        // Eight roundings of each term; the compensated sum adds two at the end. Clipped pieces have rounded ends.
        let course = pieces(self.course, self.spec);
        let terms: f64 = course
            .iter()
            .map(|p| {
                let h = p.length();
                0.5 * h * (p.g0.abs() + p.g1.abs()) + h * h / 12.0 * (p.d0.abs() + p.d1.abs())
            })
            .sum();
        let clipped = |p: &&Piece| p.t0 == self.spec.after_ms || p.t1 == self.spec.before_ms;
        let clipped_ms: f64 = course.iter().filter(clipped).map(Piece::length).sum();
        let bound = 10.0 * (self.rounding.unit + f64::EPSILON) * terms
            + 2.0 * self.rounding.value * clipped_ms;
        // The CPU's own sum is a plain one.
        let heights: f64 = course.iter().map(|p| p.g0.abs() + p.g1.abs()).sum();
        let own = f64::EPSILON * course.len() as f64 * terms + self.rounding.cpu_length * heights;
        self.close(device[0], cpu[0], bound + own);
    }

    fn value(&self, device: [f64; 4]) {
        let cpu = on_cpu(self.spec, self.course).0;
        self.close(self.back(device[1]), cpu[1], ms(1) * 1e-3);
        let at_end = course_has_end(self.course, cpu[1]);
        self.close(
            device[0],
            cpu[0],
            if at_end { 0.0 } else { self.rounding.value },
        );
    }
}

/// Whether a piece starts or ends there: its value is given, not computed.
fn course_has_end(course: &Course, t: f64) -> bool {
    course.pieces.iter().any(|p| p.t0 == t || p.t1 == t)
}

/// Random courses through these features, at one base.
fn compare_all(specs: &[FeatureSpec], base: Tick, n_courses: usize) {
    each_precision(|device, precision| {
        let mut numbers = Numbers::new(20 + base.unsigned_abs());
        let courses: Vec<Course> = (0..n_courses)
            .map(|i| course(&mut numbers, i, precision))
            .collect();
        let there: Vec<FeatureSpec> = specs.iter().map(|s| moved(s, base)).collect();
        let listed: Vec<&Course> = courses.iter().collect();
        let outcomes = device.gather(precision, &there, &listed, base);
        let mut seen = [Seen::default(); N_KINDS];
        for (i, (course, outcome)) in courses.iter().zip(&outcomes).enumerate() {
            for (k, spec) in specs.iter().enumerate() {
                let comparison = Comparison {
                    spec,
                    course,
                    base,
                    rounding: Rounding::of(course, precision),
                    what: format!("{precision:?}, base {base}, course {i}, feature {k} {spec:?}"),
                };
                comparison.compare(outcome, k, &mut seen[i % N_KINDS]);
            }
            assert!(
                outcome.most_work <= MOST_WORK,
                "{} rounds",
                outcome.most_work
            );
        }
        for (kind, seen) in seen.iter().enumerate() {
            let most_left_out = if TOUCHING.contains(&kind) { 0.6 } else { 0.02 };
            let full = seen.spikes > 0
                && seen.left_out as f64 <= most_left_out * seen.counted as f64
                && seen.extreme_times as f64 >= 0.8 * seen.extremes as f64
                && seen.extremes > 0
                && seen.above_ms > 0.0;
            assert!(full, "{precision:?}, kind {kind} of courses: {seen:?}");
        }
    });
}

#[test]
fn random_courses_ten_minutes_in_give_what_the_cpu_gathers() {
    compare_all(&all_specs(), 60_000_000_000, 4500);
}

#[test]
fn random_courses_before_the_start_and_at_a_carry_give_what_the_cpu_gathers() {
    let windowed =
        |s: &FeatureSpec| s.after_ms.is_finite() && s.before_ms.is_finite() || s.at_ms.is_finite();
    let specs: Vec<FeatureSpec> = all_specs().into_iter().filter(windowed).collect();
    // From 25 ms before time 0; 10 ms before the high word changes.
    for base in [-2_500_000, (1 << 32) - 1_000_000] {
        compare_all(&specs, base, 1500);
    }
}
