//! Clocks of many lanes against each clock by whole numbers.

use super::*;
use rand::{RngExt, SeedableRng};

const BOUNDS: Bounds = Bounds {
    settling: 536_870_912.0,
    largest: 2_000_000.0,
    held: 100_000.0,
    smallest: 50.0,
    adaptive: true,
    ticks_per_row: 1000.0,
    last_row: 10,
};

/// The step of a clock by whole numbers, as the rule says it.
fn step(now: i64, wanted: i64, end: i64) -> i64 {
    let left = end - now;
    let most = if now < 0 { 536_870_912 } else { 2_000_000 };
    let step = wanted.min(most);
    if step >= left {
        left.max(1)
    } else if 2 * step > left {
        (left + 1) / 2
    } else {
        step
    }
}

#[test]
fn steps_of_all_lanes_are_those_of_each_by_whole_numbers() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let n = 1000;
    let mut clocks = Clocks::new(n);
    let (mut taken, mut rejected, mut arrived) = (0, 0, 0);
    for l in 0..n {
        let now = random.random_range(-60_000_000_i64..60_000_000);
        clocks.now[l] = now as f64;
        clocks.piece_start[l] = (now - random.random_range(1..5000)) as f64;
        let wanted = 10f64.powf(random.random_range(1.7..9.0)).floor();
        clocks.wanted[l] = wanted;
        // Some end just behind a step or two.
        let ahead = random.random_range(0.0..4.0) * wanted.min(2e6);
        clocks.end[l] = (now as f64 + ahead).floor();
        clocks.next_row[l] = now as f64 + random.random_range(-1.0..1.0);
        clocks.outcome.error[l] = random.random_range(0.0..1.3);
        clocks.outcome.growth[l] = random.random_range(-0.5..5.0);
        clocks.outcome.log_error[l] = random.random();
        clocks.occupied[l] = mask(l % 10 != 3);
        clocks.open[l] = mask(l % 11 != 5 && now >= 0);
        clocks.on_edge[l] = mask(l % 7 == 2);
    }
    clocks.outcome.error[20] = f64::NAN;
    clocks.outcome.growth[21] = f64::NAN;
    clocks.choose(&BOUNDS);
    clocks.sort_out(&BOUNDS);
    let has_row = clocks.asks.clone();
    clocks.gather_asking();
    let before = (0..n).map(|l| clocks.get(l)).collect::<Vec<_>>();
    clocks.take(&BOUNDS);
    for (l, old) in before.iter().enumerate() {
        let end = clocks.end[l] as i64;
        let (open, on_edge) = (old.has(flag::OPEN), old.has(flag::ON_EDGE));
        let tried = if open && on_edge {
            old.now - old.piece_start
        } else {
            step(old.now, old.wanted, end)
        };
        assert_eq!(clocks.tried[l], tried as f64, "{old:?} {end}");
        let Outcome { error, growth, .. } = &clocks.outcome;
        let may_hold = growth[l] < 0.0 && tried > 100_000 && old.now >= 0;
        let steps = clocks.occupied[l] == YES && !on_edge;
        let fits = error[l] <= 1.0 && !may_hold;
        let takes = steps && fits;
        assert_eq!(clocks.takes(l), takes, "lane {l}");
        assert_eq!(has_row[l] == YES, clocks.next_row[l] < old.now as f64);
        let rejects = steps && !fits && tried > 50;
        assert_eq!(clocks.rejects(l), rejects, "lane {l}");
        let asks = clocks.occupied[l] == YES && (!takes || (open && has_row[l] == YES));
        assert_eq!(clocks.asks[l] == YES, asks, "lane {l}");
        let next = clocks.asks[l..].iter().position(|&a| a == YES);
        assert_eq!(clocks.next_asking(l), next.map(|ahead| l + ahead));
        let new = clocks.get(l);
        if rejects {
            let growth = if growth[l].is_finite() {
                growth[l].abs()
            } else {
                0.2
            };
            let most = if may_hold { 100_000 } else { i64::MAX };
            let expected = Clock {
                wanted: ((tried as f64 * growth) as i64).clamp(50, most),
                rejected: old.rejected + 1,
                ..*old
            };
            assert_eq!(new, expected);
            rejected += 1;
        }
        if !takes {
            assert!(rejects || new == *old);
            continue;
        }
        taken += 1;
        let grown = (tried as f64 * growth[l].abs()) as i64;
        let wanted = if tried < old.wanted && growth[l].abs() >= 1.0 {
            grown.max(old.wanted)
        } else {
            grown
        };
        let mut expected = Clock {
            now: old.now + tried,
            piece_start: if old.now >= 0 {
                old.now
            } else {
                old.piece_start
            },
            wanted: wanted.max(50),
            accepted: old.accepted + 1,
            last_error: clocks.outcome.log_error[l],
            ..*old
        };
        expected.set(flag::OPEN, open || old.now >= 0);
        expected.set(flag::ON_EDGE, old.now + tried == end);
        arrived += usize::from(expected.has(flag::ON_EDGE));
        assert_eq!(new, expected);
    }
    for (what, count) in [("take", taken), ("reject", rejected), ("arrive", arrived)] {
        assert!((100..800).contains(&count), "{count} of {n} lanes {what}");
    }
}

#[test]
fn quiet_steps_of_a_range_are_the_fewest_of_its_lanes() {
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(4);
    // Without a fibre there is nothing to take steps for.
    assert_eq!(Clocks::new(16).quiet_steps(0..16), f64::INFINITY);
    let mut quiet = 0;
    for k in 0..2000 {
        // Among many, more than are looked through at once, somebody nearly always has to be looked at.
        let (n, wide) = (if k % 4 == 0 { 150 } else { 16 }, 3);
        let mut clocks = Clocks::new(n);
        let rare = random.random_range(0.0..0.4);
        for l in 0..n {
            let now = random.random_range(-1_000_i64..2_000_000).max(0);
            clocks.now[l] = now as f64;
            clocks.piece_start[l] = now as f64 - 1000.0;
            clocks.tried[l] = 1000.0;
            clocks.end[l] = (now + random.random_range(1..50_000)) as f64;
            clocks.next_row[l] = match random.random_bool(0.5) {
                true => f64::INFINITY,
                false => (now + random.random_range(0..50_000)) as f64,
            };
            clocks.occupied[l] = mask(random.random_bool(0.8));
            clocks.open[l] = mask(!random.random_bool(rare * 0.2));
            clocks.on_edge[l] = mask(random.random_bool(rare * 0.2));
            // Some settle.
            if random.random_bool(rare * 0.1) {
                clocks.now[l] = -random.random_range(1.0..60_000f64).floor();
                clocks.open[l] = 0;
            }
        }
        let (after_ms, before_ms) = (
            random.random_range(-1.0..15.0),
            random.random_range(10.0..25.0),
        );
        let range = wide..n - wide;
        // By whole numbers, lane by lane.
        let (mut steps, mut within) = (i64::MAX, i64::MAX);
        for l in range.clone().filter(|&l| clocks.occupied[l] == YES) {
            let (now, tried) = (clocks.now[l] as i64, clocks.tried[l] as i64);
            let looked_at = (clocks.open[l] == 0 && now >= 0) || clocks.on_edge[l] == YES;
            let end = clocks.end[l] as i64;
            let to_end = (if now < 0 { end.min(0) } else { end } - now) / tried - 1;
            let to_row = match clocks.next_row[l] {
                row if row.is_finite() => (row as i64 - now) / tried + 1,
                _ => i64::MAX,
            };
            steps = steps.min(if looked_at { 0 } else { to_end.min(to_row) });
            let [after, before] = [after_ms, before_ms].map(|ms| (ms * TICKS_PER_MS) as i64);
            let start = clocks.piece_start[l] as i64;
            if now >= 0 && start <= before {
                within = within.min(match (now < after, start >= after) {
                    (true, _) => (after - now) / tried - 1,
                    (false, true) => (before - now) / tried - 1,
                    (false, false) => 0,
                });
            }
        }
        let as_number = |steps: i64| match steps {
            i64::MAX => f64::INFINITY,
            steps => steps as f64,
        };
        assert_eq!(
            clocks.quiet_steps(range.clone()).max(0.0),
            as_number(steps).max(0.0)
        );
        let found = clocks.steps_within(range, [after_ms, before_ms]).max(0.0);
        assert!((found - as_number(within).max(0.0)).abs() <= 1.0 || found == as_number(within));
        quiet += usize::from(steps > 0);
    }
    assert!((200..1800).contains(&quiet), "{quiet}");
}

/// Code for many steps knows their length.
#[test]
fn with_a_fixed_step_whoever_can_take_more_than_one_takes_full_ones() {
    let fixed = Bounds {
        settling: 1000.0,
        largest: 1000.0,
        adaptive: false,
        ..BOUNDS
    };
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let (mut full, mut cut) = (0, 0);
    for _ in 0..5000 {
        let mut clocks = Clocks::new(1);
        let now = random.random_range(-3000_i64..9000);
        clocks.now[0] = now as f64;
        clocks.piece_start[0] = now as f64 - random.random_range(1.0..1000f64).floor();
        clocks.wanted[0] = 1000.0;
        clocks.end[0] = (now + random.random_range(0..5000)) as f64;
        clocks.next_row[0] = f64::INFINITY;
        clocks.occupied[0] = YES;
        clocks.open[0] = mask(now >= 0);
        clocks.on_edge[0] = mask(random.random_bool(0.1));
        clocks.choose(&fixed);
        if clocks.quiet_steps(0..1) > 0.0 {
            assert_eq!(clocks.tried[0], 1000.0);
            full += 1;
        } else {
            cut += usize::from(clocks.tried[0] != 1000.0);
        }
    }
    assert!(full > 500 && cut > 500, "{full} {cut}");
}
