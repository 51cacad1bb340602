//! Every error of the crate.
//!
//! A message says which layer or argument is meant, what was expected, what came, and what to do. It
//! holds the message of the error behind it, which is not given as a source as well: a program that
//! prints a chain of errors would show it twice.

use crate::History;
use std::path::PathBuf;

/// The crate's result type.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A model without a layer.
    #[error(
        "the model has no layers: start with .add(Input::new(features)), then add layers such as .add(Dense::new(units))"
    )]
    NoLayers,

    /// The first layer is not an `Input`.
    #[error(
        "expected an Input as the first layer, got `{first}`: start the model with .add(Input::new(features))"
    )]
    NoInput {
        /// The layer that stands first.
        first: String,
    },

    /// An `Input` that is not the first layer.
    #[error(
        "the layer at position {position}, counted from 0, is an Input, expected one only at position 0: remove it"
    )]
    MisplacedInput {
        /// Its index in the order of `add`.
        position: usize,
    },

    /// Two layers with one name.
    #[error(
        "two layers are named `{name}`, expected every name once: rename one of them with .name(..)"
    )]
    DuplicateName {
        /// The name.
        name: String,
    },

    /// An error inside a layer, with the layer's name.
    #[error("layer `{layer}` ({class_name}): {error}")]
    Layer {
        /// The layer's name in the model.
        layer: String,
        /// The layer's class, as in Keras.
        class_name: String,
        /// What went wrong.
        error: Box<Error>,
    },

    /// An error inside a loss or a metric, with its name.
    #[error("{kind} `{name}`: {error}")]
    Part {
        /// `loss` or `metric`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What went wrong.
        error: Box<Error>,
    },

    /// A shape that a layer cannot take.
    #[error("expected an input of shape {expected}, got {got}: {advice}")]
    Shape {
        /// The shape that fits.
        expected: String,
        /// The shape that came.
        got: String,
        /// What to do.
        advice: String,
    },

    /// An argument outside its range.
    #[error("`{argument}`: expected {expected}, got {got}: {advice}")]
    Argument {
        /// The argument's name.
        argument: String,
        /// What fits.
        expected: String,
        /// What came.
        got: String,
        /// What to do.
        advice: String,
    },

    /// A model that was used before `build`.
    #[error("`{method}` needs a built model: call .build(&device)? after the last .add(..)")]
    NotBuilt {
        /// The method that was called.
        method: &'static str,
    },

    /// A model that was trained or evaluated before `compile`.
    #[error(
        "`{method}` needs a compiled model: call model.compile(optimizer, loss, metrics)? before it"
    )]
    NotCompiled {
        /// The method that was called.
        method: &'static str,
    },

    /// Inputs and targets that do not pair up.
    #[error(
        "x has {x} samples and y has {y}, expected as many of each: pair every sample with its target"
    )]
    Lengths {
        /// Samples in x.
        x: usize,
        /// Samples in y.
        y: usize,
    },

    /// Data without a sample.
    #[error(
        "`{argument}` holds no samples, expected at least one: check how it was loaded or sliced"
    )]
    Empty {
        /// The argument's name.
        argument: &'static str,
    },

    /// Samples whose shape is not the model's.
    #[error("`{argument}`: expected shape {expected}, got {got}: {advice}")]
    Samples {
        /// The argument's name.
        argument: &'static str,
        /// The shape that fits, `n` standing for the number of samples.
        expected: String,
        /// The shape that came.
        got: String,
        /// What to do.
        advice: String,
    },

    /// A class label that the model's output has no column for.
    #[error(
        "y: sample {sample} has label {label}, expected a whole number from 0 to {last}: the model's output has {classes} columns, so give its last layer a unit for each class, or mend the labels, which count from 0",
        last = .classes.saturating_sub(1)
    )]
    Label {
        /// The label.
        label: f64,
        /// The sample's index in y.
        sample: usize,
        /// The classes that the model's output has.
        classes: usize,
    },

    /// Training met a number that is not finite.
    #[error(
        "epoch {epoch}, step {step}: {what}; training stopped there, and the model keeps the weights {kept}: {advice}"
    )]
    NotFinite {
        /// The epoch, from 1.
        epoch: usize,
        /// The step within the epoch, from 1.
        step: usize,
        /// What is not finite.
        what: String,
        /// Which weights the model has now.
        kept: String,
        /// What to do.
        advice: &'static str,
        /// The epochs before this one.
        history: Box<History>,
    },

    /// A method that was called from a callback while `fit` runs.
    #[error(
        "`{method}` was called from a callback while fit runs: call it after fit, and use model.stop_training() to end fit early"
    )]
    InFit {
        /// The method that was called.
        method: &'static str,
    },

    /// A weight or input that a layer's `forward`, or outputs that a loss's `call`, cuts off.
    #[error(
        "no gradient reaches {what}: {place} does not use it, or uses an operation that candle cannot differentiate; take one that it can (candle_nn::ops::softmax, not softmax_last_dim), or {advice}"
    )]
    NoGradient {
        /// The weight or input.
        what: String,
        /// The method in which the gradient is lost.
        place: &'static str,
        /// What else to do.
        advice: &'static str,
    },

    /// A name that the model does not have.
    #[error("no {kind} is named `{name}`: {known}")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// The name that came.
        name: String,
        /// The names that exist, as text.
        known: String,
    },

    /// A file of a dataset that is not what its name says.
    #[error("{}: {problem}: fetch the file again", path.display())]
    DatasetFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A dataset that is neither on this machine nor to be had.
    #[error(
        "no {dataset} data: expected {files} (each as it is or with .gz) in {folders}{hub}: {advice}"
    )]
    DatasetMissing {
        /// The dataset's name.
        dataset: &'static str,
        /// The files that are needed.
        files: String,
        /// The folders that were searched.
        folders: String,
        /// Why the hub did not help.
        hub: String,
        /// What to do.
        advice: &'static str,
    },

    /// A file that could not be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },

    /// A file of a model that does not fit.
    #[error("{}: {problem}: {advice}", path.display())]
    SavedFile {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
        /// What to do.
        advice: &'static str,
    },

    /// A backup of a running `fit` that could not be written, or brought to the disk.
    #[error(
        "the backup {when} failed: {error}; fit ends there, and the model keeps the weights that it has: save it elsewhere with model.save(..), or make the folder writable and start again"
    )]
    Backup {
        /// How far the training was.
        when: String,
        /// Why.
        error: Box<Error>,
    },

    /// A training that was ended by
    /// [`BackupAndRestore::interrupted_by`](crate::callbacks::BackupAndRestore::interrupted_by).
    #[error("training was interrupted {when}: {advice}")]
    Interrupted {
        /// How far the training was.
        when: String,
        /// The backup to go on from, if there is one.
        backup: Option<PathBuf>,
        /// What to do.
        advice: String,
    },

    /// A device that is not there.
    #[error("device `{name}`: {problem}: {advice}")]
    Device {
        /// The device as it was asked for.
        name: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        advice: String,
    },

    /// An error in the data to validate on.
    #[error("validation_data: {0}")]
    ValidationData(Box<Error>),

    /// A callback's own error.
    #[error("callback: {0}")]
    Callback(Box<dyn std::error::Error + Send + Sync>),

    /// An error of candle's.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

impl Error {
    /// An error of a callback's own: `std::fs::write(..).map_err(Error::callback)?`.
    pub fn callback(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Callback(error.into())
    }

    /// An error with the name of the loss or metric that it comes from.
    pub(crate) fn of_part(kind: &'static str, name: &str, error: Self) -> Self {
        Self::Part {
            kind,
            name: name.to_string(),
            error: Box::new(error),
        }
    }

    /// A shape that a layer cannot take.
    pub fn shape(
        expected: impl Into<String>,
        got: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::Shape {
            expected: expected.into(),
            got: got.into(),
            advice: advice.into(),
        }
    }

    /// An argument outside its range.
    pub fn argument(
        argument: impl Into<String>,
        expected: impl Into<String>,
        got: impl std::fmt::Display,
        advice: impl Into<String>,
    ) -> Self {
        Self::Argument {
            argument: argument.into(),
            expected: expected.into(),
            got: cut(got.to_string()),
            advice: advice.into(),
        }
    }
}

/// A text for a message, without its end where it is long: it may come from a file.
fn cut(mut text: String) -> String {
    /// Some lines of a terminal.
    const MOST: usize = 600;
    if let Some((end, _)) = text.char_indices().nth(MOST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The names to choose from, for a message: `` expected one of `a`, `b` ``.
pub(crate) fn known<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() {
        return "there are none".to_string();
    }
    format!("expected one of {}", names.join(", "))
}

/// A shape as Keras prints it: `(None, 28, 28)`, where `None` stands for the batch.
pub(crate) fn batched(sample_shape: &[usize]) -> String {
    leading("None", sample_shape)
}

/// The shape of data whose number of samples is open: `(n, 784)`, `(n,)`.
pub(crate) fn of_samples(sample_shape: &[usize]) -> String {
    leading("n", sample_shape)
}

fn leading(first: &str, sample_shape: &[usize]) -> String {
    if sample_shape.is_empty() {
        return format!("({first},)");
    }
    let lengths = sample_shape.iter().map(|length| format!(", {length}"));
    format!("({first}{})", lengths.collect::<String>())
}

/// A shape as Python prints a tuple: `(784,)`, `(28, 28)`.
pub(crate) fn tuple(shape: &[usize]) -> String {
    match shape {
        [length] => format!("({length},)"),
        _ => {
            let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
            format!("({})", lengths.join(", "))
        }
    }
}
