//! Fused operations on f32 numbers in the CPU's memory.
//!
//! Each stands beside a plain formulation in candle's own operations, which serves every other
//! device and number type and is what the tests compare with.

pub(crate) mod activation;
pub(crate) mod cross_entropy;
pub(crate) mod dense;
mod matmul;
pub(crate) mod update;
mod vectorized;

pub(crate) use vectorized::vectorized;

use crate::{Error, Result};
use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Storage, Tensor};
use std::cell::Cell;

/// Whether `read` and `write` can reach every tensor's numbers: whether the fused operations apply.
pub(crate) fn in_memory(tensors: &[&Tensor]) -> bool {
    let reaches = |tensor: &&Tensor| {
        tensor.device().is_cpu() && tensor.dtype() == DType::F32 && tensor.is_contiguous()
    };
    tensors.iter().all(reaches)
}

/// Calls `body` with the numbers of a tensor that is `in_memory`.
pub(crate) fn read<R>(tensor: &Tensor, body: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(numbers)) if layout.is_contiguous() => {
            let start = layout.start_offset();
            body(&numbers[start..start + layout.shape().elem_count()])
        }
        _ => Err(not_in_memory()),
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

/// Whether two tensors are views of the same memory, so that one cannot be read while the other is
/// written, and changes with it.
pub(crate) fn same_memory(a: &Tensor, b: &Tensor) -> bool {
    let storage = |tensor: &Tensor| std::ptr::from_ref(&*tensor.storage_and_layout().0);
    std::ptr::eq(storage(a), storage(b))
}

/// Whether every number of a tensor is finite, on any device.
pub(crate) fn all_finite(tensor: &Tensor) -> Result<bool> {
    if in_memory(&[tensor]) {
        return read(tensor, |numbers| Ok(numbers.iter().all(|x| x.is_finite())));
    }
    // x·0 is 0 for every finite x and NaN for every other.
    let zero = (tensor * 0.0)?.sum_all()?.to_dtype(DType::F32)?;
    Ok(zero.to_scalar::<f32>()? == 0.0)
}

fn not_in_memory() -> Error {
    candle_core::Error::Msg("a fused operation met numbers that are not in memory".into()).into()
}
