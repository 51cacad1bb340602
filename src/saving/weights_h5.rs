//! Weights, and what the optimizer keeps, as Keras's HDF5: a `.weights.h5` file, or the part of a
//! `.keras` file.

use super::hdf5::{
    self, Dtype,
    read::{Attribute, Dataset, File, Number, Object, ReadAt},
    write::Group,
};
use super::{limits::MOST_STEPS, not_hdf5};
use crate::{
    Error, Result, Sequential,
    error::tuple,
    model::{chain::Node, names::snake_case},
    ops::{self, all_finite},
    optimizers::Stored,
    printing::warn,
    weights::Weight,
};
use candle_core::{DType, Device, Tensor, Var, WithDType};
use pulp::bytemuck::cast_slice;
use std::{
    collections::HashMap,
    io::{self, Write},
    path::Path,
};

/// Numbers that are written at once: 256 KB.
const AT_ONCE: usize = 1 << 16;

/// The group of every layer: `layers/dense_1`, counted for each class whatever layers are called.
fn groups(model: &Sequential) -> Vec<(String, &Node)> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    let nodes = model.chain.iter().flat_map(|chain| &chain.nodes);
    let named = nodes.map(|node| {
        let class = snake_case(node.layer.class_name());
        let count = counts.entry(class.clone()).or_default();
        let group = match *count {
            0 => format!("layers/{class}"),
            count => format!("layers/{class}_{count}"),
        };
        *count += 1;
        (group, node)
    });
    named.collect()
}

/// A layer's weights in the order of Keras's files: those that training changes first.
fn in_file_order(node: &Node) -> Vec<&Weight> {
    let (trained, others): (Vec<&Weight>, Vec<&Weight>) =
        node.weights.iter().partition(|weight| weight.learns());
    [trained, others].concat()
}

// ---- writing ------------------------------------------------------------------------------------

/// All that Keras writes of a model.
pub(super) fn tree(model: &Sequential) -> hdf5::Result<Group<'_>> {
    let mut root = Group::root();
    root.group("vars")?.attribute("name", "sequential")?;
    for (group, node) in groups(model) {
        let vars = root.group(&format!("{group}/vars"))?;
        vars.attribute("name", &node.name)?;
        for (index, weight) in in_file_order(node).into_iter().enumerate() {
            add_tensor(vars, index, weight.value())?;
        }
    }
    if let (Some(compiled), Some(chain)) = (&model.compiled, &model.chain) {
        let optimizer = &compiled.optimizer;
        let settings = optimizer.rule.settings();
        let vars = root.group("optimizer/vars")?;
        vars.attribute("name", optimizer.rule.name())?;
        let iteration = i64::try_from(optimizer.steps).unwrap_or(i64::MAX);
        add_bytes(vars, 0, Dtype::I64, iteration.to_le_bytes().to_vec())?;
        let mut next = 1;
        if settings.schedule().is_none() {
            add_number(vars, next, settings.learning_rate(optimizer.steps))?;
            next += 1;
        }
        for (index, stored) in optimizer.stored(chain.weights()).into_iter().enumerate() {
            match stored {
                Stored::Kept(variable) => add_tensor(vars, next + index, variable.as_tensor())?,
                Stored::Number(number) => add_number(vars, next + index, number)?,
            }
        }
        for (index, kept) in optimizer.resting(chain.weights()) {
            let vars = root.group(&format!("{}/vars", resting_group(index)))?;
            for (index, variable) in kept.into_iter().enumerate() {
                add_tensor(vars, index, variable.as_tensor())?;
            }
        }
    }
    Ok(root)
}

/// The group of what the optimizer keeps of a weight that is not trained at the moment, by the weight's
/// place in the model. Keras, which has nothing like it, passes over it.
fn resting_group(index: usize) -> String {
    format!("candle_keras/optimizer/{index}")
}

/// Adds a group of tensors.
pub(super) fn add_tensors<'a>(
    root: &mut Group<'a>,
    group: &str,
    tensors: &'a [Tensor],
) -> hdf5::Result<()> {
    if tensors.is_empty() {
        return Ok(());
    }
    let vars = root.group(&format!("{group}/vars"))?;
    let mut tensors = tensors.iter().enumerate();
    tensors.try_for_each(|(index, tensor)| add_tensor(vars, index, tensor))
}

/// A number of f32.
fn add_number(vars: &mut Group<'_>, index: usize, number: f64) -> hdf5::Result<()> {
    add_bytes(
        vars,
        index,
        Dtype::F32,
        (number as f32).to_le_bytes().to_vec(),
    )
}

/// A single number.
fn add_bytes(vars: &mut Group<'_>, index: usize, dtype: Dtype, bytes: Vec<u8>) -> hdf5::Result<()> {
    let write = move |out: &mut dyn Write| out.write_all(&bytes);
    vars.dataset(&index.to_string(), dtype, &[], write)?;
    Ok(())
}

fn add_tensor<'a>(vars: &mut Group<'a>, index: usize, tensor: &'a Tensor) -> hdf5::Result<()> {
    let dtype = match tensor.dtype() {
        DType::F64 => Dtype::F64,
        _ => Dtype::F32,
    };
    let write = move |out: &mut dyn Write| write_numbers(tensor, out);
    vars.dataset(&index.to_string(), dtype, tensor.dims(), write)?;
    Ok(())
}

/// A tensor's numbers, in pieces, so that there is no second copy of it.
pub(super) fn write_numbers(tensor: &Tensor, out: &mut dyn Write) -> io::Result<()> {
    let other = |error: candle_core::Error| io::Error::other(error);
    if tensor.dtype() == DType::F64 {
        let flat = tensor.flatten_all().map_err(other)?;
        let numbers = flat.to_vec1::<f64>().map_err(other)?;
        return write_pieces(&numbers, |x| x.to_le_bytes(), out);
    }
    if ops::in_memory(&[tensor]) {
        let numbers = ops::numbers(tensor).map_err(io::Error::other)?;
        if cfg!(target_endian = "little") {
            // In pieces that a cache holds, since a zip adds them up for its checksum as well.
            let mut pieces = numbers.chunks(AT_ONCE);
            return pieces.try_for_each(|piece| out.write_all(cast_slice(piece)));
        }
        return write_pieces(&numbers, |x| x.to_le_bytes(), out);
    }
    let flat = tensor.flatten_all().map_err(other)?;
    let numbers = flat.to_vec1::<f32>().map_err(other)?;
    write_pieces(&numbers, |x| x.to_le_bytes(), out)
}

fn write_pieces<T: Copy, const SIZE: usize>(
    numbers: &[T],
    bytes: impl Fn(T) -> [u8; SIZE],
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut piece = Vec::with_capacity(AT_ONCE * SIZE);
    for numbers in numbers.chunks(AT_ONCE) {
        piece.clear();
        piece.extend(numbers.iter().flat_map(|x| bytes(*x)));
        out.write_all(&piece)?;
    }
    Ok(())
}

// ---- reading ------------------------------------------------------------------------------------

/// A file of weights and its name, for messages.
pub(super) struct Saved<'a, R> {
    pub(super) file: File<R>,
    pub(super) path: &'a Path,
    pub(super) layout: Layout,
}

/// How weights are named.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Layout {
    /// By their layers' classes, `layers/dense_1/vars/0`: Keras 3.
    Classes,
    /// By their layers' names, in lists of attributes: the `.h5` files before it.
    Names,
}

impl<R: ReadAt> Saved<'_, R> {
    /// An error about the file.
    pub(super) fn wrong(&self, problem: impl std::fmt::Display) -> Error {
        Error::SavedFile {
            path: self.path.to_path_buf(),
            problem: problem.to_string(),
            advice: "load it into a model of the same layers as the one that was saved",
        }
    }

    /// The datasets of a layer's weights.
    fn of_layer(&self, group: &str, node: &Node) -> Result<Vec<Dataset>> {
        match self.layout {
            Layout::Classes => self.variables(group),
            Layout::Names => self.listed(&format!("model_weights/{}", node.name)),
        }
    }

    /// The datasets of what the optimizer keeps.
    fn of_optimizer(&self) -> Result<Vec<Dataset>> {
        match self.layout {
            Layout::Classes => self.variables("optimizer"),
            Layout::Names => self.listed("optimizer_weights"),
        }
    }

    /// The datasets that a group lists; none where there is no group.
    fn listed(&self, group: &str) -> Result<Vec<Dataset>> {
        let of_file = |error| not_hdf5(self.path, error);
        if self.file.find(group).map_err(of_file)?.is_none() {
            return Ok(Vec::new());
        }
        let names = self
            .file
            .attribute(group, "weight_names")
            .map_err(of_file)?;
        let names = match names {
            Some(Attribute::Strings(names)) => names,
            _ => Vec::new(), // an empty list is one of numbers
        };
        let dataset = |name: String| self.file.dataset(&format!("{group}/{name}"));
        names
            .into_iter()
            .map(|name| dataset(name).map_err(of_file))
            .collect()
    }

    /// The datasets of a group of variables, `0`, `1` and so on; none where there is no group.
    fn variables(&self, group: &str) -> Result<Vec<Dataset>> {
        let of_file = |error| not_hdf5(self.path, error);
        let path = format!("{group}/vars");
        let names = match self.file.find(&path).map_err(of_file)? {
            Some(Object::Group) => self.file.children(&path).map_err(of_file)?,
            _ => return Ok(Vec::new()),
        };
        let variable = |index: usize| {
            let dataset = self.file.dataset(&format!("{path}/{index}"));
            dataset.map_err(of_file)
        };
        (0..names.len()).map(variable).collect()
    }

    /// Gives a variable the numbers of a dataset of the same shape; whether all are finite.
    fn fill(&self, variable: &Var, dataset: &Dataset) -> Result<bool> {
        let of_file = |error| not_hdf5(self.path, error);
        let tensor = variable.as_tensor();
        if tensor.elem_count() == 0 {
            return Ok(true); // candle takes the strides of (3, 0) for numbers that overlap
        }
        if ops::in_memory(&[tensor]) {
            return ops::write(tensor, |numbers| {
                let read = self.file.read_into(dataset, numbers, f32::is_finite);
                read.map_err(of_file)
            });
        }
        let read = match tensor.dtype() {
            DType::F64 => self.read::<f64>(dataset)?,
            _ => self.read::<f32>(dataset)?,
        };
        variable.set(&read.to_device(tensor.device())?)?;
        all_finite(tensor)
    }

    /// A dataset's numbers in the CPU's memory.
    fn read<T: Number + WithDType>(&self, dataset: &Dataset) -> Result<Tensor> {
        let numbers = self.file.read_as::<T>(dataset, dataset.elements());
        let numbers = numbers.map_err(|error| not_hdf5(self.path, error))?;
        Ok(Tensor::from_vec(numbers, dataset.shape(), &Device::Cpu)?)
    }

    /// The tensors of a group, on a device; none where there is no group.
    pub(super) fn tensors(&self, group: &str, device: &Device) -> Result<Vec<Tensor>> {
        let read = |dataset: Dataset| -> Result<Tensor> {
            let dtype = match dataset.dtype() {
                Dtype::F64 => DType::F64,
                _ => DType::F32,
            };
            let zeros = Tensor::zeros(dataset.shape(), dtype, device)?;
            let tensor = Var::from_tensor(&zeros)?;
            self.fill(&tensor, &dataset)?;
            Ok(tensor.as_detached_tensor())
        };
        self.variables(group)?.into_iter().map(read).collect()
    }

    /// The datasets of all weights, each in the shape of its own.
    fn weights<'m>(&self, model: &'m Sequential) -> Result<Vec<(&'m Weight, Dataset)>> {
        let mut all = Vec::new();
        for (group, node) in groups(model) {
            let weights = in_file_order(node);
            let variables = self.of_layer(&group, node)?;
            if weights.len() != variables.len() {
                let (expected, got) = (weights.len(), variables.len());
                let (name, class) = (&node.name, node.layer.class_name());
                let problem = format!(
                    "layer `{name}` ({class}), {group}: expected {expected} weights, got {got}"
                );
                return Err(self.wrong(problem));
            }
            for (weight, dataset) in weights.into_iter().zip(variables) {
                self.check_shape(weight.path(), weight.value(), &dataset)?;
                all.push((weight, dataset));
            }
        }
        Ok(all)
    }

    /// A weight, and its place where that has another name.
    fn named(&self, name: &str, dataset: &Dataset) -> String {
        match dataset.path() {
            place if place == name => format!("`{name}`"),
            place => format!("`{name}`, {place}"),
        }
    }

    pub(super) fn check_shape(&self, name: &str, tensor: &Tensor, dataset: &Dataset) -> Result<()> {
        if tensor.dims() == dataset.shape() {
            return Ok(());
        }
        let (expected, got) = (tuple(tensor.dims()), tuple(dataset.shape()));
        let name = self.named(name, dataset);
        Err(self.wrong(format!("{name}: expected shape {expected}, got {got}")))
    }

    /// Gives a model all weights of the file. Where something does not fit, none is changed.
    pub(super) fn load_weights(&self, model: &Sequential) -> Result<()> {
        self.fill_all(&self.weights(model)?)
    }

    /// Gives weights the numbers of datasets. Where one is not finite, none is changed: all are read
    /// twice, so that no second copy of the model is needed.
    pub(super) fn fill_all(&self, weights: &[(&Weight, Dataset)]) -> Result<()> {
        for (weight, dataset) in weights {
            let finite = match weight.value().dtype() {
                DType::F64 => self.file.all(dataset, f64::is_finite),
                _ => self.file.all(dataset, f32::is_finite),
            };
            if !finite.map_err(|error| not_hdf5(self.path, error))? {
                return Err(self.not_finite(weight, dataset));
            }
        }
        for (weight, dataset) in weights {
            self.fill(weight.variable(), dataset)?;
        }
        Ok(())
    }

    /// The same for a model that nobody has yet, of which half may be changed.
    pub(super) fn load_fresh(&self, model: &Sequential) -> Result<()> {
        for (weight, dataset) in self.weights(model)? {
            if !self.fill(weight.variable(), &dataset)? {
                return Err(self.not_finite(weight, &dataset));
            }
        }
        Ok(())
    }

    fn not_finite(&self, weight: &Weight, dataset: &Dataset) -> Error {
        let name = self.named(weight.path(), dataset);
        Error::SavedFile {
            path: self.path.to_path_buf(),
            problem: format!("{name}: holds a number that is not finite"),
            advice: "save weights that are finite",
        }
    }

    /// Gives a compiled model's optimizer what it had kept. A file that does not hold it, or of
    /// another optimizer, leaves it as it is, after a line on standard error, as in Keras.
    pub(super) fn load_optimizer(&self, model: &mut Sequential) -> Result<()> {
        let variables = self.of_optimizer()?;
        let (Some(compiled), Some(chain)) = (&mut model.compiled, &model.chain) else {
            return Ok(());
        };
        let Some(iteration) = variables.first() else {
            return Ok(());
        };
        let steps = self.number(iteration)?.clamp(0.0, MOST_STEPS as f64) as u64;
        let optimizer = &mut compiled.optimizer;
        let has_rate = optimizer.rule.settings().schedule().is_none();
        let own = 1 + usize::from(has_rate);
        let stored = optimizer.stored(chain.weights());
        let kept = variables.get(own..).unwrap_or_default();
        let fits = |(stored, dataset): (&Stored<'_>, &Dataset)| match stored {
            Stored::Kept(variable) => variable.dims() == dataset.shape(),
            Stored::Number(_) => true,
        };
        if kept.len() != stored.len() || !stored.iter().zip(kept).all(fits) {
            // Before the first step there is nothing to miss.
            if steps > 0 {
                warn(&format!(
                    "{}: skipped what the optimizer `{}` had kept: it has {} variables and the file {}, of \
                     other shapes or another optimizer",
                    self.path.display(),
                    optimizer.rule.name(),
                    own + stored.len(),
                    variables.len(),
                ));
            }
            return Ok(());
        }
        let rate = variables.get(1).filter(|_| has_rate);
        let rate = rate.map(|dataset| -> Result<f64> {
            let rate = self.number(dataset)?;
            let checked = crate::optimizers::check_learning_rate(rate);
            checked.map_err(|error| self.wrong(format!("{}: {error}", dataset.path())))?;
            Ok(rate)
        });
        let rate = rate.transpose()?;
        for (stored, dataset) in stored.iter().zip(kept) {
            if let Stored::Kept(variable) = stored {
                self.fill(variable, dataset)?;
            }
        }
        optimizer.steps = steps;
        let settings = optimizer.rule.settings_mut();
        // The configuration has the rate in f64, unless it was changed since.
        if let Some(rate) = rate.filter(|rate| settings.learning_rate(0) as f32 != *rate as f32) {
            settings.set_learning_rate(rate)?;
        }
        self.load_resting(model)
    }

    /// Gives the optimizer what it had kept of weights that are not trained at the moment.
    fn load_resting(&self, model: &mut Sequential) -> Result<()> {
        let (Some(compiled), Some(chain)) = (&mut model.compiled, &model.chain) else {
            return Ok(());
        };
        if self.layout == Layout::Names {
            return Ok(());
        }
        let weights = chain.weights().enumerate();
        for (index, weight) in weights.filter(|(_, weight)| !weight.trainable()) {
            let datasets = self.variables(&resting_group(index))?;
            if datasets.is_empty() {
                continue;
            }
            let shapes: Vec<&[usize]> = datasets.iter().map(Dataset::shape).collect();
            let Some(kept) = compiled.optimizer.rest(index, weight, &shapes)? else {
                warn(&format!(
                    "{}: skipped what the optimizer had kept of `{}`: it is of another optimizer",
                    self.path.display(),
                    weight.path(),
                ));
                continue;
            };
            for (variable, dataset) in kept.into_iter().zip(&datasets) {
                self.fill(variable, dataset)?;
            }
        }
        Ok(())
    }

    /// A single number.
    fn number(&self, dataset: &Dataset) -> Result<f64> {
        let numbers: Vec<f64> = self
            .file
            .read_as(dataset, 1)
            .map_err(|error| not_hdf5(self.path, error))?;
        let number = numbers.first().copied();
        number.ok_or_else(|| self.wrong(format!("{}: expected one number", dataset.path())))
    }
}
