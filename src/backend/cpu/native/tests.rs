//! The bits of machine code against the bodies of the ops, one lane at a time.

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::*;
use crate::ops::{Op, eval};
use crate::program::{Node, Value};

/// The program by the bodies of its ops.
pub(in crate::backend::cpu) fn by_the_bodies<T: Lane>(program: &Program, inputs: &[T]) -> Vec<T> {
    let mut values: Vec<T> = Vec::new();
    for node in &program.nodes {
        values.push(match *node {
            Node::Constant(bits) => T::of(f64::from_bits(bits)),
            Node::Input(i) => inputs[i as usize],
            Node::Apply(op, args) => {
                let at = |k: usize| values.get(args[k].index()).copied().unwrap_or_default();
                eval(op, at(0), at(1), at(2))
            }
        });
    }
    program.outputs.iter().map(|o| values[o.index()]).collect()
}

/// Compares every output of every lane, for lanes with these inputs: `inputs[lane][row]`.
fn agrees<T: Lane>(program: &Program, inputs: &[Vec<T>], simd: Simd, what: &str) {
    let n_inputs = inputs[0].len();
    let native = Native::new::<T>(program, n_inputs, (simd, usize::MAX), &[])
        .expect("code can be made here");
    let tile = native.tile_lanes();
    let n_tiles = inputs.len().div_ceil(tile);
    let place =
        |lane: usize, row: usize| (lane / tile * native.n_rows() + row) * tile + lane % tile;
    let mut rows = vec![T::of(f64::NAN); n_tiles * native.n_rows() * tile];
    for lane in 0..n_tiles * tile {
        for (row, &x) in inputs[lane % inputs.len()].iter().enumerate() {
            rows[place(lane, row)] = x;
        }
    }
    let mut slots = vec![CacheLine([0xff; 64]); native.n_slots()];
    native.run(&mut rows, &mut slots);
    for lane in 0..n_tiles * tile {
        let own = &inputs[lane % inputs.len()];
        let expected = by_the_bodies(program, own);
        for (k, e) in expected.iter().enumerate() {
            let found = rows[place(lane, n_inputs + k)];
            let equal = bytemuck::bytes_of(&found) == bytemuck::bytes_of(e)
                || (found.is_nan() && e.is_nan());
            assert!(
                equal,
                "{what} {} {}: output {k} of {own:?} is {e:?}, found {found:?}",
                simd.name(),
                T::PRECISION
            );
        }
        for (row, x) in own.iter().enumerate() {
            let kept = bytemuck::bytes_of(&rows[place(lane, row)]) == bytemuck::bytes_of(x);
            assert!(kept, "{what}: input {row} was written");
        }
    }
}

fn sets() -> Vec<Simd> {
    let sets = Simd::available();
    sets.into_iter().filter(|s| *s != Simd::Baseline).collect()
}

/// Numbers at which something could go wrong, and ordinary ones.
fn probes() -> Vec<f64> {
    let mut probes = vec![
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        0.49,
        2.0,
        3.0,
        10.0,
        1e-3,
        -1e-3,
        0.1,
        0.7,
        88.0,
        88.7,
        89.0,
        -87.0,
        -88.0,
        -95.0,
        -103.9,
        -104.0,
        709.0,
        709.8,
        710.0,
        -708.0,
        -720.0,
        -744.4,
        -746.0,
        1e10,
        -1e10,
        1e-20,
        1e-40,
        1e-44,
        1e-300,
        5e-324,
        1e300,
        -1e300,
        3.4e38,
        1.2e-38,
        2.3e-308,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        std::f64::consts::FRAC_1_SQRT_2 - 1e-7,
        std::f64::consts::FRAC_1_SQRT_2 + 1e-7,
        1.5,
        2.5,
        -2.5,
        1e5,
    ];
    let mut random = SmallRng::seed_from_u64(7);
    probes.extend((0..200).map(|_| random.random_range(-100.0..100.0)));
    probes.extend((0..50).map(|_| random.random_range(-1.0..1.0f64)));
    probes
}

fn apply(op: Op, args: [u32; 3]) -> Node {
    let mut values = [Value::NONE; 3];
    for k in 0..op.arity() {
        values[k] = Value(args[k]);
    }
    Node::Apply(op, values)
}

fn every_op<T: Lane>() {
    let mut random = SmallRng::seed_from_u64(1);
    for &op in Op::ALL {
        let program = Program {
            nodes: vec![
                Node::Input(0),
                Node::Input(1),
                Node::Input(2),
                apply(op, [0, 1, 2]),
            ],
            outputs: vec![Value(3)],
        };
        let probes = probes();
        let mut any = || T::of(probes[random.random_range(0..probes.len())]);
        let mut inputs: Vec<Vec<T>> = Vec::new();
        for &x in &probes {
            inputs.push(vec![T::of(x), T::of(x), T::of(x)]);
            for _ in 0..8 {
                inputs.push(vec![T::of(x), any(), any()]);
            }
        }
        for simd in sets() {
            agrees(&program, &inputs, simd, op.name());
        }
    }
}

#[test]
fn every_op_gives_the_bits_of_its_body_in_single_precision() {
    every_op::<f32>();
}

#[test]
fn every_op_gives_the_bits_of_its_body_in_double_precision() {
    every_op::<f64>();
}

/// A straight-line program of so many ops: with constants, repeated operands, outputs that are inputs, constants or used again.
pub(in crate::backend::cpu) fn random_program(
    random: &mut SmallRng,
    n_ops: usize,
    far: bool,
) -> (Program, usize) {
    let n_inputs = random.random_range(1..12);
    let mut nodes: Vec<Node> = (0..n_inputs as u32).map(Node::Input).collect();
    for _ in 0..random.random_range(0..8) {
        let x = [0.0, 1.0, -1.0, 0.5, 2.0, -0.25, 1e-3, 80.0][random.random_range(0..8)];
        nodes.push(Node::Constant(f64::to_bits(x)));
    }
    for _ in 0..n_ops {
        // Cheap ops more often, calls seldom: they empty the registers.
        let op = loop {
            let op = Op::ALL[random.random_range(0..Op::ALL.len())];
            let is_call = matches!(
                op,
                Op::Pow | Op::Sin | Op::Cos | Op::Tan | Op::Asin | Op::Acos | Op::Atan
            );
            if !is_call || random.random_range(0..20) == 0 {
                break op;
            }
        };
        let n = nodes.len();
        let mut arg = || {
            // Far arguments keep many values alive, near ones make chains.
            let from = if far || random.random_range(0..4) == 0 {
                0
            } else {
                n.saturating_sub(6)
            };
            random.random_range(from..n) as u32
        };
        let node = apply(op, [arg(), arg(), arg()]);
        nodes.push(node);
    }
    let n_outputs = random.random_range(1..20);
    let outputs = (0..n_outputs)
        .map(|_| Value(random.random_range(0..nodes.len()) as u32))
        .collect();
    (Program { nodes, outputs }, n_inputs)
}

fn random_programs<T: Lane>(seed: u64, n: usize) {
    let mut random = SmallRng::seed_from_u64(seed);
    let probes = probes();
    for k in 0..n {
        let n_ops = if k % 50 == 0 {
            600
        } else {
            random.random_range(1..80)
        };
        let (program, n_inputs) = random_program(&mut random, n_ops, k % 3 == 0);
        let inputs: Vec<Vec<T>> = (0..33)
            .map(|_| {
                let mut any = || match random.random_range(0..8) {
                    0 => T::of(probes[random.random_range(0..probes.len())]),
                    _ => T::of(random.random_range(-3.0..3.0)),
                };
                (0..n_inputs).map(|_| any()).collect()
            })
            .collect();
        for simd in sets() {
            agrees(&program, &inputs, simd, &format!("program {k} of {seed}"));
        }
    }
}

#[test]
fn random_programs_give_the_bits_of_their_bodies_in_single_precision() {
    random_programs::<f32>(11, 5000);
}

#[test]
fn random_programs_give_the_bits_of_their_bodies_in_double_precision() {
    random_programs::<f64>(12, 5000);
}

/// Many values are computed first and used last, in the opposite order: nearly all of them are in slots for a while.
fn under_pressure(n: usize) -> (Program, usize) {
    let n_inputs = 7;
    let mut nodes: Vec<Node> = (0..n_inputs).map(Node::Input).collect();
    for k in 0..n {
        // Constants beside them, so that the pool grows as well.
        nodes.push(Node::Constant((0.75 + k as f64 / n as f64).to_bits()));
        let constant = nodes.len() as u32 - 1;
        let op = [Op::Fma, Op::Mul, Op::Max][k % 3];
        nodes.push(apply(
            op,
            [k as u32 % n_inputs, constant, (k as u32 + 3) % n_inputs],
        ));
    }
    let value = |k: usize| n_inputs + 2 * k as u32 + 1;
    let mut sum = value(n - 1);
    for k in (0..n - 1).rev() {
        let op = [Op::Add, Op::Sub, Op::Fnma][k % 3];
        nodes.push(apply(op, [sum, value(k), k as u32 % n_inputs]));
        sum = nodes.len() as u32 - 1;
    }
    // Some are outputs as well, and used after they were stored.
    let outputs = [sum, value(0), value(n / 2)].map(Value).to_vec();
    (Program { nodes, outputs }, n_inputs as usize)
}

#[test]
fn values_that_no_register_holds_come_back_as_they_were() {
    let mut random = SmallRng::seed_from_u64(4);
    // The last has more slots and numbers than any instruction reaches by itself.
    for n in [10, 20, 40, 100, 400, 5000] {
        let (program, n_inputs) = under_pressure(n);
        let inputs: Vec<Vec<f64>> = (0..40)
            .map(|_| {
                (0..n_inputs)
                    .map(|_| random.random_range(-1.0..1.0))
                    .collect()
            })
            .collect();
        let narrow: Vec<Vec<f32>> = inputs
            .iter()
            .map(|lane| lane.iter().map(|&x| x as f32).collect())
            .collect();
        for simd in sets() {
            agrees(&program, &inputs, simd, &format!("{n} values"));
            agrees(&program, &narrow, simd, &format!("{n} values"));
        }
    }
}

#[test]
fn this_machine_has_code_that_is_tested() {
    // Elsewhere the tests above have nothing to look at, and would say nothing.
    let expected = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));
    assert_eq!(!sets().is_empty(), expected);
}

/// A random program that walks: some outputs become inputs, and every lane counts its passes up to a limit of its own.
fn walker(random: &mut SmallRng, double: bool) -> (Program, usize, Walk) {
    let n_ops = random.random_range(3..80);
    let (mut program, n_own) = random_program(random, n_ops, double);
    let mut carried: Vec<[usize; 2]> = (0..program.outputs.len().min(n_own))
        .filter(|_| random.random_range(0..3) > 0)
        .map(|k| [k, k])
        .collect();
    let mut push = |node| {
        program.nodes.push(node);
        Value(program.nodes.len() as u32 - 1)
    };
    let (count, limit) = (
        push(Node::Input(n_own as u32)),
        push(Node::Input(n_own as u32 + 1)),
    );
    let one = push(Node::Constant(1f64.to_bits()));
    let more = push(Node::Apply(Op::Add, [count, one, Value::NONE]));
    // 0 as long as there is a way to go.
    let asks = push(Node::Apply(Op::Le, [limit, count, Value::NONE]));
    carried.push([program.outputs.len(), n_own]);
    program.outputs.extend([more, asks]);
    let walk = Walk {
        carried,
        asks: program.outputs.len() - 1,
        apart: random.random_bool(0.3),
    };
    (program, n_own + 2, walk)
}

fn walks_like_passes_one_by_one<T: Lane>(
    random: &mut SmallRng,
    (simd, lanes): (Simd, usize),
    n_tiles: usize,
) {
    let (program, n_inputs, walk) = walker(random, T::PRECISION == "f64");
    let native =
        Native::walking::<T>(&program, n_inputs, (simd, lanes), &walk).expect("code can be made");
    let tile = native.tile_lanes();
    let place =
        |lane: usize, row: usize| (lane / tile * native.n_rows() + row) * tile + lane % tile;
    let mut rows = vec![T::of(f64::NAN); n_tiles * native.n_rows() * tile];
    let mut slots = vec![CacheLine([0xff; 64]); native.n_slots()];
    let n_lanes = n_tiles * tile;
    let mut lanes: Vec<Vec<T>> = (0..n_lanes)
        .map(|_| {
            let mut own: Vec<f64> = (2..n_inputs)
                .map(|_| random.random_range(-2.0..2.0))
                .collect();
            own.extend([0.0, f64::from(random.random_range(0..12))]);
            own.into_iter().map(T::of).collect()
        })
        .collect();
    let most: u64 = random.random_range(0..9);
    for (lane, own) in lanes.iter().enumerate() {
        for (row, &x) in own.iter().enumerate() {
            rows[place(lane, row)] = x;
        }
    }
    let taken = native.walk(&mut rows, &mut slots, most);

    let least = lanes.iter().map(|own| own[n_inputs - 1].f64() as u64).min();
    assert_eq!(taken, most.min(least.expect("there are lanes")));
    let bits = |x: T| {
        if x.is_nan() {
            f64::NAN.to_bits()
        } else {
            x.f64().to_bits()
        }
    };
    for (lane, own) in lanes.iter_mut().enumerate() {
        let mut outputs = by_the_bodies(&program, own);
        for _ in 0..taken {
            for &[output, input] in &walk.carried {
                own[input] = outputs[output];
            }
            outputs = by_the_bodies(&program, own);
        }
        for (row, &x) in own.iter().chain(&outputs).enumerate() {
            assert_eq!(
                bits(rows[place(lane, row)]),
                bits(x),
                "{} row {row}",
                simd.name()
            );
        }
    }
}

#[test]
fn code_that_walks_takes_the_passes_that_one_would_take_by_hand() {
    let mut random = SmallRng::seed_from_u64(11);
    for k in 0..300 {
        // Tiles of one vector, of two, of four where the set has them.
        let lanes = [1, 20, usize::MAX][k % 3];
        for simd in sets() {
            walks_like_passes_one_by_one::<f32>(&mut random, (simd, lanes), 1 + k % TOGETHER);
            walks_like_passes_one_by_one::<f64>(&mut random, (simd, lanes), 1 + k % TOGETHER);
        }
    }
}

fn takes_up_what_the_pass_before_has_left<T: Lane>(
    random: &mut SmallRng,
    (simd, lanes): (Simd, usize),
) {
    let (program, n_inputs, walk) = walker(random, T::PRECISION == "f64");
    let native = Native::new::<T>(&program, n_inputs, (simd, lanes), &walk.carried)
        .expect("code can be made");
    let tile = native.tile_lanes();
    let n_tiles = TOGETHER + 1;
    let place =
        |lane: usize, row: usize| (lane / tile * native.n_rows() + row) * tile + lane % tile;
    let mut rows = vec![T::of(f64::NAN); n_tiles * native.n_rows() * tile];
    let mut slots = vec![CacheLine([0xff; 64]); native.n_slots()];
    let mut lanes: Vec<Vec<T>> = (0..n_tiles * tile)
        .map(|_| {
            let own = (0..n_inputs).map(|_| random.random_range(-2.0..2.0));
            own.map(T::of).collect()
        })
        .collect();
    // What is taken up stands with the outputs, all else with the inputs.
    for (lane, own) in lanes.iter().enumerate() {
        for (row, &x) in own.iter().enumerate() {
            let from = walk.carried.iter().find(|c| c[1] == row);
            rows[place(lane, from.map_or(row, |c| n_inputs + c[0]))] = x;
        }
    }
    for _ in 0..3 {
        native.run(&mut rows, &mut slots);
        for (lane, own) in lanes.iter_mut().enumerate() {
            let outputs = by_the_bodies(&program, own);
            for (row, x) in own.iter().chain(&outputs).enumerate() {
                let found = rows[place(lane, row)];
                let same = found == *x || found.is_nan() && x.is_nan();
                assert!(same, "{} row {row}: {found:?} {x:?}", simd.name());
            }
            for &[output, input] in &walk.carried {
                own[input] = outputs[output];
            }
        }
    }
}

#[test]
fn a_pass_takes_up_what_the_one_before_has_left_and_keeps_it_beside() {
    let mut random = SmallRng::seed_from_u64(12);
    for k in 0..300 {
        let lanes = [1, 20, usize::MAX][k % 3];
        for simd in sets() {
            takes_up_what_the_pass_before_has_left::<f32>(&mut random, (simd, lanes));
            takes_up_what_the_pass_before_has_left::<f64>(&mut random, (simd, lanes));
        }
    }
}

#[test]
fn few_lanes_do_not_fill_large_tiles() {
    for (wanted, vectors) in [
        (1, 1),
        (16, 1),
        (17, 2),
        (33, 4),
        (80, 2),
        (100, 4),
        (usize::MAX, 4),
    ] {
        assert_eq!(filled(4, 16, wanted), vectors, "{wanted} lanes");
    }
}
