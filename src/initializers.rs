//! Initializers: the numbers that a weight starts with.
//!
//! The random ones draw from the model's seed, each weight from a stream of its own.

use crate::{
    Config, Error, Result, config::Entry, config::serde_of_part, config::table, error::tuple,
    ops::vectorized, seed::Stream,
};
use serde::{Deserialize, Serialize};
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
///     fn values(&self, shape: &[usize], _: &mut Stream) -> candle_keras::Result<Vec<f32>> {
///         Ok((0..shape.iter().product()).map(|index: usize| index as f32).collect())
///     }
/// }
/// # assert_eq!(Counting.values(&[3], &mut Stream::new(1, "", 0)).unwrap(), [0.0, 1.0, 2.0]);
/// ```
pub trait Initializer: Debug + Send + Sync {
    /// As many numbers as `shape` holds, in row-major order.
    ///
    /// # Errors
    /// When it has no numbers for the shape, or an argument is out of range.
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Result<Vec<f32>>;

    /// Its class and arguments, if it can be written to a file.
    fn config(&self) -> Option<Config> {
        None
    }
}

serde_of_part!(
    Initializer,
    "initializer",
    "keras.initializers",
    INITIALIZERS
);

/// Every initializer of the crate.
pub(crate) const INITIALIZERS: &[Entry<dyn Initializer>] = table![dyn Initializer:
    Constant = Constant(0.0), "constant";
    GlorotNormal = GlorotNormal, "glorot_normal";
    GlorotUniform = GlorotUniform, "glorot_uniform";
    HeNormal = HeNormal, "he_normal";
    HeUniform = HeUniform, "he_uniform";
    Identity = Identity::default(), "identity", "IdentityInitializer";
    LecunNormal = LecunNormal, "lecun_normal";
    LecunUniform = LecunUniform, "lecun_uniform";
    Ones = Ones, "ones", "one";
    Orthogonal = Orthogonal::default(), "orthogonal", "OrthogonalInitializer";
    RandomNormal = RandomNormal::default(), "random_normal", "normal";
    RandomUniform = RandomUniform::default(), "random_uniform", "uniform";
    TruncatedNormal = TruncatedNormal::default(), "truncated_normal";
    VarianceScaling = VarianceScaling::default(), "variance_scaling";
    Zeros = Zeros, "zeros", "zero";
];

/// All zeros. Keras: `Zeros`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Zeros;

/// All ones. Keras: `Ones`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Ones;

/// All the same number. Keras: `Constant`, of 0.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "ConstantArguments", into = "ConstantArguments")]
pub struct Constant(pub f32);

/// [`Constant`]'s argument by its name.
#[derive(Serialize, Deserialize)]
struct ConstantArguments {
    value: f32,
}

/// A matrix of zeros with `gain` where row and column are the same; it need not be square.
///
/// Keras: `Identity`, whose gain is 1, and which forgets to write it to a file.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    gain: f64,
}

/// Uniform between `minval` and `maxval`. Keras: `RandomUniform`, -0.05 to 0.05.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RandomUniform {
    /// The least number.
    pub minval: f64,
    /// The greatest number.
    pub maxval: f64,
}

/// Normal with `mean` and standard deviation `stddev`. Keras: `RandomNormal`, 0 and 0.05.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RandomNormal {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub stddev: f64,
}

/// As [`RandomNormal`], where a number farther than two `stddev` from `mean` is drawn again: the
/// deviation of what is left is 0.88 of `stddev`. Keras: `TruncatedNormal`, 0 and 0.05.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TruncatedNormal {
    mean: f64,
    stddev: f64,
}

/// Random numbers of mean 0 and of variance `scale` / max(1, n), where n counts the numbers that go
/// into a unit, those that come out, or is the mean of the two.
///
/// # Defaults
/// `scale` 1, [`Fan::In`], [`Distribution::TruncatedNormal`].
///
/// ```
/// use candle_keras::initializers::{Distribution, Fan, VarianceScaling};
/// VarianceScaling::new(2.0).mode(Fan::Average).distribution(Distribution::Uniform);
/// ```
///
/// # Errors
/// `build` fails for a scale not above 0.
///
/// Keras: `VarianceScaling`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct VarianceScaling {
    scale: f64,
    mode: Fan,
    distribution: Distribution,
}

/// What of a weight [`VarianceScaling`] counts: the last axis but one is of inputs, the last of
/// outputs, each times the sizes of all axes before; a weight of one axis has as many of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fan {
    /// The inputs.
    #[serde(rename = "fan_in")]
    In,
    /// The outputs.
    #[serde(rename = "fan_out")]
    Out,
    /// The mean of both.
    #[serde(rename = "fan_avg")]
    Average,
}

/// What [`VarianceScaling`] draws from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Normal, cut at two standard deviations of what it was before.
    #[serde(alias = "normal")]
    TruncatedNormal,
    /// Normal.
    UntruncatedNormal,
    /// Uniform within ±√3 standard deviations.
    Uniform,
}

/// Uniform within ±√(6 / (fan in + fan out)); Dense's default for its kernel. Keras:
/// `GlorotUniform` (Glorot and Bengio, 2010, "Understanding the difficulty of training deep
/// feedforward neural networks").
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GlorotUniform;

/// Normal, cut at two standard deviations, of variance 2 / (fan in + fan out). Keras:
/// `GlorotNormal`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GlorotNormal;

/// Uniform within ±√(6 / fan in). Keras: `HeUniform` (He et al., 2015, "Delving deep into
/// rectifiers").
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct HeUniform;

/// Normal, cut at two standard deviations, of variance 2 / fan in. Keras: `HeNormal`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct HeNormal;

/// Uniform within ±√(3 / fan in). Keras: `LecunUniform` (LeCun et al., 1998, "Efficient BackProp").
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LecunUniform;

/// Normal, cut at two standard deviations, of variance 1 / fan in; for selu. Keras: `LecunNormal`
/// (Klambauer et al., 2017, "Self-normalizing neural networks").
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LecunNormal;

/// A random matrix that keeps lengths and angles, times `gain`: its columns, or its rows where there
/// are fewer of them, are orthogonal and of length `gain`. All axes but the last count as one of
/// rows.
///
/// # Defaults
/// `gain` 1.
///
/// ```
/// use candle_keras::initializers::Orthogonal;
/// Orthogonal::new(2f64.sqrt());
/// ```
///
/// # Errors
/// `build` fails for a weight of fewer than two axes.
///
/// Keras: `Orthogonal` (Saxe et al., 2013, "Exact solutions to the nonlinear dynamics of learning in
/// deep linear neural networks").
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Orthogonal {
    gain: f64,
}

impl From<ConstantArguments> for Constant {
    fn from(arguments: ConstantArguments) -> Self {
        Self(arguments.value)
    }
}

impl From<Constant> for ConstantArguments {
    fn from(Constant(value): Constant) -> Self {
        Self { value }
    }
}

impl Identity {
    /// `gain` on the diagonal.
    pub fn new(gain: f64) -> Self {
        Self { gain }
    }
}

impl RandomUniform {
    /// Between `minval` and `maxval`.
    pub fn new(minval: f64, maxval: f64) -> Self {
        Self { minval, maxval }
    }
}

impl RandomNormal {
    /// With `mean` and standard deviation `stddev`.
    pub fn new(mean: f64, stddev: f64) -> Self {
        Self { mean, stddev }
    }
}

impl TruncatedNormal {
    /// With `mean`, and `stddev` before it is cut.
    pub fn new(mean: f64, stddev: f64) -> Self {
        Self { mean, stddev }
    }
}

impl VarianceScaling {
    /// With this scale.
    pub fn new(scale: f64) -> Self {
        Self {
            scale,
            mode: Fan::In,
            distribution: Distribution::TruncatedNormal,
        }
    }

    /// What is counted.
    pub fn mode(mut self, mode: Fan) -> Self {
        self.mode = mode;
        self
    }

    /// What is drawn from.
    pub fn distribution(mut self, distribution: Distribution) -> Self {
        self.distribution = distribution;
        self
    }

    fn variance(&self, shape: &[usize]) -> Result<f64> {
        if !(self.scale.is_finite() && self.scale > 0.0) {
            let expected = "a finite number above 0";
            return Err(Error::argument("scale", expected, self.scale, "1 is usual"));
        }
        let (fan_in, fan_out) = fans(shape);
        let fan = match self.mode {
            Fan::In => fan_in,
            Fan::Out => fan_out,
            Fan::Average => (fan_in + fan_out) / 2.0,
        };
        Ok(self.scale / fan.max(1.0))
    }
}

impl Orthogonal {
    /// Vectors of length `gain`.
    pub fn new(gain: f64) -> Self {
        Self { gain }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl Default for RandomUniform {
    fn default() -> Self {
        Self::new(-0.05, 0.05)
    }
}

impl Default for RandomNormal {
    fn default() -> Self {
        Self::new(0.0, 0.05)
    }
}

impl Default for TruncatedNormal {
    fn default() -> Self {
        Self::new(0.0, 0.05)
    }
}

impl Default for VarianceScaling {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl Default for Orthogonal {
    fn default() -> Self {
        Self::new(1.0)
    }
}

impl Initializer for Zeros {
    fn values(&self, shape: &[usize], _stream: &mut Stream) -> Result<Vec<f32>> {
        Ok(vec![0.0; shape.iter().product()])
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("Zeros", self)
    }
}

impl Initializer for Ones {
    fn values(&self, shape: &[usize], _stream: &mut Stream) -> Result<Vec<f32>> {
        Ok(vec![1.0; shape.iter().product()])
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("Ones", self)
    }
}

impl Initializer for Constant {
    fn values(&self, shape: &[usize], _stream: &mut Stream) -> Result<Vec<f32>> {
        Ok(vec![self.0; shape.iter().product()])
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("Constant", self)
    }
}

impl Initializer for Identity {
    fn values(&self, shape: &[usize], _stream: &mut Stream) -> Result<Vec<f32>> {
        let [rows, columns] = shape else {
            let advice = "Identity is for matrices";
            return Err(Error::argument(
                "shape",
                "(rows, columns)",
                tuple(shape),
                advice,
            ));
        };
        let mut values = vec![0.0; rows * columns];
        let diagonal = values.iter_mut().step_by(columns + 1);
        for value in diagonal.take(*rows.min(columns)) {
            *value = self.gain as f32;
        }
        Ok(values)
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("Identity", self)
    }
}

impl Initializer for RandomUniform {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Result<Vec<f32>> {
        let Self { minval, maxval } = *self;
        let width = maxval - minval;
        if !(width.is_finite() && width >= 0.0) {
            let expected = format!("a finite number of at least minval, {minval}");
            let advice = "give the smaller number first";
            return Err(Error::argument("maxval", expected, maxval, advice));
        }
        Ok(draw(shape, || minval + width * f64::from(stream.uniform())))
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("RandomUniform", self)
    }
}

impl Initializer for RandomNormal {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Result<Vec<f32>> {
        check_normal(self.mean, self.stddev)?;
        Ok(draw(shape, || self.mean + self.stddev * stream.normal()))
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("RandomNormal", self)
    }
}

impl Initializer for TruncatedNormal {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Result<Vec<f32>> {
        check_normal(self.mean, self.stddev)?;
        Ok(draw(shape, || self.mean + self.stddev * truncated(stream)))
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("TruncatedNormal", self)
    }
}

impl Initializer for VarianceScaling {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Result<Vec<f32>> {
        let variance = self.variance(shape)?;
        match self.distribution {
            Distribution::TruncatedNormal => {
                // The standard deviation of a standard normal cut at ±2 (Keras takes it from
                // scipy's truncnorm).
                let stddev = variance.sqrt() / 0.879_625_661_034_239_8;
                TruncatedNormal::new(0.0, stddev).values(shape, stream)
            }
            Distribution::UntruncatedNormal => {
                RandomNormal::new(0.0, variance.sqrt()).values(shape, stream)
            }
            Distribution::Uniform => {
                let limit = (3.0 * variance).sqrt();
                RandomUniform::new(-limit, limit).values(shape, stream)
            }
        }
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("VarianceScaling", self)
    }
}

/// Initializers that are a [`VarianceScaling`] with a name: their scale, mode and distribution.
macro_rules! variance_scaling {
    ($($class:ident = $scale:literal, $mode:ident, $distribution:ident;)+) => {
        $(
            impl Initializer for $class {
                fn values(&self, shape: &[usize], stream: &mut Stream) -> Result<Vec<f32>> {
                    let scaling = VarianceScaling {
                        scale: $scale,
                        mode: Fan::$mode,
                        distribution: Distribution::$distribution,
                    };
                    scaling.values(shape, stream)
                }

                fn config(&self) -> Option<Config> {
                    Config::of_keras(stringify!($class), self)
                }
            }
        )+
    };
}

variance_scaling! {
    GlorotUniform = 1.0, Average, Uniform;
    GlorotNormal = 1.0, Average, TruncatedNormal;
    HeUniform = 2.0, In, Uniform;
    HeNormal = 2.0, In, TruncatedNormal;
    LecunUniform = 1.0, In, Uniform;
    LecunNormal = 1.0, In, TruncatedNormal;
}

impl Initializer for Orthogonal {
    fn values(&self, shape: &[usize], stream: &mut Stream) -> Result<Vec<f32>> {
        let [outer @ .., columns] = shape else {
            return Err(not_orthogonal(shape));
        };
        if outer.is_empty() {
            return Err(not_orthogonal(shape));
        }
        let (rows, columns) = (outer.iter().product::<usize>(), *columns);
        let vectors = orthonormal(rows.min(columns), rows.max(columns), stream);
        let value = |vector: usize, index: usize| (self.gain * vectors[vector][index]) as f32;
        let values = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let values = values.map(|(row, column)| match rows < columns {
            true => value(row, column),
            false => value(column, row),
        });
        Ok(values.collect())
    }

    fn config(&self) -> Option<Config> {
        Config::of_keras("Orthogonal", self)
    }
}

/// An error for a shape of fewer than two axes.
fn not_orthogonal(shape: &[usize]) -> Error {
    let advice = "a vector has no angles to keep";
    Error::argument("shape", "two axes or more", tuple(shape), advice)
}

/// `count` vectors of `length`, no less, in random directions that are orthogonal, each of length 1.
///
/// Gram and Schmidt's way gives Q of a normal matrix's decomposition QR with R's diagonal above 0,
/// which Keras comes to by the signs of R's diagonal: every such Q is equally likely.
fn orthonormal(count: usize, length: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut vector: Vec<f64> = (0..length).map(|_| stream.normal()).collect();
        // Twice: what rounding leaves of the others in a short rest is gone after the second time.
        for _ in 0..2 {
            for other in &vectors {
                let share = dot(&vector, other);
                vectorized(
                    #[inline(always)]
                    || {
                        for (x, y) in vector.iter_mut().zip(other) {
                            *x -= share * y;
                        }
                    },
                );
            }
        }
        let norm = dot(&vector, &vector).sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        vectors.push(vector);
    }
    vectors
}

/// Σ a·b, as eight sums side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    vectorized(
        #[inline(always)]
        || {
            let (a, rest_of_a) = a.as_chunks::<8>();
            let (b, rest_of_b) = b.as_chunks::<8>();
            let mut sums = [0.0; 8];
            for (a, b) in a.iter().zip(b) {
                for ((sum, x), y) in sums.iter_mut().zip(a).zip(b) {
                    *sum += x * y;
                }
            }
            let rest = rest_of_a.iter().zip(rest_of_b).map(|(x, y)| x * y);
            sums.iter().sum::<f64>() + rest.sum::<f64>()
        },
    )
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

/// An error unless a normal distribution has these.
fn check_normal(mean: f64, stddev: f64) -> Result<()> {
    if !mean.is_finite() {
        return Err(Error::argument(
            "mean",
            "a finite number",
            mean,
            "0 is usual",
        ));
    }
    if stddev.is_finite() && stddev >= 0.0 {
        return Ok(());
    }
    let expected = "a finite number of at least 0";
    Err(Error::argument("stddev", expected, stddev, "0.05 is usual"))
}

/// A number from the standard normal distribution cut at ±2.
fn truncated(stream: &mut Stream) -> f64 {
    loop {
        let number = stream.normal();
        if number.abs() < 2.0 {
            return number;
        }
    }
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
        let values = values.unwrap();
        let count = values.len() as f64;
        let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let squares = values.iter().map(|x| (f64::from(*x) - mean).powi(2));
        let greatest = values.iter().fold(0f64, |a, x| a.max(f64::from(x.abs())));
        (mean, squares.sum::<f64>() / count, greatest)
    }

    #[test]
    fn each_has_its_distribution() {
        // What a variance of 1 spans: uniform, normal, and normal cut at 2.
        let (uniform, normal, cut) = (3f64.sqrt(), 6.0, 2.0 / 0.8796);
        let (average, fan_in, fan_out) = (1.0 / 325.0, 1.0 / 250.0, 1.0 / 400.0);
        let scaled = VarianceScaling::new(1.5);
        let out = scaled.mode(Fan::Out).distribution(Distribution::Uniform);
        let wide = scaled.distribution(Distribution::UntruncatedNormal);
        let cases: [(&dyn Initializer, f64, f64); 12] = [
            (&GlorotUniform, average, uniform),
            (&GlorotNormal, average, cut),
            (&HeUniform, 2.0 * fan_in, uniform),
            (&HeNormal, 2.0 * fan_in, cut),
            (&LecunUniform, fan_in, uniform),
            (&LecunNormal, fan_in, cut),
            (&RandomUniform::default(), 0.01 / 12.0, uniform),
            (&RandomNormal::default(), 0.0025, normal),
            (&TruncatedNormal::default(), 0.0025 * 0.8796 * 0.8796, cut),
            (&scaled, 1.5 * fan_in, cut),
            (&out, 1.5 * fan_out, uniform),
            (&wide, 1.5 * fan_in, normal),
        ];
        for (initializer, variance, span) in cases {
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
            // Normal numbers are not at their limit, the others nearly.
            let limit = span * variance.sqrt() * 1.0001;
            let least = if span == normal { 0.5 } else { 0.98 };
            assert!(
                greatest <= limit && greatest > least * limit,
                "{initializer:?}: {greatest}, expected up to {limit}"
            );
        }
    }

    #[test]
    fn fans_follow_keras() {
        assert_eq!(fans(&[5]), (5.0, 5.0));
        assert_eq!(fans(&[784, 128]), (784.0, 128.0));
        assert_eq!(fans(&[3, 3, 5, 7]), (45.0, 63.0));
    }

    #[test]
    fn the_shorter_sides_vectors_of_an_orthogonal_weight_are_orthogonal_and_as_long_as_gain() {
        for (shape, rows, columns) in [
            (&[4, 6][..], 4, 6),
            (&[6, 4], 6, 4),
            (&[5, 5], 5, 5),
            (&[3, 2, 4], 6, 4),
            (&[1, 1], 1, 1),
            (&[60, 60], 60, 60),
        ] {
            for gain in [1.0, 2.0] {
                let values = Orthogonal::new(gain).values(shape, &mut Stream::new(1, "test", 0));
                let values = values.unwrap();
                let at = |row: usize, column: usize| f64::from(values[row * columns + column]);
                let vector = |i: usize| -> Vec<f64> {
                    match rows < columns {
                        true => (0..columns).map(|column| at(i, column)).collect(),
                        false => (0..rows).map(|row| at(row, i)).collect(),
                    }
                };
                for i in 0..rows.min(columns) {
                    for j in 0..=i {
                        let expected = if i == j { gain * gain } else { 0.0 };
                        let product = dot(&vector(i), &vector(j));
                        // The numbers are rounded to f32.
                        let close = (product - expected).abs() < 1e-6 * gain * gain;
                        assert!(close, "{shape:?} {i} {j}: {product}");
                    }
                }
            }
        }
    }

    #[test]
    fn orthogonal_weights_turn_either_way() {
        // A decomposition alone gives R, and with it the one number here, a fixed sign.
        let first = |seed| Orthogonal::default().values(&[1, 1], &mut Stream::new(seed, "", 0));
        let ones: Vec<f32> = (0..64).flat_map(|seed| first(seed).unwrap()).collect();
        assert!(ones.iter().all(|x| x.abs() == 1.0));
        assert!(ones.contains(&1.0) && ones.contains(&-1.0));
    }

    #[test]
    fn an_identity_that_is_not_square_has_its_gain_where_row_and_column_are_the_same() {
        let values = |shape: &[usize]| {
            let values = Identity::new(0.5).values(shape, &mut Stream::new(1, "", 0));
            values.unwrap()
        };
        assert_eq!(values(&[2, 3]), [0.5, 0.0, 0.0, 0.0, 0.5, 0.0]);
        assert_eq!(values(&[4, 2]), [0.5, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]);
        assert!(values(&[0, 2]).is_empty());
    }

    fn assert_error(initializer: &dyn Initializer, shape: &[usize], expected: &str) {
        let values = initializer.values(shape, &mut Stream::new(1, "", 0));
        assert_eq!(values.unwrap_err().to_string(), expected);
    }

    #[test]
    fn arguments_and_shapes_out_of_range_are_errors() {
        assert_error(
            &Identity::default(),
            &[3],
            "`shape`: expected (rows, columns), got (3,): Identity is for matrices",
        );
        assert_error(
            &Orthogonal::default(),
            &[3],
            "`shape`: expected two axes or more, got (3,): a vector has no angles to keep",
        );
        assert_error(
            &Orthogonal::default(),
            &[],
            "`shape`: expected two axes or more, got (): a vector has no angles to keep",
        );
        assert_error(
            &RandomUniform::new(1.0, -1.0),
            &[3],
            "`maxval`: expected a finite number of at least minval, 1, got -1: give the smaller \
             number first",
        );
        let expected = "`stddev`: expected a finite number of at least 0, got -1: 0.05 is usual";
        assert_error(&RandomNormal::new(0.0, -1.0), &[3], expected);
        assert_error(&TruncatedNormal::new(0.0, -1.0), &[3], expected);
        assert_error(
            &RandomNormal::new(f64::NAN, 1.0),
            &[3],
            "`mean`: expected a finite number, got NaN: 0 is usual",
        );
        assert_error(
            &VarianceScaling::new(0.0),
            &[3],
            "`scale`: expected a finite number above 0, got 0: 1 is usual",
        );
    }
}
