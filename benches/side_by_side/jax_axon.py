"""The axon in JAX: gates by exponential steps (Rush and Larsen), the potential by Euler's, one compiled loop over the steps.

8192 fibres in single precision fill 128 KiB, which the second-level cache holds; fewer at a time gained nothing. Unrolling the
loop makes it slower.
"""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 " + os.environ.get("XLA_FLAGS", "")

import jax
import jax.numpy as jnp

import axon


def step(state, k):
    """State after step number `k`; products where a compiler would not dare to replace a division."""
    v, m, h, n = state
    since = k - round(axon.START_MS / axon.STEP_MS)
    within = since % round(axon.PERIOD_MS / axon.STEP_MS)
    pulse = (since >= 0) & (within < round(axon.LENGTH_MS / axon.STEP_MS))
    stimulus = jnp.where(pulse, axon.AMPLITUDE_UA_PER_CM2, 0).astype(v.dtype)

    u, w = 0.1 * v - 2.5, 0.1 * v - 1
    sodium = 120 * m * m * m * h * (v - 115)
    potassium = 36 * n * n * n * n * (v + 12)
    leak = 0.3 * (v - 10.613)
    return (
        v + axon.STEP_MS * (stimulus - sodium - potassium - leak),
        gate(m, u / (1 - jnp.exp(-u)), 4 * jnp.exp(v * (-1 / 18))),
        gate(h, 0.07 * jnp.exp(v * -0.05), 1 / (1 + jnp.exp(3 - 0.1 * v))),
        gate(n, 0.1 * w / (1 - jnp.exp(-w)), 0.125 * jnp.exp(v * 0.0125)),
    )


def gate(x, opening, closing):
    rate = opening + closing
    end = opening / rate
    return end + (x - end) * jnp.exp(-axon.STEP_MS * rate)


def stepped(state, steps):
    return jax.lax.fori_loop(0, steps, lambda k, s: step(s, k), state)


def course(state, steps):
    return jax.lax.scan(lambda s, k: (step(s, k), s[0][0]), state, jnp.arange(steps))[1]


def main():
    args = axon.arguments(__doc__, fibres=8192, duration_ms=200, precisions=("f32", "f64"))
    jax.config.update("jax_enable_x64", args.precision == "f64")
    start = tuple(jnp.full(args.fibres, x, args.precision.replace("f", "float")) for x in axon.START.values())
    program = jax.jit(course if args.check else stepped, static_argnums=1).lower(start, args.steps).compile()
    with axon.Clock() as clock:
        result = jax.block_until_ready(program(start))
    if args.check:
        axon.report_spikes(axon.crossings_ms(result.tolist()))
    else:
        axon.report_speed(args, clock.cpu_s, clock.wall_s)


if __name__ == "__main__":
    main()
