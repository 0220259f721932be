//! Gaussian elimination written out as arithmetic, for matrices `e I - J` of known pattern.
//!
//! The Jacobian's strongly connected blocks are solved one after the other, those first on which others depend, so that
//! no fill crosses blocks. Within a block the order is Markowitz's, on the diagonal, chosen once from the pattern: for the
//! matrices of implicit steps this was as accurate as pivoting, to all printed digits, in double and in single precision.

use std::cmp::Reverse;

use crate::ops::{Algebra, Op};
use crate::program::{Graph, Value};

use super::Jacobian;

/// The factors of `e I - J`, as values of the graph.
pub(super) struct Factors {
    blocks: Vec<Block>,
    /// `-J` outside the diagonal blocks: `coupling[i]` holds `(j, J_ij)`.
    coupling: Vec<Vec<(usize, Value)>>,
}

struct Block {
    /// Rows of the block in the order of elimination.
    order: Vec<usize>,
    /// For each eliminated row: `(i, l_ik)` to be applied to the rows that come later.
    lower: Vec<Vec<(usize, Value)>>,
    /// For each eliminated row: `(j, u_kj)`, later columns only.
    upper: Vec<Vec<(usize, Value)>>,
    pivots: Vec<Value>,
    /// One over each pivot.
    inverse: Vec<Value>,
}

/// Factors `e I - J`.
pub(super) fn factor(graph: &mut Graph, jacobian: &Jacobian, e: Value) -> Factors {
    let n = jacobian.rows.len();
    let components = strongly_connected(
        &jacobian
            .rows
            .iter()
            .map(|r| r.iter().map(|c| c.0).collect())
            .collect::<Vec<_>>(),
    );
    let mut block_of = vec![0; n];
    for (b, members) in components.iter().enumerate() {
        for &i in members {
            block_of[i] = b;
        }
    }
    let coupling = (0..n)
        .map(|i| {
            jacobian.rows[i]
                .iter()
                .copied()
                .filter(|&(j, _)| block_of[j] != block_of[i])
                .collect()
        })
        .collect();
    let blocks = components
        .iter()
        .map(|members| factor_block(graph, jacobian, members, &block_of, e))
        .collect();
    Factors { blocks, coupling }
}

fn factor_block(
    graph: &mut Graph,
    jacobian: &Jacobian,
    members: &[usize],
    block_of: &[usize],
    e: Value,
) -> Block {
    // Entries by place among the members, which ascend.
    let n = members.len();
    let mut place = vec![usize::MAX; block_of.len()];
    for (k, &i) in members.iter().enumerate() {
        place[i] = k;
    }
    let mut a: Vec<Vec<Option<Value>>> = vec![vec![None; n]; n];
    for (row, (k, &i)) in a.iter_mut().zip(members.iter().enumerate()) {
        row[k] = Some(e);
        for &(j, entry) in jacobian.rows[i]
            .iter()
            .filter(|c| block_of[c.0] == block_of[i])
        {
            row[place[j]] = Some(if i == j {
                graph.sub(e, entry)
            } else {
                graph.neg(entry)
            });
        }
    }
    let mut block = Block {
        order: Vec::new(),
        lower: Vec::new(),
        upper: Vec::new(),
        pivots: Vec::new(),
        inverse: Vec::new(),
    };
    let size_at_first: Vec<usize> = (0..n)
        .map(|k| {
            let column = a.iter().filter(|row| row[k].is_some()).count();
            a[k].iter().flatten().count() * column
        })
        .collect();
    let mut left: Vec<usize> = (0..n).collect();
    while !left.is_empty() {
        let k = *left
            .iter()
            .min_by_key(|&&k| {
                let row = left.iter().filter(|&&j| a[k][j].is_some()).count() - 1;
                let column = left.iter().filter(|&&i| a[i][k].is_some()).count() - 1;
                (row * column, size_at_first[k], k)
            })
            .expect("rows are left");
        left.retain(|&i| i != k);
        let pivot = a[k][k].expect("a diagonal is never empty");
        let inverse = graph.apply(Op::Recip, &[pivot]);
        let upper: Vec<(usize, Value)> = left.iter().filter_map(|&j| Some((j, a[k][j]?))).collect();
        let mut lower = Vec::new();
        for &i in &left {
            let Some(below) = a[i][k] else {
                continue;
            };
            let multiplier = graph.mul(below, inverse);
            lower.push((members[i], multiplier));
            for &(j, u) in &upper {
                let product = graph.mul(multiplier, u);
                a[i][j] = Some(match a[i][j] {
                    Some(old) => graph.sub(old, product),
                    None => graph.neg(product),
                });
            }
        }
        block.order.push(members[k]);
        block.lower.push(lower);
        let upper = upper.into_iter().map(|(j, u)| (members[j], u));
        block.upper.push(upper.collect());
        block.pivots.push(pivot);
        block.inverse.push(inverse);
    }
    // Back substitution begins with the last.
    let mut turn = vec![0; block_of.len()];
    for (turn_of_k, &k) in block.order.iter().enumerate() {
        turn[k] = turn_of_k;
    }
    for upper in &mut block.upper {
        upper.sort_by_key(|&(j, _)| Reverse(turn[j]));
    }
    block
}

impl Factors {
    /// Solves `(e I - J) x = b`.
    pub(super) fn solve(&self, graph: &mut Graph, b: &[Value]) -> Vec<Value> {
        let mut x = b.to_vec();
        for block in &self.blocks {
            for &i in &block.order {
                for &(j, entry) in &self.coupling[i] {
                    let product = graph.mul(entry, x[j]);
                    x[i] = graph.add(x[i], product);
                }
            }
            for (&k, lower) in block.order.iter().zip(&block.lower) {
                for &(i, l) in lower {
                    let product = graph.mul(l, x[k]);
                    x[i] = graph.sub(x[i], product);
                }
            }
            for ((&k, upper), &inverse) in block
                .order
                .iter()
                .zip(&block.upper)
                .zip(&block.inverse)
                .rev()
            {
                for &(j, u) in upper {
                    let product = graph.mul(u, x[j]);
                    x[k] = graph.sub(x[k], product);
                }
                x[k] = graph.mul(x[k], inverse);
            }
        }
        x
    }

    /// The pivots of each block, in the order of [`Factors::order`].
    pub(super) fn pivots(&self) -> impl Iterator<Item = &[Value]> {
        self.blocks.iter().map(|b| &b.pivots[..])
    }

    /// The states in the order in which blocks are solved.
    pub(super) fn order(&self) -> Vec<usize> {
        self.blocks
            .iter()
            .flat_map(|b| b.order.iter().copied())
            .collect()
    }
}

/// Strongly connected components of `i → j` (row i refers to column j); a component comes after those that it refers to. (Tarjan 1972.)
fn strongly_connected(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let n = edges.len();
    let (mut index, mut low, mut on_stack) = (vec![UNSEEN; n], vec![0; n], vec![false; n]);
    let (mut stack, mut components, mut counter) = (Vec::new(), Vec::new(), 0);
    for root in 0..n {
        if index[root] != UNSEEN {
            continue;
        }
        let mut calls = vec![(root, 0usize)];
        while let Some((v, next)) = calls.pop() {
            if next == 0 {
                index[v] = counter;
                low[v] = counter;
                counter += 1;
                stack.push(v);
                on_stack[v] = true;
            }
            if let Some(&w) = edges[v].get(next) {
                calls.push((v, next + 1));
                if index[w] == UNSEEN {
                    calls.push((w, 0));
                } else if on_stack[w] {
                    low[v] = low[v].min(index[w]);
                }
                continue;
            }
            if low[v] == index[v] {
                let mut members = Vec::new();
                while let Some(w) = stack.pop() {
                    on_stack[w] = false;
                    members.push(w);
                    if w == v {
                        break;
                    }
                }
                members.sort_unstable();
                components.push(members);
            }
            if let Some(&(parent, _)) = calls.last() {
                low[parent] = low[parent].min(low[v]);
            }
        }
    }
    components
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Style;

    /// The factors of a matrix of four states with entries at these columns.
    fn factors_of(pattern: [&[usize]; 4]) -> Factors {
        let mut graph = Graph::new(Style::Simplified);
        let rows = pattern.iter().enumerate().map(|(i, columns)| {
            let entry = |&j: &usize| (j, graph.input((4 * i + j) as u32));
            columns.iter().map(entry).collect()
        });
        let jacobian = Jacobian {
            rows: rows.collect(),
        };
        let e = graph.input(16);
        factor(&mut graph, &jacobian, e)
    }

    /// A potential with three gates: when two of them are gone, the third and the potential cost the same.
    #[test]
    fn a_state_on_which_many_depend_is_eliminated_last() {
        let factors = factors_of([&[0, 1, 2, 3], &[0, 1], &[0, 2], &[0, 3]]);
        assert_eq!(factors.order(), [1, 2, 3, 0]);
    }

    #[test]
    fn back_substitution_takes_up_first_what_is_known_first() {
        let factors = factors_of([&[0, 1, 3], &[0, 1, 2, 3], &[1, 2, 3], &[0, 1, 2, 3]]);
        let order = factors.order();
        let turn = |state: usize| order.iter().position(|&k| k == state);
        for upper in &factors.blocks[0].upper {
            assert!(upper.is_sorted_by_key(|&(j, _)| Reverse(turn(j))));
        }
    }
}
