//! Loops compiled for the processor at hand.

/// Runs a loop in the widest vectors that the processor has (AVX-512, AVX2, NEON), which a program
/// compiled for every machine of its kind would not use. `body` and what it calls must be
/// `#[inline(always)]`, to be compiled with it.
///
/// Vectors change no bit of element-wise work; sums keep the order in which they are written.
pub(crate) fn vectorized<R>(body: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(body)
}
