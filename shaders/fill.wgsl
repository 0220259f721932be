// Fills a buffer with "no number": samples that no fibre writes, because it was lost before, stay so.

struct Fill {
    // Words to fill, and how many invocations share them.
    n_words: u32,
    stride: u32,
    // Bits of the even and the odd words.
    even: u32,
    odd: u32,
}

@group(0) @binding(0) var<uniform> what: Fill;
@group(0) @binding(1) var<storage, read_write> buffer: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    for (var i = id.x; i < what.n_words; i += what.stride) {
        buffer[i] = select(what.even, what.odd, (i & 1u) != 0u);
    }
}
