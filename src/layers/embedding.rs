use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
};
use crate::{
    Error, Result,
    constraints::Constraint,
    initializers::{Initializer, RandomUniform},
    ops,
    regularizers::Regularizer,
    weights::WeightBuilder,
};
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The greatest count of ids of which f32 tells each from the next.
const EXACT_IN_F32: usize = 1 << 24;

/// A vector that is learned for every id: of a word, a user, a thing.
///
/// # Shapes
/// Inputs (batch, ..), whole numbers from 0 to `input_dim` - 1 in a tensor of any number type;
/// outputs (batch, .., output_dim). Weight: `embeddings` (input_dim, output_dim).
///
/// # Defaults
/// The vectors start uniform between -0.05 and 0.05; id 0 is one like the others.
///
/// ```
/// use candle_keras::{layers::Embedding, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut model = Sequential::new()
///     .add(Input::new(3)) // three words
///     .add(Embedding::new(1000, 16))
///     .add(Flatten::new())
///     .add(Dense::new(1).activation(Sigmoid))
///     .build(&Device::Cpu)?;
/// model.compile(Adam::new(0.01), BinaryCrossentropy::new(), ())?;
/// let words = Tensor::new(&[[4u32, 999, 0], [7, 7, 1]], &Device::Cpu)?;
/// model.fit(&words, &Tensor::new(&[1u8, 0], &Device::Cpu)?, Fit::new().verbose(0))?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for an `input_dim` or `output_dim` of 0, and for more ids than f32 tells apart,
/// 16,777,216. On the CPU an id that is no whole number from 0 to `input_dim` - 1 is an error, in
/// `fit` as in `predict`; on other devices ids are not looked at, as each batch would be waited for.
/// No gradient goes through it, so a layer that learns cannot stand before it.
///
/// Keras: `Embedding`, which cuts decimals off and, of ids below 0, counts from the last vector.
#[derive(Debug, Serialize, Deserialize)]
pub struct Embedding {
    input_dim: usize,
    output_dim: usize,
    embeddings_initializer: Box<dyn Initializer>,
    #[serde(with = "crate::config::shared")]
    embeddings_regularizer: Option<Arc<dyn Regularizer>>,
    #[serde(with = "crate::config::shared")]
    activity_regularizer: Option<Arc<dyn Regularizer>>,
    #[serde(with = "crate::config::shared")]
    embeddings_constraint: Option<Arc<dyn Constraint>>,
    mask_zero: bool,
    #[serde(flatten)]
    base: Base,
}

impl Embedding {
    /// A layer for the ids 0 to `input_dim` - 1, with vectors of `output_dim` numbers.
    pub fn new(input_dim: usize, output_dim: usize) -> Self {
        Self {
            input_dim,
            output_dim,
            embeddings_initializer: Box::new(RandomUniform {
                minval: -0.05,
                maxval: 0.05,
            }),
            embeddings_regularizer: None,
            activity_regularizer: None,
            embeddings_constraint: None,
            mask_zero: false,
            base: Base::default(),
        }
    }

    /// What the vectors start with.
    pub fn embeddings_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.embeddings_initializer = Box::new(initializer);
        self
    }

    /// What the vectors add to the loss.
    pub fn embeddings_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
        self.embeddings_regularizer = Some(Arc::new(regularizer));
        self
    }

    /// What the outputs add to the loss, divided by the samples in the batch.
    pub fn activity_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
        self.activity_regularizer = Some(Arc::new(regularizer));
        self
    }

    /// What every update brings the vectors back to.
    pub fn embeddings_constraint(mut self, constraint: impl Constraint + 'static) -> Self {
        self.embeddings_constraint = Some(Arc::new(constraint));
        self
    }

    /// Whether id 0 stands for no word, at the end of sequences shorter than others: later layers
    /// and the loss then leave it out. Its vector is given out all the same, and after a layer that
    /// passes no mask on, such as `Flatten`, it counts as any other, as in Keras.
    pub fn mask_zero(mut self, mask_zero: bool) -> Self {
        self.mask_zero = mask_zero;
        self
    }

    layer_setters!();

    /// The ids in a row, if the layer has them.
    fn ids(&self, inputs: &Tensor) -> Result<Tensor> {
        let inputs = inputs.flatten_all()?;
        if !inputs.device().is_cpu() {
            return Ok(inputs.to_dtype(DType::U32)?);
        }
        let ids: Vec<f64> = inputs.to_dtype(DType::F64)?.to_vec1()?;
        let ids = ids.into_iter().map(|id| self.checked(id));
        let ids = ids.collect::<Result<Vec<u32>>>()?;
        let count = ids.len();
        Ok(Tensor::from_vec(ids, count, inputs.device())?)
    }

    fn checked(&self, id: f64) -> Result<u32> {
        if id >= 0.0 && id < self.input_dim as f64 && id.fract() == 0.0 {
            return Ok(id as u32);
        }
        let last = self.input_dim.saturating_sub(1);
        Err(Error::argument(
            "ids",
            format!(
                "whole numbers from 0 to {last}, as input_dim is {}",
                self.input_dim
            ),
            id,
            "make input_dim the largest id + 1, or mend the ids",
        ))
    }
}

impl Layer for Embedding {
    layer_access!("Embedding");

    fn activity_regularizer(&self) -> Option<&dyn Regularizer> {
        self.activity_regularizer.as_deref()
    }

    fn build(&mut self, _input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        if self.input_dim == 0 {
            let advice = "give the largest id + 1";
            return Err(Error::argument("input_dim", "at least 1", 0, advice));
        }
        if weights.dtype == DType::F32 && self.input_dim > EXACT_IN_F32 {
            let expected = format!("at most {EXACT_IN_F32}, as f32 tells no more ids apart");
            let advice = "several rare ids can share one";
            return Err(Error::argument(
                "input_dim",
                expected,
                self.input_dim,
                advice,
            ));
        }
        if self.output_dim == 0 {
            let advice = "give the length of the vectors";
            return Err(Error::argument("output_dim", "at least 1", 0, advice));
        }
        let shape = [self.input_dim, self.output_dim];
        weights.add("embeddings", &shape, &*self.embeddings_initializer)?;
        weights.regularize("embeddings", self.embeddings_regularizer.clone())?;
        weights.constrain("embeddings", self.embeddings_constraint.clone())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok([input_shape, &[self.output_dim]].concat())
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let ids = self.ids(inputs)?;
        let vectors = pass.weight("embeddings")?.index_select(&ids, 0)?; // (batch·.., output_dim)
        pass.keep(ids);
        let shape = [inputs.dims(), &[self.output_dim]].concat();
        Ok(vectors.reshape(shape)?) // (batch, .., output_dim)
    }

    fn mask(&self, inputs: &Tensor) -> Result<Option<Tensor>> {
        if !self.mask_zero {
            return Ok(None);
        }
        let words = inputs.ne(&inputs.zeros_like()?)?;
        Ok(Some(words.to_dtype(inputs.dtype())?))
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Embedding)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Embedding {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        if step.needs_input_gradient {
            return Err(Error::argument(
                "layers before it",
                "none that learns, as ids have no gradient",
                "one that does",
                "put the Embedding first, behind the Input",
            ));
        }
        let ids = match step.kept.first() {
            Some(ids) => ids.clone(),
            None => self.ids(step.inputs)?,
        };
        let rows = gradient
            .reshape((ids.elem_count(), self.output_dim))?
            .contiguous()?;
        let embeddings = step.weight("embeddings")?;
        let sums = if ops::in_memory(&[&rows, embeddings]) {
            let (rows, ids) = (ops::numbers(&rows)?, ids.to_vec1::<u32>()?);
            let sums = ops::scatter::add_rows(&rows, &ids, self.input_dim, self.output_dim);
            Tensor::from_vec(sums, embeddings.shape(), embeddings.device())?
        } else {
            embeddings.zeros_like()?.index_add(&ids, &rows, 0)?
        };
        Ok(Gradients {
            inputs: None,
            weights: vec![sums],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{optimizers::Optimizer, prelude::*};

    fn build(layer: Embedding) -> Result<Sequential> {
        let model = Sequential::new().add(Input::new(2)).add(layer).seed(1);
        model.build(&Device::Cpu)
    }

    #[test]
    fn ids_of_any_number_type_and_shape_get_their_vectors() -> Result<()> {
        for shape in [vec![], vec![2], vec![2, 1]] {
            let input = Input::new(&shape[..]);
            let model = Sequential::new().add(input).add(Embedding::new(4, 3));
            let model = model.build(&Device::Cpu)?;
            let vectors = model.weight("embedding/embeddings")?.to_vec2::<f32>()?;
            let ids: Vec<u32> = (0..2 * shape.iter().product::<usize>() as u32).collect();
            let x = Tensor::from_vec(ids.clone(), [&[2], &shape[..]].concat(), &Device::Cpu)?;
            for dtype in [DType::U8, DType::U32, DType::I64, DType::F32, DType::F64] {
                let y = model.predict(&x.to_dtype(dtype)?)?;
                assert_eq!(y.dims(), [&[2], &shape[..], &[3]].concat());
                let y = y.reshape(((), 3))?.to_vec2::<f32>()?;
                let expected = ids.iter().map(|id| vectors[*id as usize].clone());
                assert_eq!(y, expected.collect::<Vec<_>>());
            }
        }
        Ok(())
    }

    #[test]
    fn vectors_start_uniform_between_limits_of_five_hundredths() -> Result<()> {
        let model = build(Embedding::new(1000, 10))?;
        let numbers: Vec<f32> = model
            .weight("embedding/embeddings")?
            .flatten_all()?
            .to_vec1()?;
        let least = numbers.iter().copied().fold(f32::INFINITY, f32::min);
        let greatest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!((-0.05..-0.0499).contains(&least) && (0.0499..=0.05).contains(&greatest));
        Ok(())
    }

    #[test]
    fn an_id_that_the_layer_does_not_have_is_an_error() -> Result<()> {
        let mut model = build(Embedding::new(5, 2))?;
        model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
        let y = Tensor::zeros((1, 2, 2), DType::F32, &Device::Cpu)?;
        let mut text = |ids: [f64; 2]| {
            let x = Tensor::new(&[ids], &Device::Cpu).unwrap();
            let trained = model.train_on_batch(&x, &y).unwrap_err().to_string();
            assert_eq!(trained, model.predict(&x).unwrap_err().to_string());
            trained
        };
        assert_eq!(
            text([0.0, 5.0]),
            "layer `embedding` (Embedding): `ids`: expected whole numbers from 0 to 4, as input_dim \
             is 5, got 5: make input_dim the largest id + 1, or mend the ids"
        );
        for (id, got) in [(-1.0, "got -1:"), (0.5, "got 0.5:"), (f64::NAN, "got NaN:")] {
            assert!(text([0.0, id]).contains(got));
        }
        Ok(())
    }

    #[test]
    fn sizes_that_cannot_be_are_errors() {
        let text = |input_dim, output_dim| {
            let model = build(Embedding::new(input_dim, output_dim));
            model.unwrap_err().to_string()
        };
        assert_eq!(
            text(0, 2),
            "layer `embedding` (Embedding): `input_dim`: expected at least 1, got 0: give the \
             largest id + 1"
        );
        assert_eq!(
            text(2, 0),
            "layer `embedding` (Embedding): `output_dim`: expected at least 1, got 0: give the \
             length of the vectors"
        );
        assert_eq!(
            text(EXACT_IN_F32 + 1, 1),
            "layer `embedding` (Embedding): `input_dim`: expected at most 16777216, as f32 tells no \
             more ids apart, got 16777217: several rare ids can share one"
        );
    }

    #[test]
    fn a_layer_that_learns_before_it_is_an_error() -> Result<()> {
        let network = Sequential::new().add(Input::new(1)).add(Dense::new(2));
        let mut model = network.add(Embedding::new(5, 2)).build(&Device::Cpu)?;
        model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
        let x = Tensor::zeros((1, 1), DType::F32, &Device::Cpu)?;
        let y = Tensor::zeros((1, 2, 2), DType::F32, &Device::Cpu)?;
        assert_eq!(
            model.train_on_batch(&x, &y).unwrap_err().to_string(),
            "layer `embedding` (Embedding): `layers before it`: expected none that learns, as ids \
             have no gradient, got one that does: put the Embedding first, behind the Input"
        );
        Ok(())
    }

    #[test]
    fn a_mask_is_zero_where_the_id_is() -> Result<()> {
        let x = Tensor::new(&[[3f32, 0.0], [0.0, 1.0]], &Device::Cpu)?;
        assert!(Embedding::new(5, 2).mask(&x)?.is_none());
        let mask = Embedding::new(5, 2).mask_zero(true).mask(&x)?;
        let mask = mask.expect("a mask").to_vec2::<f32>()?;
        assert_eq!(mask, [[1.0, 0.0], [0.0, 1.0]]);
        Ok(())
    }

    #[test]
    fn only_vectors_of_ids_that_come_change_and_a_constraint_holds() -> Result<()> {
        use crate::constraints::NonNeg;
        let layer = Embedding::new(4, 2).embeddings_constraint(NonNeg);
        let mut model = build(layer)?;
        let start = Tensor::full(0.25f32, (4, 2), &Device::Cpu)?;
        model.set_weight("embedding/embeddings", &start)?;
        model.compile(Sgd::new(1.0), MeanSquaredError::new(), ())?;
        let x = Tensor::new(&[[1u32, 3]], &Device::Cpu)?;
        let y = Tensor::new(&[[[-9f32, 0.25], [0.25, 1.25]]], &Device::Cpu)?;
        model.train_on_batch(&x, &y)?;
        // The mean over four numbers: a step of half the error.
        let expected = [[0.25, 0.25], [0.0, 0.25], [0.25, 0.25], [0.25, 0.75]];
        assert_eq!(
            model.weight("embedding/embeddings")?.to_vec2::<f32>()?,
            expected
        );
        Ok(())
    }

    #[test]
    fn a_word_that_comes_twice_in_a_batch_has_the_sum_of_both_gradients() -> Result<()> {
        // Keras 3.15.1 on JAX: Input(3), Embedding(4, 2, "ones"), Flatten, mse, two steps on
        // x = [[1, 1, 2]], y = 0; the first number of word 1. Keras on TensorFlow squares each of
        // the two gradients alone: 0.7181, 0.3276 and 0.7990.
        let optimizers: [(Box<dyn Optimizer>, f32); 3] = [
            (Adam::new(0.1).into(), 0.800_414_74),
            (RMSprop::new(0.1).into(), 0.498_871_1),
            (Adagrad::new(0.1).into(), 0.846_154_7),
        ];
        for (optimizer, expected) in optimizers {
            let words = Embedding::new(4, 2).embeddings_initializer(crate::initializers::Ones);
            let model = Sequential::new().add(Input::new(3)).add(words);
            let mut model = model.add(Flatten::new()).build(&Device::Cpu)?;
            model.compile(optimizer, MeanSquaredError::new(), ())?;
            let x = Tensor::new(&[[1f32, 1.0, 2.0]], &Device::Cpu)?;
            let y = Tensor::zeros((1, 6), DType::F32, &Device::Cpu)?;
            model.fit(&x, &y, Fit::new().epochs(2).verbose(0))?;
            let got = model.weight("embedding/embeddings")?.to_vec2::<f32>()?[1][0];
            assert!((got / expected - 1.0).abs() < 1e-6, "{got}, {expected}");
        }
        Ok(())
    }
}
