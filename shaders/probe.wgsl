// The probe: whether this device and its compiler keep a compensated sum and a range reduction. It follows maths_f32.wgsl.

struct Probe {
    // Zero, which the compiler cannot know.
    zero: u32,
    // 1e-8, likewise.
    small: f32,
    // 1, likewise.
    one: f32,
    spare: u32,
}

// Rounds of the sum: below the 65,535 after which some drivers stop.
const ROUNDS: u32 = 50000u;

@group(0) @binding(0) var<storage, read_write> probe: Probe;
// The sum and what rounding took from it.
@group(0) @binding(1) var<storage, read_write> sums: array<f32>;
// Arguments, replaced by their exponentials.
@group(0) @binding(2) var<storage, read_write> exponentials: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    hidden_zero = probe.zero;
    if id.x < arrayLength(&exponentials) {
        exponentials[id.x] = exp_real(exponentials[id.x]);
    }
    if id.x == 0u {
        var sum = probe.one;
        var taken = 0.0;
        for (var i = 0u; i < ROUNDS; i += 1u) {
            let due = probe.small - taken;
            let next = kept(sum + due);
            let moved = kept(next - sum);
            taken = moved - due;
            sum = next;
        }
        sums[0] = sum;
        sums[1] = taken;
    }
}
