//! A layer's weights, named and in order.

use crate::{
    Error, Result, constraints::Constraint, error::known, error::tuple, initializers::Initializer,
    ops::all_finite, regularizers::Regularizer, seed::Stream,
};
use candle_core::{DType, Device, Tensor, Var};
use std::sync::Arc;

/// One weight: a tensor that a layer keeps from step to step.
#[derive(Debug, Clone)]
pub struct Weight {
    name: String,
    path: String,
    variable: Var,
    value: Tensor,
    /// Whether it is one that training changes, unless its layer is frozen.
    learns: bool,
    frozen: bool,
    regularizer: Option<Arc<dyn Regularizer>>,
    constraint: Option<Arc<dyn Constraint>>,
}

impl Weight {
    /// A weight by itself, for [`Optimization`](crate::optimizers::Optimization) without a model.
    /// Its name is what follows the last `/` of `path`.
    ///
    /// # Errors
    /// When candle cannot allocate.
    pub fn new(path: &str, values: &Tensor) -> Result<Self> {
        let variable = Var::from_tensor(&values.force_contiguous()?)?;
        Ok(Self::of(path, variable))
    }

    fn of(path: &str, variable: Var) -> Self {
        Self {
            name: path.rsplit('/').next().unwrap_or_default().to_string(),
            path: path.to_string(),
            value: variable.as_detached_tensor(),
            variable,
            learns: true,
            frozen: false,
            regularizer: None,
            constraint: None,
        }
    }

    /// Its name within the layer: `kernel`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name within the model: `dense/kernel`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether training changes it.
    pub fn trainable(&self) -> bool {
        self.learns && !self.frozen
    }

    /// Whether training changes it where its layer is not frozen.
    pub(crate) fn learns(&self) -> bool {
        self.learns
    }

    /// Keeps training from changing it, or lets it again.
    pub(crate) fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// What it adds to the loss, where it is trained.
    pub(crate) fn regularizer(&self) -> Option<&dyn Regularizer> {
        let regularizer = self.regularizer.as_deref();
        regularizer.filter(|_| self.trainable())
    }

    /// What every update brings it back to.
    pub(crate) fn constraint(&self) -> Option<&dyn Constraint> {
        self.constraint.as_deref()
    }

    /// A copy of its numbers as they are now.
    ///
    /// # Errors
    /// When candle cannot allocate.
    pub fn copy(&self) -> Result<Tensor> {
        Ok(self.value.force_contiguous()?)
    }

    /// Gives it new numbers.
    ///
    /// # Errors
    /// When the shape is another, or a number is not finite.
    pub(crate) fn set(&self, values: &Tensor) -> Result<()> {
        self.check(values)?;
        self.replace(values)
    }

    /// The same without a look at the numbers, for which a device would be waited for.
    ///
    /// # Errors
    /// When the shape is another.
    pub(crate) fn replace(&self, values: &Tensor) -> Result<()> {
        self.check_shape(values)?;
        let values = values.to_device(self.value.device())?;
        let values = values.to_dtype(self.value.dtype())?.force_contiguous()?;
        Ok(self.variable.set(&values.detach())?)
    }

    /// An error for numbers that it cannot have.
    pub(crate) fn check(&self, values: &Tensor) -> Result<()> {
        self.check_shape(values)?;
        check_finite(&self.path, values)
    }

    fn check_shape(&self, values: &Tensor) -> Result<()> {
        if values.shape() == self.value.shape() {
            return Ok(());
        }
        let advice = "give as many numbers as the weight has, in its shape";
        let (expected, got) = (tuple(self.value.dims()), tuple(values.dims()));
        Err(Error::argument(&self.path, expected, got, advice))
    }

    /// candle's variable, which autograd tracks.
    pub fn variable(&self) -> &Var {
        &self.variable
    }

    /// Its numbers as they are now and will be: the tensor changes with every training step.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// Its size in numbers.
    pub fn count(&self) -> usize {
        self.value.elem_count()
    }
}

/// What weights begin with.
#[derive(Debug)]
pub(crate) enum First<'a> {
    /// What their initializers draw.
    Drawn,
    /// Zeros for a file to fill, which may take so many bytes more.
    Zeros(&'a mut u64),
}

/// Where a layer's `build` asks for its weights.
#[derive(Debug)]
pub struct WeightBuilder<'a> {
    pub(crate) layer: &'a str,
    pub(crate) device: &'a Device,
    pub(crate) dtype: DType,
    pub(crate) seed: u64,
    pub(crate) first: First<'a>,
    pub(crate) weights: Vec<Weight>,
}

impl WeightBuilder<'_> {
    /// A weight that training changes.
    ///
    /// # Errors
    /// When the layer has a weight of this name, the initializer does not take the shape, gives too
    /// few or too many numbers, or candle cannot allocate.
    pub fn add(
        &mut self,
        name: &str,
        shape: &[usize],
        initializer: &dyn Initializer,
    ) -> Result<()> {
        self.push(name, shape, initializer, true)
    }

    /// A weight that only the layer itself changes, such as a moving mean.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    pub fn add_non_trainable(
        &mut self,
        name: &str,
        shape: &[usize],
        initializer: &dyn Initializer,
    ) -> Result<()> {
        self.push(name, shape, initializer, false)
    }

    /// Lets a weight that was added add a penalty to the loss; none by default.
    ///
    /// # Errors
    /// When there is no weight of this name, or an argument of the regularizer is out of range.
    pub fn regularize(
        &mut self,
        name: &str,
        regularizer: Option<Arc<dyn Regularizer>>,
    ) -> Result<()> {
        let weight = self.find(name)?;
        if let Some(regularizer) = &regularizer {
            let checked = regularizer.check();
            checked.map_err(|error| Error::of_part("regularizer of", &weight.path, error))?;
        }
        weight.regularizer = regularizer;
        Ok(())
    }

    /// Has a weight that was added brought back by `constraint` after every update; by none by
    /// default.
    ///
    /// # Errors
    /// When there is no weight of this name, or an argument of the constraint is out of range or does
    /// not fit it.
    pub fn constrain(&mut self, name: &str, constraint: Option<Arc<dyn Constraint>>) -> Result<()> {
        let weight = self.find(name)?;
        if let Some(constraint) = &constraint {
            let checked = constraint.check(weight.value.dims());
            checked.map_err(|error| Error::of_part("constraint of", &weight.path, error))?;
        }
        weight.constraint = constraint;
        Ok(())
    }

    fn find(&mut self, name: &str) -> Result<&mut Weight> {
        let names = known(self.weights.iter().map(Weight::name));
        let mut weights = self.weights.iter_mut();
        let found = weights.find(|weight| weight.name == name);
        found.ok_or(Error::Unknown {
            kind: "weight of the layer",
            name: name.to_string(),
            known: names,
        })
    }

    fn push(
        &mut self,
        name: &str,
        shape: &[usize],
        initializer: &dyn Initializer,
        learns: bool,
    ) -> Result<()> {
        if self.weights.iter().any(|weight| weight.name == name) {
            return Err(Error::argument(
                "weight name",
                "a name that the layer has once",
                name,
                "name every weight differently",
            ));
        }
        let path = format!("{}/{name}", self.layer);
        if let First::Zeros(left) = &mut self.first {
            take(left, &path, shape, self.dtype)?;
        }
        check_size(&path, shape)?;
        let weight = match &self.first {
            First::Drawn => Weight::of(&path, self.drawn(name, &path, shape, initializer)?),
            // A variable from the start: as a copy its memory would be written before the file is.
            First::Zeros(_) => Weight::of(&path, Var::zeros(shape, self.dtype, self.device)?),
        };
        self.weights.push(Weight { learns, ..weight });
        Ok(())
    }
}

impl WeightBuilder<'_> {
    /// A weight's first numbers.
    fn drawn(
        &self,
        name: &str,
        path: &str,
        shape: &[usize],
        initializer: &dyn Initializer,
    ) -> Result<Var> {
        let mut stream = Stream::new(self.seed, &format!("weights/{path}"), 0);
        let values = initializer.values(shape, &mut stream)?;
        let count = shape.iter().product::<usize>();
        if values.len() != count {
            return Err(Error::argument(
                format!("initializer of {name}"),
                format!("{count} numbers"),
                values.len(),
                "give as many numbers as the shape holds",
            ));
        }
        if self.dtype == DType::F32 && self.device.is_cpu() {
            // The numbers themselves, not a copy of them.
            let variable = Var::from_vec(values, shape, self.device)?;
            check_finite(path, &variable)?;
            return Ok(variable);
        }
        let values = Tensor::from_vec(values, shape, self.device)?.to_dtype(self.dtype)?;
        check_finite(path, &values)?;
        Ok(Var::from_tensor(&values)?)
    }
}

/// An error for numbers that no weight can start with.
fn check_finite(path: &str, values: &Tensor) -> Result<()> {
    if all_finite(values)? {
        return Ok(());
    }
    let advice = "training could not mend it";
    Err(Error::argument(
        path,
        "finite numbers",
        "NaN or an infinite one",
        advice,
    ))
}

/// Takes a weight's bytes from those that a file can fill.
fn take(left: &mut u64, path: &str, shape: &[usize], dtype: DType) -> Result<()> {
    let size = dtype.size_in_bytes();
    let bytes = shape
        .iter()
        .try_fold(size, |bytes, length| bytes.checked_mul(*length));
    if let Some(rest) = bytes.and_then(|bytes| left.checked_sub(bytes as u64)) {
        *left = rest;
        return Ok(());
    }
    let expected = format!("weights of at most {left} bytes more, which the file may hold");
    let advice = "the file is damaged, or claims more weights than it has";
    Err(Error::argument(path, expected, tuple(shape), advice))
}

/// An error for a weight that the memory cannot hold: better here than an abort in an initializer.
fn check_size(path: &str, shape: &[usize]) -> Result<()> {
    let count = shape
        .iter()
        .try_fold(1, |count: usize, length| count.checked_mul(*length));
    let fits = |count: &usize| Vec::<f32>::new().try_reserve_exact(*count).is_ok();
    if count.filter(fits).is_some() {
        return Ok(());
    }
    let advice = "give the layer fewer units or the Input fewer features";
    let expected = "a shape that fits into memory";
    Err(Error::argument(path, expected, tuple(shape), advice))
}
