use super::{Callback, State};
use crate::{Error, Logs, Result, Sequential, python};
use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::PathBuf,
};

/// Writes the logs of every epoch into a file, a row for each, which can be read at once.
///
/// The first line has the names: `epoch`, which counts from 0, and those of the first epoch's logs
/// in order. Where no name begins with `val_`, there is a column for each with `val_` before it as
/// well, for a validation after a later epoch. A number that an epoch does not have is `NA`; of a
/// metric of several numbers there is a list. Lines end in CR LF.
///
/// # Defaults
/// `separator` ',', `append` false: a file that exists is overwritten.
///
/// ```
/// use candle_keras::{callbacks::CSVLogger, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// # let x = Tensor::ones((8, 1), DType::F32, &Device::Cpu)?;
/// # let mut model = Sequential::new().add(Input::new(1)).add(Dense::new(1)).build(&Device::Cpu)?;
/// # model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
/// # let folder = tempfile::tempdir()?;
/// let file = folder.path().join("training.csv");
/// let options = Fit::new().epochs(2).validation_split(0.25).verbose(0);
/// model.fit(&x, &x, options.callback(CSVLogger::new(&file)))?;
/// let text = std::fs::read_to_string(&file)?;
/// assert!(text.starts_with("epoch,loss,val_loss\r\n0,"));
/// assert_eq!(text.lines().count(), 3);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `fit` fails when the file cannot be written, or the separator is a quote or a line break.
///
/// Keras: `CSVLogger`. Numbers are those of the logs in f64, where Keras's are f32.
#[derive(Debug)]
pub struct CSVLogger {
    filename: PathBuf,
    separator: char,
    append: bool,
    file: Option<File>,
    /// The names of the columns after `epoch`, from the first epoch on.
    keys: Option<Vec<String>>,
    /// Whether the names are still to be written.
    header: bool,
}

impl CSVLogger {
    /// Into this file.
    pub fn new(filename: impl Into<PathBuf>) -> Self {
        Self {
            filename: filename.into(),
            separator: ',',
            append: false,
            file: None,
            keys: None,
            header: true,
        }
    }

    /// What stands between the columns.
    pub fn separator(mut self, separator: char) -> Self {
        self.separator = separator;
        self
    }

    /// Whether rows are added to a file that exists, without a second line of names.
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    fn check(&self) -> Result<()> {
        if !matches!(self.separator, '"' | '\r' | '\n') {
            return Ok(());
        }
        let expected = "a character that is no quote and no line break";
        let got = self.separator.escape_default();
        Err(Error::argument(
            "separator",
            expected,
            got,
            "',' is Keras's default",
        ))
    }

    fn unwritable(&self, error: std::io::Error) -> Error {
        Error::File {
            path: self.filename.clone(),
            error,
        }
    }

    /// Opens the file; whether it has lines.
    fn open(&self) -> std::io::Result<(File, bool)> {
        let mut options = OpenOptions::new();
        let options = match self.append {
            true => options.append(true),
            false => options.write(true).truncate(true),
        };
        let file = options.create(true).open(&self.filename)?;
        let has_lines = file.metadata()?.len() > 0;
        Ok((file, has_lines))
    }

    /// Opens the file to go on where it had `length` bytes: what follows was written after the backup
    /// that training goes on from. Whether it has lines.
    fn reopen(&self, length: u64) -> std::io::Result<(File, bool)> {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false);
        let mut file = options.open(&self.filename)?;
        let length = length.min(file.metadata()?.len());
        file.set_len(length)?;
        file.seek(SeekFrom::End(0))?;
        Ok((file, length > 0))
    }

    /// A line of the file.
    fn line(&self, fields: impl Iterator<Item = String>) -> String {
        let fields: Vec<String> = fields.map(|field| self.quoted(field)).collect();
        let mut line = fields.join(self.separator.encode_utf8(&mut [0; 4]));
        line.push_str("\r\n");
        line
    }

    /// A field, in quotes where it would not be one without.
    fn quoted(&self, field: String) -> String {
        if !field.contains([self.separator, '"', '\r', '\n']) {
            return field;
        }
        format!("\"{}\"", field.replace('"', "\"\""))
    }

    /// The epoch's lines: its numbers, after the names in the first.
    fn lines(&mut self, epoch: usize, logs: &Logs) -> String {
        let keys = self.keys.take().unwrap_or_else(|| keys(logs));
        let mut lines = String::new();
        if std::mem::take(&mut self.header) {
            let names = ["epoch".to_string()]
                .into_iter()
                .chain(keys.iter().cloned());
            lines.push_str(&self.line(names));
        }
        let numbers = keys.iter().map(|key| field(logs.values(key)));
        lines.push_str(&self.line([epoch.to_string()].into_iter().chain(numbers)));
        self.keys = Some(keys);
        lines
    }
}

/// The names of the columns.
fn keys(logs: &Logs) -> Vec<String> {
    let mut keys: Vec<String> = logs.iter().map(|(name, _)| name.to_string()).collect();
    keys.sort();
    if !keys.iter().any(|key| key.starts_with("val_")) {
        let validated: Vec<String> = keys.iter().map(|key| format!("val_{key}")).collect();
        keys.extend(validated);
    }
    keys
}

/// A number as Keras writes it; of several a list in quotes.
fn field(values: Option<&[f64]>) -> String {
    match values {
        None => "NA".to_string(),
        Some([value]) => python::repr(*value),
        Some(values) => {
            let values: Vec<String> = values.iter().map(|value| python::repr(*value)).collect();
            format!("\"[{}]\"", values.join(", "))
        }
    }
}

impl Callback for CSVLogger {
    fn on_train_begin(&mut self, _model: &mut Sequential) -> Result<()> {
        self.check()?;
        let (file, has_lines) = self.open().map_err(|error| self.unwritable(error))?;
        self.file = Some(file);
        self.keys = None;
        self.header = !has_lines;
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let length = self
            .file
            .as_ref()
            .map_or(Ok(0), |file| Ok(file.metadata()?.len()));
        let length = length.map_err(|error| self.unwritable(error))?;
        State::of((length, self.keys.clone()))
    }

    fn on_train_resume(&mut self, state: State, _model: &mut Sequential) -> Result<()> {
        self.check()?;
        let length;
        (length, self.keys) = state.read()?;
        let (file, has_lines) = self
            .reopen(length)
            .map_err(|error| self.unwritable(error))?;
        self.file = Some(file);
        self.header = !has_lines;
        Ok(())
    }

    fn on_epoch_end(
        &mut self,
        epoch: usize,
        logs: &mut Logs,
        _model: &mut Sequential,
    ) -> Result<()> {
        let lines = self.lines(epoch, logs);
        // Unbuffered, so that the row is in the file at once.
        let written = self
            .file
            .as_mut()
            .map_or(Ok(()), |file| file.write_all(lines.as_bytes()));
        written.map_err(|error| self.unwritable(error))
    }

    fn on_train_end(&mut self, _model: &mut Sequential) -> Result<()> {
        self.file = None;
        Ok(())
    }
}
