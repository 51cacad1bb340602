//! One seed, many named streams of random numbers, the same on every platform.
//!
//! A stream is named by what draws from it and by a position (an epoch, a step), so that drawing
//! more in one place changes nothing in another, and a stream can be taken up again anywhere.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// A stream of random numbers: ChaCha8, keyed by the seed, the name and the position.
///
/// ```
/// use candle_keras::seed::Stream;
/// let mut a = Stream::new(42, "shuffle", 0);
/// let mut b = Stream::new(42, "shuffle", 0);
/// assert_eq!(a.uniform(), b.uniform());
/// ```
#[derive(Debug, Clone)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `seed` named `name` at `position`.
    pub fn new(seed: u64, name: &str, position: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&fnv1a(name).to_le_bytes());
        key[16..24].copy_from_slice(&position.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// A number from [0, 1), a multiple of 2⁻²⁴, so that f32 holds it exactly.
    pub fn uniform(&mut self) -> f32 {
        // 24 bits are the width of an f32's significand.
        (self.0.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Random bits, 32 in each: those of `uniform` are the upper 24.
    pub(crate) fn fill(&mut self, bits: &mut [u32]) {
        let mut bytes = [0; 1024];
        for bits in bits.chunks_mut(bytes.len() / 4) {
            let bytes = &mut bytes[..4 * bits.len()];
            self.0.fill_bytes(bytes);
            for (bits, bytes) in bits.iter_mut().zip(bytes.as_chunks().0) {
                *bits = u32::from_le_bytes(*bytes);
            }
        }
    }

    /// How many of the 2²⁴ numbers that `uniform` gives are below `limit`.
    pub(crate) fn uniform_below(limit: f32) -> u32 {
        (limit * 16_777_216.0).ceil() as u32
    }

    /// The stream after `count` more numbers of `uniform`, or of `fill`.
    pub(crate) fn at(&self, count: usize) -> Self {
        let mut stream = self.clone();
        stream.0.set_word_pos(self.0.get_word_pos() + count as u128);
        stream
    }

    /// A number from the normal distribution of mean 0 and standard deviation 1.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// The numbers 0 to `length - 1` in random order (Fisher and Yates).
    pub fn permutation(&mut self, length: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..length as u32).collect();
        for last in (1..length).rev() {
            order.swap(last, self.below(last as u32 + 1) as usize);
        }
        order
    }

    /// A whole number from 0 to `limit - 1`, without bias (Lemire, 2019, "Fast random integer
    /// generation in an interval").
    fn below(&mut self, limit: u32) -> u32 {
        let threshold = limit.wrapping_neg() % limit;
        loop {
            let product = u64::from(self.0.next_u32()) * u64::from(limit);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }
}

/// A seed that no earlier run had: 32 bits, easy to note down, from the system's generator.
pub(crate) fn fresh() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    // RandomState takes its keys from the operating system's generator.
    RandomState::new().build_hasher().finish() >> 32
}

/// The 64-bit FNV-1a hash, chosen because it is fixed for all platforms and releases, which
/// the standard library's hasher is not.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_same_numbers_on_every_platform_and_release() {
        // Written down once from this implementation: a change of these breaks every saved seed.
        let order = Stream::new(42, "shuffle", 0).permutation(8);
        assert_eq!(order, [1, 7, 4, 0, 6, 5, 3, 2]);
        let mut stream = Stream::new(42, "weights/dense/kernel", 0);
        let uniform = [(); 3].map(|()| stream.uniform());
        assert_eq!(uniform, [0.84018034, 0.5989725, 0.63845235]);
        let normal = [(); 3].map(|()| stream.normal());
        assert_eq!(
            normal,
            [-0.6685362408641444, 0.6496902798750928, -1.0846121902150838]
        );
    }

    #[test]
    fn name_and_position_each_choose_another_stream() {
        let first = |name, position| Stream::new(1, name, position).0.next_u64();
        assert_ne!(first("a", 0), first("b", 0));
        assert_ne!(first("a", 0), first("a", 1));
    }

    #[test]
    fn every_index_is_in_a_permutation_once() {
        let mut order = Stream::new(7, "shuffle", 0).permutation(1000);
        assert_ne!(order[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        order.sort_unstable();
        assert!(
            order
                .iter()
                .enumerate()
                .all(|(index, value)| index as u32 == *value)
        );
    }

    #[test]
    fn bits_drawn_at_once_and_from_anywhere_are_those_of_single_numbers() {
        let mut single = Stream::new(7, "test", 0);
        single.uniform();
        let start = single.clone();
        let expected: Vec<f32> = (0..1000).map(|_| single.uniform()).collect();
        for skipped in [0, 1, 63, 64, 300] {
            let mut bits = vec![0; 1000 - skipped];
            let mut stream = start.at(skipped);
            stream.fill(&mut bits[..5]);
            stream.fill(&mut bits[5..]);
            let numbers = bits.iter().map(|bits| (bits >> 8) as f32 / 16_777_216.0);
            assert!(numbers.eq(expected[skipped..].iter().copied()), "{skipped}");
        }
        for limit in [0.0, 1e-9, 0.1, 0.25, 0.5, 0.9, 1.0] {
            let whole = (limit * 16_777_216.0) as u32;
            for number in whole.saturating_sub(2)..=(whole + 2).min((1 << 24) - 1) {
                let below = (number as f32 / 16_777_216.0) < limit;
                assert_eq!(
                    number < Stream::uniform_below(limit),
                    below,
                    "{number}, {limit}"
                );
            }
        }
    }

    #[test]
    fn uniform_numbers_stay_below_one_and_average_a_half() {
        let mut stream = Stream::new(7, "test", 0);
        let values: Vec<f32> = (0..10_000).map(|_| stream.uniform()).collect();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        let mean = values.iter().sum::<f32>() / 10_000.0;
        // The mean's standard deviation is 1/√(12·10,000) = 0.0029.
        assert!((mean - 0.5).abs() < 0.012, "{mean}");
    }
}
