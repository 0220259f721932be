// Time as a whole number of ticks of 10 ns, 64 bits: x holds the low word, y the high word, in two's complement, so that settling
// has negative times. WGSL has no such type everywhere. Follows a maths file, whose `Real` is the kernel's number.

fn ticks_add(a: vec2<u32>, b: u32) -> vec2<u32> {
    let low = a.x + b;
    return vec2<u32>(low, a.y + select(0u, 1u, low < b));
}

/// a - b.
fn ticks_sub(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return vec2<u32>(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}

/// a < b.
fn ticks_below(a: vec2<u32>, b: vec2<u32>) -> bool {
    return select(bitcast<i32>(a.y) < bitcast<i32>(b.y), a.x < b.x, a.y == b.y);
}

/// b - a, at least 0 and at most 2^30 (10.7 s). The two lie less than 2^63 apart.
fn ticks_between(a: vec2<u32>, b: vec2<u32>) -> u32 {
    let gap = ticks_sub(b, a);
    let below_most = select(1073741824u, min(gap.x, 1073741824u), gap.y == 0u);
    return select(below_most, 0u, gap.y >= 0x80000000u);
}

/// The number of ticks, rounded: to the nearest in double precision, within a unit of the last place in single precision. The
/// size is converted, not the words as they are: -1 is the difference of two large words.
fn ticks_real(a: vec2<u32>) -> Real {
    let negative = a.y >= 0x80000000u;
    let flip = select(0u, 0xffffffffu, negative);
    let size = ticks_add(vec2<u32>(a.x ^ flip, a.y ^ flip), flip & 1u);
    let number = Real(size.y) * Real(4294967296.0) + Real(size.x);
    return select(number, -number, negative);
}
