use crate::{Error, Result, error::known, saving::Number};
use std::ops::Index;

/// Numbers by name, in the order of the names: `accuracy`, `loss`, `val_accuracy`, `val_loss`.
///
/// `logs["loss"]` reads one; it panics for a name that is not there, as a map's index does, and
/// [`get`](Self::get) does not.
///
/// A metric of several numbers, such as one for each class, is here with their mean;
/// [`values`](Self::values) has all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logs(Vec<Log>);

#[derive(Debug, Clone, PartialEq)]
struct Log {
    name: String,
    value: f64,
    /// What `value` is the mean of.
    values: Vec<f64>,
}

impl Logs {
    /// The number of this name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.find(name).map(|log| log.value)
    }

    /// All numbers of this name: one, or as many as the metric has.
    pub fn values(&self, name: &str) -> Option<&[f64]> {
        self.find(name).map(|log| log.values.as_slice())
    }

    fn find(&self, name: &str) -> Option<&Log> {
        self.0.iter().find(|log| log.name == name)
    }

    /// Names and numbers in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|log| (log.name.as_str(), log.value))
    }

    /// Puts in a number, at the end if its name is new: that is where a callback's additions
    /// stand, as in Keras.
    pub fn insert(&mut self, name: impl Into<String>, value: f64) {
        self.insert_values(name, vec![value]);
    }

    /// The same for a metric of several numbers, one for each class for example: their mean is what
    /// is shown and goes into the history, and [`values`](Self::values) has them all.
    ///
    /// ```
    /// use candle_keras::prelude::*;
    /// let mut logs = Logs::default();
    /// logs.insert_values("recall", vec![0.5, 1.0]);
    /// assert_eq!(logs["recall"], 0.75);
    /// assert_eq!(logs.values("recall"), Some(&[0.5, 1.0][..]));
    /// ```
    pub fn insert_values(&mut self, name: impl Into<String>, values: Vec<f64>) {
        let log = Log {
            name: name.into(),
            value: values.iter().sum::<f64>() / values.len() as f64,
            values,
        };
        match self.0.iter_mut().find(|old| old.name == log.name) {
            Some(old) => *old = log,
            None => self.0.push(log),
        }
    }

    /// Puts in all numbers of others, with `prefix` before their names.
    pub(crate) fn extend(&mut self, prefix: &str, others: &Self) {
        for log in &others.0 {
            self.insert_values(format!("{prefix}{}", log.name), log.values.clone());
        }
    }

    /// Brings the names into order, as Keras does before every callback.
    pub(crate) fn sort(&mut self) {
        self.0.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

impl Index<&str> for Logs {
    type Output = f64;

    fn index(&self, name: &str) -> &f64 {
        match self.find(name) {
            Some(log) => &log.value,
            None => panic!("{}", unknown(name, self.iter().map(|(name, _)| name))),
        }
    }
}

/// Every epoch's numbers by name, as `fit` gives them.
///
/// `history["val_loss"]` is a slice with one number for each epoch; it panics for a name that is
/// not there, as a map's index does, and [`get`](Self::get) does not.
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// # let x = Tensor::ones((4, 1), DType::F32, &Device::Cpu)?;
/// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// # model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
/// let history = model.fit(&x, &x, Fit::new().epochs(3).verbose(0))?;
/// assert_eq!(history["loss"].len(), 3);
/// assert!(history.get("val_loss").is_err()); // there was no validation
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    epochs: Vec<usize>,
    columns: Vec<(String, Vec<f64>)>,
}

impl History {
    /// The numbers of this name, one for each epoch that has it.
    ///
    /// # Errors
    /// When no epoch has it.
    pub fn get(&self, name: &str) -> Result<&[f64]> {
        let found = self.columns.iter().find(|(key, _)| key == name);
        match found {
            Some((_, values)) => Ok(values),
            None => Err(unknown(name, self.names())),
        }
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Names with their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[f64])> {
        self.columns
            .iter()
            .map(|(name, values)| (name.as_str(), values.as_slice()))
    }

    /// The epochs, counted from 0.
    pub fn epochs(&self) -> &[usize] {
        &self.epochs
    }

    /// All numbers, for a backup.
    pub(crate) fn to_numbers(&self) -> Vec<(String, Vec<Number>)> {
        let numbers = |values: &[f64]| values.iter().copied().map(Number).collect();
        let columns = self.iter();
        columns
            .map(|(name, values)| (name.to_string(), numbers(values)))
            .collect()
    }

    /// The history of a backup.
    pub(crate) fn from_numbers(epochs: &[usize], columns: &[(String, Vec<Number>)]) -> Self {
        let values = |numbers: &[Number]| numbers.iter().map(|Number(value)| *value).collect();
        let columns = columns.iter();
        Self {
            epochs: epochs.to_vec(),
            columns: columns
                .map(|(name, numbers)| (name.clone(), values(numbers)))
                .collect(),
        }
    }

    /// Adds an epoch.
    pub(crate) fn push(&mut self, epoch: usize, logs: &Logs) {
        self.epochs.push(epoch);
        for (name, value) in logs.iter() {
            match self.columns.iter_mut().find(|(key, _)| key == name) {
                Some((_, values)) => values.push(value),
                None => self.columns.push((name.to_string(), vec![value])),
            }
        }
    }
}

impl Index<&str> for History {
    type Output = [f64];

    fn index(&self, name: &str) -> &[f64] {
        match self.get(name) {
            Ok(values) => values,
            Err(error) => panic!("{error}"),
        }
    }
}

fn unknown<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Error {
    Error::Unknown {
        kind: "loss or metric",
        name: name.to_string(),
        known: known(names),
    }
}
