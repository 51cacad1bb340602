//! Rows of numbers collected from anywhere in memory and converted on the way.

use super::{Destination, dense, threads, vectorized};
use std::{mem::MaybeUninit, ops::Range};

/// `rows` rows of `width` numbers each, which `convert` makes of what `row` gives for their index.
/// Threads share the columns: of those that it gathered, each then multiplies the most. What `ahead`
/// gives beside a row is asked of the memory, to be there when it is read: shuffled samples lie
/// anywhere, and each would be waited for.
///
/// # Panics
/// When `row` gives another count than `width`.
pub(crate) fn collect_rows<'a, T: Sync + 'a>(
    rows: usize,
    width: usize,
    row: impl Fn(usize) -> &'a [T] + Sync,
    ahead: impl Fn(usize) -> Option<&'a [T]> + Sync,
    convert: impl Fn(&T) -> f32 + Copy + Sync,
) -> Vec<f32> {
    let mut all: Vec<f32> = Vec::with_capacity(rows * width);
    let place = Destination::new(all.as_mut_ptr());
    let whole = rows * width < WORTH_SHARING;
    let parts: Vec<Range<usize>> = if whole {
        std::iter::once(0..width).collect()
    } else {
        dense::feature_parts(width).collect()
    };
    threads::each(parts, |columns| {
        for index in 0..rows {
            if let Some(row) = ahead(index).and_then(|row| row.get(columns.clone())) {
                prefetch(row);
            }
            let row = row(index);
            assert_eq!(row.len(), width, "numbers of a row");
            let first = index * width + columns.start;
            // SAFETY: the room for `rows` rows of `width` numbers was allocated, and these are the
            // columns `columns` of row `index`: no other part has one of them.
            #[allow(unsafe_code, reason = "columns of several rows are no slice")]
            let slots = unsafe {
                let first = place.at(first).cast::<MaybeUninit<f32>>();
                std::slice::from_raw_parts_mut(first, columns.len())
            };
            let row = &row[columns.clone()];
            vectorized(
                #[inline(always)]
                move || fill(slots, row, convert),
            );
        }
    });
    // SAFETY: the parts are all columns, and `fill` wrote each of their numbers in every row, as
    // a row has as many.
    #[allow(unsafe_code, reason = "zeros first would double the work")]
    unsafe {
        all.set_len(rows * width);
    }
    all
}

/// Asks for numbers that will be read soon; does nothing where no instruction for it is known.
fn prefetch<T>(numbers: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for line in numbers.chunks(64 / size_of::<T>().max(1)) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, which reads nothing, of an address within `numbers`.
        #[allow(unsafe_code, reason = "an instruction")]
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = numbers;
}

/// The function `exact` of a byte, byte·scale + offset rounded once to f32, in f32 alone and so in
/// vectors twice as wide: scale and offset as sums of two f32 each, and one rounding of all by fused
/// multiplications. `None` where that is not the same for every byte, or the processor has none.
pub(crate) fn fused_scale(
    scale: f64,
    offset: f64,
    exact: impl Fn(&u8) -> f32,
) -> Option<impl Fn(&u8) -> f32 + Copy + Sync> {
    let halves = |number: f64| {
        let greater = number as f32;
        (greater, (number - f64::from(greater)) as f32)
    };
    let ((scale, less), (offset, little)) = (halves(scale), halves(offset));
    let fused = move |byte: &u8| {
        let byte = f32::from(*byte);
        byte.mul_add(scale, byte.mul_add(less, little) + offset)
    };
    let same = || {
        vectorized(
            #[inline(always)]
            || {
                let differ = |byte: u8| fused(&byte).to_bits() ^ exact(&byte).to_bits();
                (0..=u8::MAX).fold(0, |bits, byte| bits | differ(byte)) == 0
            },
        )
    };
    (multiplies_and_adds() && same()).then_some(fused)
}

/// Whether `f32::mul_add` is one instruction in `vectorized` loops.
fn multiplies_and_adds() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("fma")
        && std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    return cfg!(target_arch = "aarch64");
}

/// Numbers to convert that are worth sharing.
const WORTH_SHARING: usize = 1 << 14;

#[inline(always)]
fn fill<T>(slots: &mut [MaybeUninit<f32>], row: &[T], convert: impl Fn(&T) -> f32) {
    for (slot, value) in slots.iter_mut().zip(row) {
        slot.write(convert(value));
    }
}
