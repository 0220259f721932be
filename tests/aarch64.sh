#!/usr/bin/env bash
# The machine code for aarch64 under emulation, on an x86-64 machine with Debian's packages 'qemu-user', 'gcc-aarch64-linux-gnu' and
# 'libc6-dev-arm64-cross' and Rust's target 'aarch64-unknown-linux-gnu':
#   tests/aarch64.sh
# Builds the tests of the CPU's engines for that target and runs them: every operation on its probes, random programs, register pressure, and
# every shipped model, against the interpreter, bit for bit.
set -euo pipefail
cd "$(dirname "$0")/.."

for tool in qemu-aarch64 aarch64-linux-gnu-gcc; do
    command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross" >&2; exit 1; }
done
rustup target list --installed | grep -qx aarch64-unknown-linux-gnu || rustup target add aarch64-unknown-linux-gnu

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
cargo test --release --locked --target aarch64-unknown-linux-gnu --lib -- backend::cpu
cargo test --release --locked --target aarch64-unknown-linux-gnu --test engines
