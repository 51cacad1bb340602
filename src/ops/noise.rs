//! Random factors and offsets on f32 numbers in memory.

use super::{threads, vectorized};
use crate::seed::Stream;

/// Numbers that a thread draws or changes at a time.
const PART: usize = 1 << 13;

/// `dropped` for the share `rate` of `count` numbers, `kept` for the others: the first where the
/// stream's next number from [0, 1) is below `rate`. Threads draw a part each, from where it stands
/// in the stream.
pub(crate) fn mask(stream: &Stream, count: usize, rate: f32, dropped: f32, kept: f32) -> Vec<f32> {
    let limit = Stream::uniform_below(rate);
    let mut factors = vec![0.0; count];
    let parts = factors.chunks_mut(PART).enumerate();
    threads::each(parts.collect(), |(part, factors)| {
        let mut stream = stream.at(part * PART);
        let mut bits = [0; 256];
        for factors in factors.chunks_mut(bits.len()) {
            stream.fill(&mut bits[..factors.len()]);
            vectorized(
                #[inline(always)]
                || {
                    for (factor, bits) in factors.iter_mut().zip(&bits) {
                        *factor = if (bits >> 8) < limit { dropped } else { kept };
                    }
                },
            );
        }
    });
    factors
}

/// a·b for each.
pub(crate) fn product(a: &[f32], b: &[f32]) -> Vec<f32> {
    let mut outputs = vec![0.0; a.len()];
    let inputs = a.chunks(PART).zip(b.chunks(PART));
    let parts = outputs.chunks_mut(PART).zip(inputs).collect();
    threads::each(
        parts,
        |(outputs, (a, b)): (&mut [f32], (&[f32], &[f32]))| {
            vectorized(
                #[inline(always)]
                || {
                    for (out, (a, b)) in outputs.iter_mut().zip(a.iter().zip(b)) {
                        *out = a * b;
                    }
                },
            );
        },
    );
    outputs
}
