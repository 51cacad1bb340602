use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass,
    affine::{Affine, affine_setters},
    axes_last::{AxesLast, axes_of_samples, check_epsilon},
    layer_access, layer_setters,
    row_normalization::NormalizedRows,
};
use crate::{
    Axes, Error, Result, constraints::Constraint, initializers::Initializer,
    regularizers::Regularizer, weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Brings every group of a sample's channels to a mean near 0 and a standard deviation near 1:
/// y = γ·(x - mean)/√(variance + ε) + β, with the mean and the biased variance over a group of
/// neighbouring channels and all other axes of the sample. It does the same in training as
/// elsewhere.
///
/// # Shapes
/// Outputs have the shape of the inputs. Weights `gamma` and `beta`: (channels).
///
/// # Defaults
/// 32 `groups`, of which -1 means one for each channel; `axis` -1, the last one; `epsilon` 0.001, the
/// ε; `center` and `scale`: β, which starts with zeros, and γ, which starts with ones.
///
/// ```
/// use candle_keras::{layers::GroupNormalization, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new((28, 28, 8)))
///     .add(GroupNormalization::new().groups(4).name("normal"))
///     .build(&Device::Cpu)?;
/// assert_eq!(model.weight("normal/gamma")?.dims(), [8]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for an axis that the inputs do not have or that is the batch's, for groups that
/// do not divide its length, and for an epsilon that is not above 0.
///
/// Keras: `GroupNormalization` (Wu and He, 2018, "Group normalization").
#[derive(Debug, Serialize, Deserialize)]
pub struct GroupNormalization {
    groups: i64,
    axis: i64,
    epsilon: f64,
    #[serde(flatten)]
    affine: Affine,
    #[serde(flatten)]
    base: Base,
}

impl Default for GroupNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl GroupNormalization {
    /// A layer of 32 groups of the last axis's channels.
    pub fn new() -> Self {
        Self {
            groups: 32,
            axis: -1,
            epsilon: 1e-3,
            affine: Affine::default(),
            base: Base::default(),
        }
    }

    /// Into how many groups the channels are divided; -1: each is one.
    pub fn groups(mut self, groups: i64) -> Self {
        self.groups = groups;
        self
    }

    /// The axis of the channels; 0 is the batch's, -1, the default, the last one.
    pub fn axis(mut self, axis: i64) -> Self {
        self.axis = axis;
        self
    }

    /// What is added to the variance, so that its root is not 0; 0.001 by default.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    affine_setters!();
    layer_setters!();

    /// How many groups this many channels have.
    fn groups_of(&self, channels: usize) -> Result<usize> {
        let groups = match self.groups {
            -1 => Some(channels),
            groups => usize::try_from(groups).ok(),
        };
        groups
            .filter(|groups| *groups > 0 && channels.is_multiple_of(*groups))
            .ok_or_else(|| {
                Error::argument(
                    "groups",
                    format!("a divisor of the {channels} channels, or -1"),
                    self.groups,
                    "every group has as many channels; -1 makes each channel one",
                )
            })
    }

    /// The groups of tensors of shape `dims`.
    fn grouped(&self, dims: &[usize]) -> Result<Grouped> {
        let axes = Axes::One(self.axis).resolve(dims.len())?;
        let axis = axes.first().copied().unwrap_or_default();
        let channels = dims[axis];
        let groups = self.groups_of(channels)?;
        // (batch, .., groups, channels of one, ..)
        let mut apart = dims.to_vec();
        apart[axis] = channels / groups;
        apart.insert(axis, groups);
        let within: Vec<usize> = (1..apart.len()).filter(|index| *index != axis).collect();
        let mut weights = vec![1; dims.len()];
        weights[axis] = channels;
        Ok(Grouped {
            last: AxesLast::new(&within, &apart),
            apart,
            whole: dims.to_vec(),
            weights,
        })
    }
}

/// How tensors of one shape are divided into groups.
struct Grouped {
    last: AxesLast,
    /// The shape with the groups on an axis of their own.
    apart: Vec<usize>,
    /// The shape as it is.
    whole: Vec<usize>,
    /// A weight's shape beside it.
    weights: Vec<usize>,
}

impl Grouped {
    /// Every group as a row: (batch·groups, numbers of a group).
    fn rows(&self, tensor: &Tensor) -> Result<Tensor> {
        self.last.rows(&tensor.reshape(&self.apart[..])?)
    }

    /// Rows as the tensor that they come from.
    fn back(&self, rows: &Tensor) -> Result<Tensor> {
        Ok(self.last.back(rows)?.reshape(&self.whole[..])?)
    }

    /// A weight, (channels), to be repeated beside the tensor.
    fn beside(&self, weight: &Tensor) -> Result<Tensor> {
        Ok(weight.reshape(&self.weights[..])?)
    }

    /// The sums of the channels' numbers, (channels).
    fn sums(&self, tensor: &Tensor) -> Result<Tensor> {
        let others = self.weights.iter().enumerate();
        let others = others.filter(|(axis, _)| self.weights[*axis] == 1);
        let axes: Vec<usize> = others.map(|(axis, _)| axis).collect();
        Ok(tensor.sum_keepdim(axes)?.flatten_all()?)
    }
}

impl GroupNormalization {
    fn normalized<'a>(&self, x: &'a Tensor) -> NormalizedRows<'a> {
        NormalizedRows {
            x,
            gamma: None,
            beta: None,
            epsilon: self.epsilon,
            centered: true,
        }
    }
}

impl Layer for GroupNormalization {
    layer_access!("GroupNormalization");

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        check_epsilon(self.epsilon)?;
        let axes = axes_of_samples(&Axes::One(self.axis), input_shape)?;
        let shape: Vec<usize> = axes.iter().map(|axis| input_shape[axis - 1]).collect();
        self.groups_of(shape.iter().product())?;
        self.affine.build(&shape, weights)
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let groups = self.grouped(inputs.dims())?;
        let x = groups.rows(inputs)?;
        let mut y = groups.back(&self.normalized(&x).outputs()?)?;
        if let Some(gamma) = self.affine.gamma(|name| pass.weight(name))? {
            y = y.broadcast_mul(&groups.beside(gamma)?)?;
        }
        if let Some(beta) = self.affine.beta(|name| pass.weight(name))? {
            y = y.broadcast_add(&groups.beside(beta)?)?;
        }
        Ok(y)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::GroupNormalization {
            groups: self.groups,
            axis: self.axis,
            epsilon: self.epsilon,
        })
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for GroupNormalization {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let groups = self.grouped(step.inputs.dims())?;
        let x = groups.rows(step.inputs)?;
        let rows = self.normalized(&x);
        let scaled = match self.affine.gamma(|name| step.weight(name))? {
            Some(gamma) => gradient.broadcast_mul(&groups.beside(gamma)?)?,
            None => gradient.clone(),
        };
        let inputs = rows.gradients(&groups.rows(&scaled)?)?.x;
        let normalized = groups.back(&rows.outputs()?)?; // x̂
        let of_gamma = groups.sums(&(gradient * normalized)?)?;
        let of_beta = groups.sums(gradient)?;
        Ok(Gradients {
            inputs: Some(groups.back(&inputs)?),
            weights: self.affine.gradients(of_gamma, of_beta),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::alone::{Alone, fused_as_plain, numbers};
    use candle_core::DType;

    #[test]
    fn gradients_are_those_of_differences() {
        let new = |groups| GroupNormalization::new().groups(groups);
        for (layer, shape) in [
            (new(2), &[3, 6][..]),
            (new(1), &[2, 3, 4]),
            (new(-1), &[2, 3, 2]),
            (new(2).axis(1), &[2, 4, 3]),
            (new(3).axis(-2).epsilon(0.1), &[2, 2, 3, 2]),
            (new(2).center(false), &[2, 3, 4]),
            (new(2).scale(false), &[2, 3, 4]),
        ] {
            let layer = Alone::new(layer, &shape[1..], DType::F64).unwrap();
            layer.randomize();
            layer.check_gradients(&numbers("x", shape), Some(1));
        }
    }

    #[test]
    fn outputs_and_gradients_in_f32_are_those_in_f64() {
        for shape in [&[5, 8][..], &[3, 7, 7, 16], &[2, 40, 12]] {
            for (groups, axis) in [(4, -1), (1, -1), (-1, -1), (1, 1)] {
                let what = format!("{groups} groups of {shape:?} along {axis}");
                let layer = || GroupNormalization::new().groups(groups).axis(axis).into();
                fused_as_plain(&what, layer, &numbers("x", shape), Some(1));
            }
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors_that_name_them() {
        let new = GroupNormalization::new;
        for (layer, message) in [
            (
                new(),
                "`groups`: expected a divisor of the 6 channels, or -1, got 32",
            ),
            (
                new().groups(4),
                "`groups`: expected a divisor of the 6 channels, or -1, got 4",
            ),
            (
                new().groups(0),
                "`groups`: expected a divisor of the 6 channels, or -1, got 0",
            ),
            (
                new().groups(-2),
                "`groups`: expected a divisor of the 6 channels, or -1, got -2",
            ),
            (
                new().epsilon(0.0),
                "`epsilon`: expected a number above 0, got 0",
            ),
            (
                new().axis(0),
                "`axis`: expected an axis of the samples, got the batch's",
            ),
        ] {
            let error = Alone::new(layer, &[6], DType::F32).err().unwrap();
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }
}
