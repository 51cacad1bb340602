//! Initializers: the numbers that a weight starts with.
//!
//! The random ones draw from the model's seed, each weight from a stream of its own.

use crate::seed::Stream;
use std::fmt::Debug;

/// Gives a weight its first numbers.
///
/// ```
/// use candle_keras::{initializers::Initializer, seed::Stream};
///
/// /// Every number its own index.
/// #[derive(Debug)]
/// struct Counting;
///
/// impl Initializer for Counting {
///     fn values(&self, shape: &[usize], _stream: &mut Stream) -> Vec<f32> {
///         (0..shape.iter().product()).map(|index: usize| index as f32).collect()
///     }
/// }
/// # assert_eq!(Counting.values(&[3], &mut Stream::new(1, "", 0)), [0.0, 1.0, 2.0]);
/// ```
pub trait Initializer: Debug + Send + Sync {
    /// As many numbers as `shape` holds, in row-major order.
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Vec<f32>;
}

/// All zeros. Keras: `Zeros`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zeros;

/// All ones. Keras: `Ones`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ones;

/// All the same number. Keras: `Constant`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constant(pub f32);

/// Uniform between `minval` and `maxval`. Keras: `RandomUniform`, -0.05 to 0.05.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomUniform {
    /// The least number.
    pub minval: f64,
    /// The greatest number.
    pub maxval: f64,
}

/// Normal with `mean` and standard deviation `stddev`. Keras: `RandomNormal`, 0 and 0.05.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RandomNormal {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub stddev: f64,
}

/// Uniform within ±√(6 / (fan in + fan out)); Dense's default for its kernel. Keras:
/// `GlorotUniform` (Glorot and Bengio, 2010, "Understanding the difficulty of training deep
/// feedforward neural networks").
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GlorotUniform;

/// Normal, cut at two standard deviations, of variance 2 / (fan in + fan out). Keras:
/// `GlorotNormal`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GlorotNormal;

/// Uniform within ±√(6 / fan in). Keras: `HeUniform` (He et al., 2015, "Delving deep into
/// rectifiers").
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeUniform;

/// Normal, cut at two standard deviations, of variance 2 / fan in. Keras: `HeNormal`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeNormal;

impl Initializer for Zeros {
    fn values(&self, shape: &[usize], _stream: &mut Stream) -> Vec<f32> {
        vec![0.0; shape.iter().product()]
    }
}

impl Initializer for Ones {
    fn values(&self, shape: &[usize], _stream: &mut Stream) -> Vec<f32> {
        vec![1.0; shape.iter().product()]
    }
}

impl Initializer for Constant {
    fn values(&self, shape: &[usize], _stream: &mut Stream) -> Vec<f32> {
        vec![self.0; shape.iter().product()]
    }
}

impl Initializer for RandomUniform {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Vec<f32> {
        let width = self.maxval - self.minval;
        draw(shape, || self.minval + width * f64::from(stream.uniform()))
    }
}

impl Initializer for RandomNormal {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Vec<f32> {
        draw(shape, || self.mean + self.stddev * stream.normal())
    }
}

impl Initializer for GlorotUniform {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Vec<f32> {
        let (fan_in, fan_out) = fans(shape);
        uniform_of_variance(2.0 / (fan_in + fan_out).max(1.0), shape, stream)
    }
}

impl Initializer for GlorotNormal {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Vec<f32> {
        let (fan_in, fan_out) = fans(shape);
        normal_of_variance(2.0 / (fan_in + fan_out).max(1.0), shape, stream)
    }
}

impl Initializer for HeUniform {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Vec<f32> {
        uniform_of_variance(2.0 / fans(shape).0.max(1.0), shape, stream)
    }
}

impl Initializer for HeNormal {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Vec<f32> {
        normal_of_variance(2.0 / fans(shape).0.max(1.0), shape, stream)
    }
}

/// How many numbers go into and come out of a weight, as Keras counts them: the last two axes,
/// times the receptive field of the axes before.
fn fans(shape: &[usize]) -> (f64, f64) {
    match shape {
        [] => (1.0, 1.0),
        [length] => (*length as f64, *length as f64),
        [field @ .., inputs, outputs] => {
            let field = field.iter().product::<usize>() as f64;
            (*inputs as f64 * field, *outputs as f64 * field)
        }
    }
}

fn uniform_of_variance(variance: f64, shape: &[usize], stream: &mut Stream) -> Vec<f32> {
    let limit = (3.0 * variance).sqrt();
    let range = RandomUniform {
        minval: -limit,
        maxval: limit,
    };
    range.values(shape, stream)
}

fn normal_of_variance(variance: f64, shape: &[usize], stream: &mut Stream) -> Vec<f32> {
    // The standard deviation of a standard normal cut at ±2 (Keras takes it from scipy's
    // truncnorm).
    let stddev = variance.sqrt() / 0.879_625_661_034_239_8;
    draw(shape, || {
        loop {
            let number = stream.normal();
            if number.abs() < 2.0 {
                return stddev * number;
            }
        }
    })
}

fn draw(shape: &[usize], mut number: impl FnMut() -> f64) -> Vec<f32> {
    (0..shape.iter().product())
        .map(|_: usize| number() as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean, variance and greatest magnitude of 100,000 numbers in a (250, 400) weight.
    fn statistics(initializer: &dyn Initializer) -> (f64, f64, f64) {
        let values = initializer.values(&[250, 400], &mut Stream::new(1, "test", 0));
        let count = values.len() as f64;
        let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let squares = values.iter().map(|x| (f64::from(*x) - mean).powi(2));
        let greatest = values.iter().fold(0f64, |a, x| a.max(f64::from(x.abs())));
        (mean, squares.sum::<f64>() / count, greatest)
    }

    #[test]
    fn each_has_its_distribution() {
        let cases: [(&dyn Initializer, f64, f64); 6] = [
            (&GlorotUniform, 2.0 / 650.0, (6.0f64 / 650.0).sqrt()),
            (&HeUniform, 2.0 / 250.0, (6.0f64 / 250.0).sqrt()),
            (
                &GlorotNormal,
                2.0 / 650.0,
                2.0 * (2.0f64 / 650.0).sqrt() / 0.8796,
            ),
            (
                &HeNormal,
                2.0 / 250.0,
                2.0 * (2.0f64 / 250.0).sqrt() / 0.8796,
            ),
            (
                &RandomUniform {
                    minval: -0.05,
                    maxval: 0.05,
                },
                0.01 / 12.0,
                0.05,
            ),
            (
                &RandomNormal {
                    mean: 0.0,
                    stddev: 0.05,
                },
                0.0025,
                0.3,
            ),
        ];
        for (initializer, variance, limit) in cases {
            let (mean, measured, greatest) = statistics(initializer);
            // 100,000 numbers: the mean's deviation is 0.3% of the distribution's, and the
            // variance's at most 0.45% of itself; five of each are allowed.
            assert!(
                mean.abs() < 0.016 * variance.sqrt(),
                "{initializer:?}: mean {mean}"
            );
            assert!(
                (measured / variance - 1.0).abs() < 0.023,
                "{initializer:?}: variance {measured}, expected {variance}"
            );
            assert!(
                greatest <= limit * 1.0001,
                "{initializer:?}: {greatest} > {limit}"
            );
        }
    }

    #[test]
    fn fans_follow_keras() {
        assert_eq!(fans(&[5]), (5.0, 5.0));
        assert_eq!(fans(&[784, 128]), (784.0, 128.0));
        assert_eq!(fans(&[3, 3, 5, 7]), (45.0, 63.0));
    }
}
