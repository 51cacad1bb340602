//! Gradients of weights that are computed as they are used.
//!
//! The gradient of a dense layer's kernel is xᵀ·g, as large as the kernel itself. It is used once, by
//! an update that most often treats every number alike: so a few rows of it are computed, and change
//! their rows of the weight while they are in the cache, without ever being written out.

use super::{
    dense::feature_part,
    in_memory,
    matmul::Matrix,
    memory, numbers, threads, vectorized, write_all,
    zero_skipping::{self, Sparse},
};
use crate::{Result, optimizers::Elementwise};
use candle_core::{Storage, Tensor, Var};
use std::{cell::RefCell, ops::Range};

/// The gradient of a weight.
#[derive(Debug, Clone)]
pub(crate) enum Gradient {
    /// Its numbers, in the weight's shape.
    Whole(Tensor),
    /// xᵀ·g for x (rows, features) and g (rows, units), both in memory: (features, units).
    Product {
        /// A layer's inputs.
        x: Tensor,
        /// The gradient of what x·W gave.
        g: Tensor,
    },
    /// The sum of the rows of g (rows, units), in memory: (units).
    Sum(Tensor),
}

impl Gradient {
    /// The shape of the weight.
    pub(crate) fn dims(&self) -> Vec<usize> {
        match self {
            Self::Whole(tensor) => tensor.dims().to_vec(),
            Self::Product { x, g } => [&x.dims()[1..], &g.dims()[1..]].concat(),
            Self::Sum(g) => g.dims()[1..].to_vec(),
        }
    }

    /// All its numbers.
    pub(crate) fn whole(&self) -> Result<Tensor> {
        if let Self::Whole(tensor) = self {
            return Ok(tensor.clone());
        }
        let shape = self.dims();
        let mut all = vec![0.0; shape.iter().product()];
        let operands = self.operands().into_iter().map(numbers);
        let operands = operands.collect::<Result<Vec<_>>>()?;
        let source = self.source(operands.iter().map(|operand| &**operand));
        let parts = all.chunks_mut(source.height * source.width).enumerate();
        threads::each(parts.collect(), |(part, all)| {
            let first = part * source.height;
            source.each_block(first, all.len(), |block, numbers| {
                all[block].copy_from_slice(numbers);
            });
        });
        Ok(Tensor::from_vec(all, shape, self.operands()[0].device())?)
    }

    /// The tensors that it is computed from.
    fn operands(&self) -> Vec<&Tensor> {
        match self {
            Self::Whole(tensor) | Self::Sum(tensor) => vec![tensor],
            Self::Product { x, g } => vec![x, g],
        }
    }

    /// The same in memory that is in one piece and none of these places, which change while it is
    /// read.
    fn apart_from(&self, places: &[*const Storage]) -> Result<Self> {
        let copied = |tensor: &Tensor| {
            if places.contains(&memory(tensor)) || !tensor.is_contiguous() {
                tensor.force_contiguous()
            } else {
                Ok(tensor.clone())
            }
        };
        Ok(match self {
            Self::Whole(tensor) => Self::Whole(copied(tensor)?),
            Self::Sum(g) => Self::Sum(copied(g)?),
            Self::Product { x, g } => Self::Product {
                x: copied(x)?,
                g: copied(g)?,
            },
        })
    }

    /// What it is computed from, given the numbers of its operands.
    fn source<'a>(&self, mut operands: impl Iterator<Item = &'a [f32]>) -> Source<'a> {
        let width = self.dims().last().copied().unwrap_or(1).max(1);
        let mut next = || operands.next().unwrap_or_default();
        let (formula, height) = match self {
            Self::Whole(_) => (Formula::Whole(next()), (1 << 13) / width),
            Self::Sum(_) => (Formula::Sum(next()), 1),
            Self::Product { x, .. } => {
                let x = Matrix::new(next(), x.dims()[1]).transposed(); // (features, rows)
                let g = Matrix::new(next(), width); // (rows, units)
                // Rows that stay in the cache with those of the weight and its slots, and no more
                // than share the work.
                let height = feature_part(x.height()).max((1 << 12) / width);
                let height = height.min((1 << 15) / width);
                (Formula::Product(x, g), height.max(24))
            }
        };
        Source {
            formula,
            width,
            height: height.max(1),
        }
    }
}

/// What a gradient is computed from, some rows at a time.
struct Source<'a> {
    formula: Formula<'a>,
    /// Numbers in a row.
    width: usize,
    /// Rows to compute at a time.
    height: usize,
}

enum Formula<'a> {
    Whole(&'a [f32]),
    Product(Matrix<'a>, Matrix<'a>),
    Sum(&'a [f32]),
}

impl Source<'_> {
    /// Calls `body` with the gradient's rows from `first` on, `count` numbers in all, in blocks
    /// that stay in the cache, and with where among the `count` they are.
    fn each_block(&self, first: usize, count: usize, mut body: impl FnMut(Range<usize>, &[f32])) {
        match self.formula {
            Formula::Whole(all) => body(0..count, &all[first * self.width..][..count]),
            Formula::Sum(g) => body(0..count, &sum_of_rows(g, self.width)),
            Formula::Product(x, g) => {
                let x = x.rows(first..first + count / self.width);
                let sparse = zero_skipping::pays(x).then(|| Sparse::new(x));
                // Small blocks stay in the fastest cache; gemm is at its best with greater ones.
                let numbers = if sparse.is_some() { 1 << 11 } else { 1 << 13 };
                let height = (numbers / self.width).next_multiple_of(2).max(24);
                let mut rows = ROWS.take();
                rows.resize(height * self.width, 0.0);
                for start in (0..x.height()).step_by(height) {
                    let end = (start + height).min(x.height());
                    let rows = &mut rows[..(end - start) * self.width];
                    match &sparse {
                        Some(x) => x.rows_times(start, g, rows),
                        None => x.rows(start..end).times_dense(g, rows),
                    }
                    body(start * self.width..end * self.width, rows);
                }
                ROWS.set(rows);
            }
        }
    }
}

thread_local! {
    /// Memory for a block, kept from step to step.
    static ROWS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

fn sum_of_rows(g: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    vectorized(
        #[inline(always)]
        || {
            for row in g.chunks_exact(width) {
                for (sum, x) in sums.iter_mut().zip(row) {
                    *sum += x;
                }
            }
        },
    );
    sums
}

/// A weight that is to change, with what the optimizer keeps of it.
pub(crate) struct Change<'a> {
    pub(crate) weight: &'a Var,
    pub(crate) slots: &'a [Var],
    pub(crate) gradient: Gradient,
    /// What of itself the weight loses before the update.
    pub(crate) decay: Option<f64>,
}

impl Change<'_> {
    fn variables(&self) -> impl Iterator<Item = &Tensor> {
        let slots = self.slots.iter().map(Var::as_tensor);
        std::iter::once(self.weight.as_tensor()).chain(slots)
    }

    /// Whether `update` can make it.
    pub(crate) fn in_memory(&self) -> bool {
        let mut tensors = self.variables().chain(self.gradient.operands());
        tensors.all(|tensor| in_memory(&[tensor]))
    }
}

/// Copies gradients from memory that is about to change: a weight itself is its gradient for ½w²,
/// and another's for v·w.
pub(crate) fn set_apart(changes: &mut [Change<'_>]) -> Result<()> {
    let places = changes.iter().flat_map(Change::variables).map(memory);
    let places: Vec<_> = places.collect();
    for change in changes {
        change.gradient = change.gradient.apart_from(&places)?;
    }
    Ok(())
}

/// Changes all weights, which are in memory as their slots and gradients are and were set apart, by
/// a rule that treats each number by itself.
pub(crate) fn update(changes: &[Change<'_>], rule: &Elementwise<'_>) -> Result<()> {
    let tensors: Vec<&Tensor> = changes.iter().flat_map(Change::variables).collect();
    let operands = changes.iter().map(|change| {
        let operands = change.gradient.operands().into_iter().map(numbers);
        operands.collect::<Result<Vec<_>>>()
    });
    let operands = operands.collect::<Result<Vec<_>>>()?;
    let sources = changes.iter().zip(&operands).map(|(change, operands)| {
        let operands = operands.iter().map(|operand| &**operand);
        change.gradient.source(operands)
    });
    let sources: Vec<_> = sources.collect();
    write_all(&tensors, |all| {
        let mut all = all.into_iter();
        let mut parts = Vec::new();
        for (change, source) in changes.iter().zip(&sources) {
            let weight_and_slots = all.by_ref().take(1 + change.slots.len());
            parts.extend(Part::of(weight_and_slots, source, change.decay));
        }
        // A thread finds its rows of the large weights in its cache again.
        parts.sort_by(|a, b| a.place.total_cmp(&b.place));
        let places = parts.iter().map(|part| part.place).collect();
        threads::each_at(places, parts, |part| part.update(rule));
        Ok(())
    })
}

/// Some rows of a weight.
struct Part<'a> {
    source: &'a Source<'a>,
    decay: Option<f32>,
    first: usize,
    /// Where in the weight it is, from 0 to 1; 1 for a weight in few parts.
    place: f64,
    weight: &'a mut [f32],
    slots: Vec<&'a mut [f32]>,
}

impl<'a> Part<'a> {
    fn of(
        mut weight_and_slots: impl Iterator<Item = &'a mut [f32]>,
        source: &'a Source<'a>,
        decay: Option<f64>,
    ) -> impl Iterator<Item = Self> {
        let length = source.height * source.width;
        let weight = weight_and_slots.next().unwrap_or_default();
        let mut slots: Vec<_> = weight_and_slots
            .map(|slot| slot.chunks_mut(length))
            .collect();
        let (count, small) = (weight.len() as f64, weight.len() <= 3 * length);
        let chunks = weight.chunks_mut(length).enumerate();
        chunks.map(move |(part, weight)| Self {
            source,
            decay: decay.map(|decay| decay as f32),
            first: part * source.height,
            place: if small {
                1.0
            } else {
                (part * length) as f64 / count
            },
            weight,
            slots: slots.iter_mut().filter_map(Iterator::next).collect(),
        })
    }

    fn update(self, rule: &Elementwise<'_>) {
        let Self {
            weight,
            mut slots,
            decay,
            ..
        } = self;
        self.source
            .each_block(self.first, weight.len(), |block, gradient| {
                let slots = slots.iter_mut().map(|slot| &mut slot[block.clone()]);
                let weight = &mut weight[block.clone()];
                if let Some(decay) = decay {
                    super::update::decay(weight, decay);
                }
                rule(weight, gradient, &mut slots.collect::<Vec<_>>());
            });
    }
}
