//! Fused operations on f32 numbers in the CPU's memory.
//!
//! Each stands beside a plain formulation in candle's own operations, which serves every other
//! device and number type and is what the tests compare with.

pub(crate) mod activation;
pub(crate) mod batch_normalization;
pub(crate) mod cross_entropy;
pub(crate) mod dense;
pub(crate) mod derivative;
mod exponential;
pub(crate) mod gather;
mod gradient;
mod matmul;
pub(crate) mod noise;
pub(crate) mod pace;
pub(crate) mod row_normalization;
pub(crate) mod scatter;
pub(crate) mod threads;
pub(crate) mod update;
mod vectorized;
mod zero_skipping;

pub(crate) use gradient::Gradient;
pub(crate) use gradient::{Change, set_apart, update as update_weights};
pub(crate) use vectorized::vectorized;

use crate::{Error, Result};
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Storage, Tensor};
use std::{
    cell::Cell,
    ops::{Deref, Range},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether `numbers` and `write` can reach every tensor's numbers: whether the fused operations apply.
pub(crate) fn in_memory(tensors: &[&Tensor]) -> bool {
    let reaches = |tensor: &&Tensor| {
        tensor.device().is_cpu() && tensor.dtype() == DType::F32 && tensor.is_contiguous()
    };
    tensors.iter().all(reaches)
}

/// The numbers of a tensor that is `in_memory`. As long as they are held, nothing can be written to
/// the same memory.
pub(crate) fn numbers(tensor: &Tensor) -> Result<Numbers<impl Deref<Target = Storage>>> {
    let (storage, layout) = tensor.storage_and_layout();
    let start = layout.start_offset();
    let range = start..start + layout.shape().elem_count();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(all)) if layout.is_contiguous() && range.end <= all.len() => {
            Ok(Numbers { storage, range })
        }
        _ => Err(not_in_memory()),
    }
}

/// Numbers to be read, with the lock of their memory.
pub(crate) struct Numbers<L> {
    storage: L,
    range: Range<usize>,
}

impl<L: Deref<Target = Storage>> Deref for Numbers<L> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(all)) => &all[self.range.clone()],
            _ => &[], // of which `numbers` makes none
        }
    }
}

/// Calls `body` with the numbers of a tensor that is `in_memory`, to change them in place.
///
/// Every tensor on the same storage changes with it: only for tensors that nobody else reads, and
/// for weights. `body` must not reach the same storage again: its lock is held.
pub(crate) fn write<R>(tensor: &Tensor, body: impl FnOnce(&mut [f32]) -> Result<R>) -> Result<R> {
    let operation = Write {
        body: Cell::new(Some(body)),
        outcome: Cell::new(None),
    };
    tensor.inplace_op1(&operation)?;
    operation
        .outcome
        .into_inner()
        .unwrap_or_else(|| Err(not_in_memory()))
}

/// Calls `body` with the numbers of all the tensors, as `write` does with those of one. No two may
/// share memory.
pub(crate) fn write_all<R>(
    tensors: &[&Tensor],
    body: impl FnOnce(Vec<&mut [f32]>) -> Result<R>,
) -> Result<R> {
    let mut body = Some(body);
    write_rest(tensors, Vec::new(), &mut |all| match body.take() {
        Some(body) => body(all),
        None => Err(not_in_memory()),
    })
}

fn write_rest<R>(
    tensors: &[&Tensor],
    held: Vec<&mut [f32]>,
    body: &mut dyn FnMut(Vec<&mut [f32]>) -> Result<R>,
) -> Result<R> {
    let Some((first, rest)) = tensors.split_first() else {
        return body(held);
    };
    write(first, |numbers| {
        let mut held: Vec<&mut [f32]> = held;
        held.push(numbers);
        write_rest(rest, held, body)
    })
}

/// Numbers that several threads write, each others of them.
struct Destination(*mut f32);

// SAFETY: a place in memory. Who writes there sees to it that no two threads write one number.
#[allow(unsafe_code, reason = "blocks of a matrix are no slices")]
unsafe impl Sync for Destination {}

impl Destination {
    fn new(first: *mut f32) -> Self {
        Self(first)
    }

    fn at(&self, index: usize) -> *mut f32 {
        self.0.wrapping_add(index)
    }
}

/// candle hands out mutable numbers only to an in-place operation: one that runs a closure.
struct Write<F, R> {
    body: Cell<Option<F>>,
    outcome: Cell<Option<Result<R>>>,
}

impl<F: FnOnce(&mut [f32]) -> Result<R>, R> InplaceOp1 for Write<F, R> {
    fn name(&self) -> &'static str {
        "write"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        if let (CpuStorage::F32(numbers), Some(body)) = (storage, self.body.take())
            && layout.is_contiguous()
        {
            let start = layout.start_offset();
            let end = start + layout.shape().elem_count();
            self.outcome.set(Some(body(&mut numbers[start..end])));
        }
        Ok(())
    }
}

/// Where the memory of a tensor is that it shares with its views: what writes to one of them changes
/// the others, and cannot be done while they are read.
pub(crate) fn memory(tensor: &Tensor) -> *const Storage {
    &raw const *tensor.storage_and_layout().0
}

/// Whether every number of a tensor is finite, on any device.
pub(crate) fn all_finite(tensor: &Tensor) -> Result<bool> {
    if in_memory(&[tensor]) {
        let all = AtomicBool::new(true);
        // Without an end in the middle the loop runs in vectors.
        let test = |part: &[f32]| {
            if !part.iter().fold(true, |all, x| all & x.is_finite()) {
                all.store(false, Ordering::Relaxed);
            }
        };
        threads::each(numbers(tensor)?.chunks(1 << 20).collect(), test);
        return Ok(all.into_inner());
    }
    // x·0 is 0 for every finite x and NaN for every other.
    let zero = (tensor * 0.0)?.sum_all()?.to_dtype(DType::F32)?;
    Ok(zero.to_scalar::<f32>()? == 0.0)
}

fn not_in_memory() -> Error {
    candle_core::Error::Msg("a fused operation met numbers that are not in memory".into()).into()
}
