// Features: what is gathered of an observable's course while a fibre is stepped. The course comes piece by piece, a cubic
// known by value and slope at both ends. The twin of src/feature/, with the same rules; follows ticks.wgsl and a maths file.
//
// A place within a piece is a share from 0 to 1 and becomes a time in whole ticks at the end, so that single precision loses
// nothing far from time 0. The cubic stays between the smallest and the largest of its four Bernstein coefficients, which
// rejects nearly every piece before any root is sought. A piece of no length, or with a number that is not finite, is left out.
//
// From the kernel: `work`, which counts the rounds of all loops (at most 75 in one call), and `found_event(feature, at)`,
// which is told of each spike.

/// A cubic in time.
struct Piece {
    start: vec2<u32>, // ticks
    length: u32, // ticks; at most 2^30
    h: Real, // the length, ms
    g0: Real, // value at the start
    d0: Real, // slope at the start, per ms
    g1: Real, // value at the end
    d1: Real, // slope at the end, per ms
}

/// What one feature has gathered of one fibre. Fields that a kind does not name stay as they were.
///
/// | kind | value | rest | count | above | first | last |
/// |---|---|---|---|---|---|---|
/// | spikes | distance of the nearest turning point from the threshold | | number | 0 below, 1 above, 2 unknown | time of the first | time of the last |
/// | max, time_of_max, min, time_of_min | value | | 1 once there is one | | its time | |
/// | mean, integral | integral, unit ms | what rounding put too much into it | | | time covered | |
/// | time_above | | | | | time above | time covered |
/// | final, value_at | value | | 1 once there is one | | its time | |
///
/// All times are ticks. The spikes' first and last mean nothing while the number is 0.
struct Gathered {
    value: Real,
    rest: Real,
    count: u32,
    above: u32,
    first: vec2<u32>,
    last: vec2<u32>,
}

/// Bernstein coefficients over the share of a piece.
struct Cubic {
    b0: Real,
    b1: Real,
    b2: Real,
    b3: Real,
}

/// Shares at which the slope is 0, ascending; 1 in place of one that is not there.
struct Turns {
    first: Real,
    second: Real,
}

/// A cubic's course as three monotone stretches: where two of them meet, and the values there.
struct Knots {
    first: Real,
    second: Real,
    at_first: Real,
    at_second: Real,
}

const THIRD: Real = Real(0.3333333333333333);

/// Where the search for a root ends: 2^-25 of the share in single, 2^-52 in double precision. Single precision does not hold
/// the number that is compared, and rounds it down.
fn close_share() -> Real {
    return select(Real(2.9802322387695312e-8), Real(2.220446049250313e-16), Real(16777217.0) > Real(16777216.0));
}

fn is_sound(p: Piece) -> bool {
    return p.length > 0u && is_finite_real(p.g0 + p.g1 + p.d0 + p.d1);
}

/// The cubic, counted from a level.
fn cubic_from(p: Piece, level: Real) -> Cubic {
    let third = p.h * THIRD;
    let b0 = p.g0 - level;
    let b3 = p.g1 - level;
    return Cubic(b0, b0 + third * p.d0, b3 - third * p.d1, b3);
}

/// Value at a share, by de Casteljau: a mean of means, so it never leaves the bounds by more than rounding.
fn cubic_at(c: Cubic, x: Real) -> Real {
    let y = Real(1.0) - x;
    let e0 = y * c.b0 + x * c.b1;
    let e1 = y * c.b1 + x * c.b2;
    let e2 = y * c.b2 + x * c.b3;
    return y * (y * e0 + x * e1) + x * (y * e1 + x * e2);
}

/// The tick at a share.
fn ticks_at(p: Piece, x: Real) -> vec2<u32> {
    return ticks_add(p.start, ticks_in(p, x));
}

/// Ticks from the start to a share, to the nearest.
fn ticks_in(p: Piece, x: Real) -> u32 {
    return min(u32(x * Real(p.length) + Real(0.5)), p.length);
}

/// The same piece within a window of time; of no length where nothing is left.
fn clip_piece(p: Piece, after: vec2<u32>, before: vec2<u32>) -> Piece {
    let end = ticks_add(p.start, p.length);
    if (!ticks_below(p.start, after) && !ticks_below(before, end)) {
        return p;
    }
    var q = p;
    q.length = 0u;
    if (!ticks_below(p.start, before) || !ticks_below(after, end) || !is_sound(p)) {
        return q;
    }
    let from_tick = ticks_between(p.start, after);
    let to_tick = min(ticks_between(p.start, before), p.length);
    if (to_tick <= from_tick) {
        return q;
    }
    let c = cubic_from(p, Real(0.0));
    let bend = Real(3.0) * ((p.g1 - p.g0) / p.h) - p.d0 - p.d1;
    let per_tick = Real(1.0) / Real(p.length);
    if (from_tick > 0u) {
        let x = Real(from_tick) * per_tick;
        q.start = ticks_add(p.start, from_tick);
        q.g0 = cubic_at(c, x);
        q.d0 = slope_at(p, bend, x);
    }
    if (to_tick < p.length) {
        let x = Real(to_tick) * per_tick;
        q.g1 = cubic_at(c, x);
        q.d1 = slope_at(p, bend, x);
    }
    q.length = to_tick - from_tick;
    q.h = p.h * (Real(q.length) * per_tick);
    return q;
}

/// Slope at a share, per ms; `bend` is three times the slope of the chord less those at both ends.
fn slope_at(p: Piece, bend: Real, x: Real) -> Real {
    let y = Real(1.0) - x;
    return y * y * p.d0 + x * x * p.d1 + Real(2.0) * x * y * bend;
}

/// The share n / d where it lies inside (0, 1), else 1. Nothing is divided before that is known.
fn share_or_one(n: Real, d: Real) -> Real {
    let inside = n != Real(0.0) && (n > Real(0.0)) == (d > Real(0.0)) && abs(n) < abs(d);
    return select(Real(1.0), n / select(Real(1.0), d, inside), inside);
}

fn turns_of(p: Piece) -> Turns {
    let at_start = p.h * p.d0;
    let at_end = p.h * p.d1;
    let rise = p.g1 - p.g0;
    // Squares of very small and very large observables would leave the range of single precision.
    let size = max(max(abs(at_start), abs(at_end)), abs(rise));
    if (size <= Real(1e-37)) {
        return Turns(Real(1.0), Real(1.0));
    }
    let m = at_start / size;
    let n = at_end / size;
    let r = rise / size;
    // Slope over the share x: a x^2 + 2 b x + m.
    let a = Real(3.0) * (m + n) - Real(6.0) * r;
    let b = Real(3.0) * r - Real(2.0) * m - n;
    let discriminant = b * b - a * m;
    if (!(discriminant > Real(0.0))) {
        return Turns(Real(1.0), Real(1.0));
    }
    // The stable pair of roots: neither subtracts nearly equal numbers.
    let root = sqrt(discriminant);
    let s = select(root - b, -(b + root), b >= Real(0.0));
    let one = share_or_one(s, a);
    let other = share_or_one(m, s);
    return Turns(min(one, other), max(one, other));
}

fn knots_of(p: Piece, c: Cubic) -> Knots {
    let turns = turns_of(p);
    // A stretch of no length at the end has the end's value exactly, or rounding there would look like a crossing.
    return Knots(
        turns.first,
        turns.second,
        select(cubic_at(c, turns.first), c.b3, turns.first >= Real(1.0)),
        select(cubic_at(c, turns.second), c.b3, turns.second >= Real(1.0)),
    );
}

/// The share at which the cubic passes 0 in the first of the stretches meant by the bits: 2 the first, 4 the second, 8 the third.
fn root_in(c: Cubic, k: Knots, stretches: u32) -> Real {
    let is_first = (stretches & 2u) != 0u;
    let is_last = stretches == 8u;
    return root_between(
        c,
        select(select(k.first, k.second, is_last), Real(0.0), is_first),
        select(select(k.second, Real(1.0), is_last), k.first, is_first),
        select(select(k.at_first, k.at_second, is_last), c.b0, is_first),
        select(select(k.at_second, c.b3, is_last), k.at_first, is_first),
    );
}

/// The share at which the cubic passes 0 between two places of a monotone stretch, whose values have different signs or are 0.
///
/// Laguerre's iteration for polynomials of degree 3 inside a shrinking bracket: it does not slow down near double and threefold
/// roots as Newton's does. Halving where it would leave the bracket.
fn root_between(c: Cubic, from_x: Real, to_x: Real, at_from: Real, at_to: Real) -> Real {
    if (at_to == Real(0.0)) {
        return to_x;
    }
    // Only the ratios matter.
    let scale = Real(1.0) / max(max(abs(c.b0), abs(c.b3)), max(abs(c.b1), abs(c.b2)));
    let b0 = c.b0 * scale;
    let b1 = c.b1 * scale;
    let b2 = c.b2 * scale;
    let b3 = c.b3 * scale;
    let close = close_share();
    let rising = at_to > at_from;
    var low = from_x;
    var high = to_x;
    var x = low + (high - low) * (at_from / (at_from - at_to));
    for (var n = 0u; n < 24u; n += 1u) {
        work += 1u;
        let y = Real(1.0) - x;
        let e0 = y * b0 + x * b1;
        let e1 = y * b1 + x * b2;
        let e2 = y * b2 + x * b3;
        let value = y * (y * e0 + x * e1) + x * (y * e1 + x * e2);
        let beyond = (value > Real(0.0)) == rising;
        low = select(x, low, beyond);
        high = select(high, x, beyond);
        // A third of the slope and a sixth of the second derivative.
        let slope = y * (y * (b1 - b0) + x * (b2 - b1)) + x * (y * (b2 - b1) + x * (b3 - b2));
        let bend = y * ((b2 - b1) - (b1 - b0)) + x * ((b3 - b2) - (b2 - b1));
        let root = Real(2.0) * sqrt(max(slope * slope - value * bend, Real(0.0)));
        let divisor = slope + select(-root, root, rising);
        // A step as long as the piece leaves the bracket.
        let is_short = abs(value) < abs(divisor);
        let next = x - value / select(Real(1.0), divisor, is_short);
        let inside = is_short && next > low && next < high;
        // A value so small is rounding, and so may be the step that follows from it.
        if (abs(value) <= Real(2.0) * close || high - low <= close) {
            return x;
        }
        if (inside && abs(next - x) <= close) {
            return next;
        }
        x = select(low + Real(0.5) * (high - low), next, inside);
    }
    return x;
}

/// Upward crossings: from below the threshold to the threshold or above. Being above at the first instant of the window
/// is no crossing; a peak that just touches the threshold is one; a trough that touches it is none. A jump between two
/// pieces is a crossing at the start of the second. How near a turning point comes to the threshold says how little would change the number.
fn gather_spikes(g: ptr<function, Gathered>, p: Piece, threshold: Real, feature: u32) {
    if (!is_sound(p)) {
        return;
    }
    let c = cubic_from(p, threshold);
    let high = max(max(c.b0, c.b3), max(c.b1, c.b2));
    let low = min(min(c.b0, c.b3), min(c.b1, c.b2));
    let stays_below = high < Real(0.0);
    let stays_above = low >= Real(0.0);
    // Slopes of two signs have one turning point between them; most lie further away than the nearest so far.
    let turns = (p.d0 > Real(0.0) && p.d1 < Real(0.0)) || (p.d0 < Real(0.0) && p.d1 > Real(0.0));
    let comes_near = turns && low < (*g).value && -high < (*g).value;
    if (!comes_near) {
        if (stays_below) {
            (*g).above = 0u;
            return;
        }
        if (stays_above && (*g).above == 1u) {
            return;
        }
    }
    // Bit 0: a jump. Bits 1 to 3: a crossing in the first, the second, the third stretch.
    var todo = select(0u, 1u, c.b0 >= Real(0.0) && (*g).above == 0u);
    let k = knots_of(p, c);
    if (comes_near) {
        (*g).value = min((*g).value, abs(k.at_first));
    }
    if (!stays_above && !stays_below) {
        todo |= select(0u, 2u, c.b0 < Real(0.0) && k.at_first >= Real(0.0));
        todo |= select(0u, 4u, k.at_first < Real(0.0) && k.at_second >= Real(0.0));
        todo |= select(0u, 8u, k.at_second < Real(0.0) && c.b3 >= Real(0.0));
    }
    (*g).above = select(0u, 1u, c.b3 >= Real(0.0));
    // Twice at most. A loop, so that the search and the event stand in the program once.
    while (todo != 0u) {
        work += 1u;
        var x = Real(0.0);
        if ((todo & 1u) == 0u) {
            x = root_in(c, k, todo);
        }
        todo &= todo - 1u;
        let at = ticks_at(p, x);
        (*g).first = select((*g).first, at, (*g).count == 0u);
        (*g).last = at;
        (*g).count += 1u;
        found_event(feature, at);
    }
}

/// How long the piece is at the threshold or above.
fn gather_time_above(g: ptr<function, Gathered>, p: Piece, threshold: Real) {
    if (!is_sound(p)) {
        return;
    }
    (*g).last = ticks_add((*g).last, p.length);
    let c = cubic_from(p, threshold);
    if (max(max(c.b0, c.b3), max(c.b1, c.b2)) < Real(0.0)) {
        return;
    }
    if (min(min(c.b0, c.b3), min(c.b1, c.b2)) >= Real(0.0)) {
        (*g).first = ticks_add((*g).first, p.length);
        return;
    }
    let k = knots_of(p, c);
    let above_0 = c.b0 >= Real(0.0);
    let above_1 = k.at_first >= Real(0.0);
    let above_2 = k.at_second >= Real(0.0);
    let above_3 = c.b3 >= Real(0.0);
    // What is above from each crossing to the end, upward ones less downward ones: modulo 2^32 in between, right at the end.
    var total = select(0u, p.length, above_0);
    var todo = select(0u, 2u, above_0 != above_1) | select(0u, 4u, above_1 != above_2) | select(0u, 8u, above_2 != above_3);
    while (todo != 0u) {
        work += 1u;
        let to_end = p.length - ticks_in(p, root_in(c, k, todo));
        // Crossings go up and down by turns; the last goes up if the end is above.
        let is_up = above_3 == ((countOneBits(todo) & 1u) == 1u);
        total += select(0u - to_end, to_end, is_up);
        todo &= todo - 1u;
    }
    (*g).first = ticks_add((*g).first, total);
}

fn gather_max(g: ptr<function, Gathered>, p: Piece) {
    gather_extreme(g, p, Real(1.0));
}

fn gather_min(g: ptr<function, Gathered>, p: Piece) {
    gather_extreme(g, p, Real(-1.0));
}

/// The largest value (sign 1) or the smallest (sign -1) and when it is first reached.
fn gather_extreme(g: ptr<function, Gathered>, p: Piece, sign: Real) {
    if (!is_sound(p)) {
        return;
    }
    let c = cubic_from(p, Real(0.0));
    let best = sign * (*g).value;
    let ends = max(sign * c.b0, sign * c.b3);
    let inner = max(sign * c.b1, sign * c.b2);
    if (max(ends, inner) <= best) {
        return;
    }
    keep_larger(g, p, sign, c.b0, Real(0.0));
    // Where the bound is reached at an end, no turning point lies higher.
    if (inner > ends) {
        let k = knots_of(p, c);
        keep_larger(g, p, sign, k.at_first, k.first);
        keep_larger(g, p, sign, k.at_second, k.second);
    }
    keep_larger(g, p, sign, c.b3, Real(1.0));
}

fn keep_larger(g: ptr<function, Gathered>, p: Piece, sign: Real, value: Real, x: Real) {
    if (sign * value > sign * (*g).value) {
        (*g).value = value;
        (*g).first = ticks_at(p, x);
        (*g).count = 1u;
    }
}

/// The integral: a compensated sum over the pieces.
fn gather_integral(g: ptr<function, Gathered>, p: Piece) {
    if (!is_sound(p)) {
        return;
    }
    let area = p.h * (Real(0.5) * (p.g0 + p.g1) + p.h * THIRD * Real(0.25) * (p.d0 - p.d1));
    let add = area - (*g).rest;
    let sum = kept((*g).value + add);
    (*g).rest = kept(sum - (*g).value) - add;
    (*g).value = sum;
    (*g).first = ticks_add((*g).first, p.length);
}

/// The value at the end of the last piece.
fn gather_final(g: ptr<function, Gathered>, p: Piece) {
    if (!is_sound(p)) {
        return;
    }
    (*g).value = p.g1;
    (*g).first = ticks_add(p.start, p.length);
    (*g).count = 1u;
}

/// The value at a given time. At an edge shared by two pieces the later one speaks: an input that jumps has its new value there.
fn gather_value_at(g: ptr<function, Gathered>, p: Piece, at: vec2<u32>) {
    let end = ticks_add(p.start, p.length);
    if (ticks_below(at, p.start) || ticks_below(end, at) || !is_sound(p)) {
        return;
    }
    let from_start = ticks_between(p.start, at);
    let inner = cubic_at(cubic_from(p, Real(0.0)), Real(from_start) / Real(p.length));
    (*g).value = select(select(inner, p.g1, from_start == p.length), p.g0, from_start == 0u);
    (*g).first = at;
    (*g).count = 1u;
}
