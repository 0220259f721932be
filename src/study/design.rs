//! Space-filling designs: a scrambled Sobol sequence and Latin hypercubes, each point computed from its number alone.

use super::sampling::{NameHash, bits, fraction};

/// Most distributions that a Sobol design can serve.
pub const SOBOL_DIMENSIONS: usize = 21;

/// Joe and Kuo 2008 (SIAM J. Sci. Comput. 30:2635), table `new-joe-kuo-6`: for each dimension from the second on the degree
/// of its primitive polynomial, the polynomial's inner coefficients as bits, and the initial direction numbers.
const JOE_KUO: [(u32, u32, [u32; 7]); SOBOL_DIMENSIONS - 1] = [
    (1, 0, [1, 0, 0, 0, 0, 0, 0]),
    (2, 1, [1, 3, 0, 0, 0, 0, 0]),
    (3, 1, [1, 3, 1, 0, 0, 0, 0]),
    (3, 2, [1, 1, 1, 0, 0, 0, 0]),
    (4, 1, [1, 1, 3, 3, 0, 0, 0]),
    (4, 4, [1, 3, 5, 13, 0, 0, 0]),
    (5, 2, [1, 1, 5, 5, 17, 0, 0]),
    (5, 4, [1, 1, 5, 5, 5, 0, 0]),
    (5, 7, [1, 1, 7, 11, 19, 0, 0]),
    (5, 11, [1, 1, 5, 1, 1, 0, 0]),
    (5, 13, [1, 1, 1, 3, 11, 0, 0]),
    (5, 14, [1, 3, 5, 5, 31, 0, 0]),
    (6, 1, [1, 3, 3, 9, 7, 49, 0]),
    (6, 13, [1, 1, 1, 15, 21, 21, 0]),
    (6, 16, [1, 3, 1, 13, 27, 49, 0]),
    (6, 19, [1, 1, 1, 15, 7, 5, 0]),
    (6, 22, [1, 3, 1, 15, 13, 25, 0]),
    (6, 25, [1, 1, 5, 5, 19, 61, 0]),
    (7, 1, [1, 3, 7, 11, 23, 15, 103]),
    (7, 4, [1, 3, 7, 13, 13, 15, 69]),
];

/// Direction numbers of a dimension, as fractions of 2^32.
fn directions(dimension: usize) -> [u32; 32] {
    let mut v = [0_u32; 32];
    let Some((degree, inner, initial)) = dimension.checked_sub(1).and_then(|d| JOE_KUO.get(d))
    else {
        for (i, v) in v.iter_mut().enumerate() {
            *v = 1 << (31 - i);
        }
        return v;
    };
    let s = *degree as usize;
    for i in 0..32 {
        v[i] = if i < s {
            initial[i] << (31 - i)
        } else {
            let mut next = v[i - s] ^ (v[i - s] >> s);
            for k in 1..s {
                if inner >> (s - 1 - k) & 1 == 1 {
                    next ^= v[i - k];
                }
            }
            next
        };
    }
    v
}

/// Point `index` of the Sobol sequence in one dimension, 0 to 2^32 - 1, not scrambled.
fn sobol_point(dimension: usize, index: u64) -> u32 {
    let v = directions(dimension);
    (0..32)
        .filter(|i| index >> i & 1 == 1)
        .fold(0, |sum, i| sum ^ v[i])
}

/// Point `index` in one dimension, in (0, 1), shifted bit by bit by a random number of the seed and the name: the points
/// stay as even as they were, and every single one is uniform.
pub(super) fn sobol(seed: u64, hash: NameHash, dimension: usize, index: u64) -> f64 {
    let shift = bits(seed, hash, u64::MAX);
    fraction((u64::from(sobol_point(dimension, index)) << 32) ^ shift)
}

/// The place of fibre `index` of `n` in one dimension, in (0, 1): every one of `n` equal parts holds exactly one fibre.
pub(super) fn latin_hypercube(seed: u64, hash: NameHash, index: u64, n: u64) -> f64 {
    let jitter = fraction(bits(seed, hash, index));
    let part = shuffle(index, n, bits(seed, hash, u64::MAX));
    ((part as f64 + jitter) / n as f64).clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON / 2.0)
}

/// A permutation of 0..n picked by the key: four rounds of a Feistel network on the next even number of bits, walked until
/// inside.
fn shuffle(index: u64, n: u64, key: u64) -> u64 {
    let half = (64 - n.saturating_sub(1).leading_zeros())
        .div_ceil(2)
        .max(1);
    let mask = (1_u64 << half) - 1;
    let mut x = index;
    loop {
        let (mut left, mut right) = (x >> half, x & mask);
        for round in 0..4 {
            (left, right) = (
                right,
                left ^ (mix(right ^ key.rotate_left(16 * round)) & mask),
            );
        }
        x = left << half | right;
        if x < n {
            return x;
        }
    }
}

/// Spreads every bit over all (the finaliser of SplitMix64, Steele et al. 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_dimension_starts_as_published() {
        let points: Vec<f64> = (0..8)
            .map(|i| f64::from(sobol_point(1, i)) / 4_294_967_296.0)
            .collect();
        assert_eq!(points, [0.0, 0.5, 0.75, 0.25, 0.625, 0.125, 0.375, 0.875]);
    }

    /// Every direction number is odd at its bit, so 2^k points fall one into each of 2^k equal parts: in every dimension.
    #[test]
    fn every_dimension_is_stratified() {
        for dimension in 0..SOBOL_DIMENSIONS {
            for k in [1, 4, 10] {
                let mut seen = vec![false; 1 << k];
                for i in 0..1 << k {
                    seen[(sobol(7, NameHash::of("a.b"), dimension, i) * f64::from(1 << k))
                        as usize] = true;
                }
                assert!(
                    seen.iter().all(|s| *s),
                    "dimension {dimension}, 2^{k} points"
                );
            }
        }
    }

    /// The first two dimensions fill every elementary box: 64 points, one in each of 8 x 8.
    #[test]
    fn two_dimensions_fill_the_square() {
        let mut seen = [false; 64];
        for i in 0..64 {
            let (x, y) = (
                sobol(3, NameHash::of("a"), 0, i),
                sobol(3, NameHash::of("b"), 1, i),
            );
            seen[(x * 8.0) as usize * 8 + (y * 8.0) as usize] = true;
        }
        assert!(seen.iter().all(|s| *s));
    }

    #[test]
    fn a_latin_hypercube_has_one_fibre_in_every_part() {
        for n in [1, 2, 3, 10, 1000, 1024] {
            let mut seen = vec![false; n as usize];
            for i in 0..n {
                seen[(latin_hypercube(11, NameHash::of("sodium.g"), i, n) * n as f64) as usize] =
                    true;
            }
            assert!(seen.iter().all(|s| *s), "{n}");
        }
    }

    #[test]
    fn names_and_seeds_shuffle_differently() {
        let order = |seed, name| {
            (0..50)
                .map(|i| (latin_hypercube(seed, NameHash::of(name), i, 50) * 50.0) as u64)
                .collect::<Vec<_>>()
        };
        assert_ne!(order(1, "a"), order(1, "b"));
        assert_ne!(order(1, "a"), order(2, "a"));
        assert_eq!(order(1, "a"), order(1, "a"));
    }
}
