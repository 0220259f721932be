//! What is read off a curve: widths, slopes, thresholds, half points. A curve is points `(x, y)` with ascending `x`.

/// The width of the largest peak at half its height above `base`, linear between points; NaN where the curve does not come back.
pub fn width_at_half(curve: &[(f64, f64)], base: f64) -> f64 {
    let (top, peak) = largest(curve);
    let half = base + (peak - base) / 2.0;
    let up = curve[..=top]
        .windows(2)
        .rev()
        .find(|w| w[0].1 < half && w[1].1 >= half)
        .map(|w| at_height(w[0], w[1], half));
    let down = falls_to(&curve[top..], half);
    down - up.unwrap_or(f64::NAN)
}

/// From the largest point to the first later one at half its height above `base`.
pub fn half_fall(curve: &[(f64, f64)], base: f64) -> f64 {
    let (top, peak) = largest(curve);
    falls_to(&curve[top..], base + (peak - base) / 2.0) - curve[top].0
}

/// The steepest rise between neighbouring points from `after` on.
pub fn steepest(curve: &[(f64, f64)], after: f64) -> f64 {
    curve
        .windows(2)
        .filter(|w| w[0].0 >= after)
        .map(|w| (w[1].1 - w[0].1) / (w[1].0 - w[0].0))
        .fold(f64::NAN, f64::max)
}

/// The first `x` whose `y` is at least `height`; NaN if none is.
pub fn first_at_least(curve: &[(f64, f64)], height: f64) -> f64 {
    curve
        .iter()
        .find(|p| p.1 >= height)
        .map_or(f64::NAN, |p| p.0)
}

/// The `y` of the point whose `x` is nearest on a logarithmic scale.
pub fn nearest(curve: &[(f64, f64)], x: f64) -> f64 {
    let distance = |p: &&(f64, f64)| (p.0 / x).ln().abs();
    curve
        .iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .map_or(f64::NAN, |p| p.1)
}

/// Where a curve first crosses `height`, upward or downward, linear between points in `x` as it stands; NaN if it never does.
pub fn crosses(curve: &[(f64, f64)], height: f64) -> f64 {
    curve
        .windows(2)
        .find(|w| (w[0].1 - height) * (w[1].1 - height) <= 0.0 && w[0].1 != w[1].1)
        .map_or(f64::NAN, |w| at_height(w[0], w[1], height))
}

fn largest(curve: &[(f64, f64)]) -> (usize, f64) {
    curve
        .iter()
        .enumerate()
        .fold((0, f64::NEG_INFINITY), |best, (i, p)| {
            if p.1 > best.1 { (i, p.1) } else { best }
        })
}

fn falls_to(curve: &[(f64, f64)], height: f64) -> f64 {
    curve
        .windows(2)
        .find(|w| w[0].1 > height && w[1].1 <= height)
        .map_or(f64::NAN, |w| at_height(w[0], w[1], height))
}

fn at_height(a: (f64, f64), b: (f64, f64), height: f64) -> f64 {
    a.0 + (b.0 - a.0) * (height - a.1) / (b.1 - a.1)
}

#[test]
fn a_triangle_has_the_widths_and_slopes_of_a_triangle() {
    // Up from 1 to 5 within 2, down again within 4.
    let curve = [
        (0.0, 1.0),
        (1.0, 1.0),
        (2.0, 3.0),
        (3.0, 5.0),
        (5.0, 3.0),
        (7.0, 1.0),
    ];
    assert_eq!(width_at_half(&curve, 1.0), 3.0);
    assert_eq!(half_fall(&curve, 1.0), 2.0);
    assert_eq!(steepest(&curve, 0.0), 2.0);
    assert_eq!(steepest(&curve, 3.0), -1.0);
    assert_eq!(crosses(&curve, 4.0), 2.5);
    assert_eq!(first_at_least(&curve, 3.0), 2.0);
    assert_eq!(nearest(&curve, 4.0), 3.0);
    assert!(width_at_half(&curve[..4], 1.0).is_nan());
    assert!(crosses(&curve, 6.0).is_nan());
}
