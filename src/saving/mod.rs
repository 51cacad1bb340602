//! Files of models: one file a format.

mod architecture;
mod atomic;
mod backup;
mod compiled;
mod early_sync;
mod hdf5;
mod keras;
mod legacy_h5;
mod limits;
mod number;
mod onnx;
mod safetensors;
mod weights;
mod weights_h5;

pub(crate) use backup::{ADVICE as BACKUP_ADVICE, Backup, Backups, Expected, Position};
pub(crate) use number::Number;

use crate::{Error, Result, Sequential};
use std::{io, path::Path};

/// The formats of weights alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum WeightsFormat {
    /// Keras's HDF5, which holds what the optimizer keeps as well.
    Hdf5,
    Safetensors,
}

impl WeightsFormat {
    /// The format of a file by its name.
    ///
    /// # Errors
    /// When the name ends in none of theirs.
    pub(crate) fn of(argument: &str, path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".weights.h5") {
            return Ok(Self::Hdf5);
        }
        if name.ends_with(".safetensors") {
            return Ok(Self::Safetensors);
        }
        let expected = "a name that ends in .weights.h5 or .safetensors";
        let advice = "`save` writes whole models, as .keras";
        Err(Error::argument(argument, expected, path.display(), advice))
    }
}

/// An error unless the name is one of a file of a whole model.
pub(crate) fn check_model_file(argument: &str, path: &Path) -> Result<()> {
    if path
        .extension()
        .is_some_and(|extension| extension == "keras")
    {
        return Ok(());
    }
    let advice = "`save_weights` writes weights alone, as .weights.h5 or .safetensors";
    let expected = "a name that ends in .keras";
    Err(Error::argument(argument, expected, path.display(), advice))
}

/// Makes the folder that a file is to be written into, where there is none.
pub(crate) fn make_folder_of(path: &Path) -> Result<()> {
    let made = atomic::make_folder(atomic::folder_of(path));
    made.map_err(|error| of_file(path, error))
}

/// An error for weights that no reader takes: a file of them must not replace one that can be loaded.
fn check_finite(model: &Sequential, path: &Path) -> Result<()> {
    let Some(weight) = model.weight_not_finite()? else {
        return Ok(());
    };
    let problem = format!(
        "not written: `{weight}` holds a number that is not finite, and weights like that are not loaded"
    );
    let advice = "train with a smaller learning rate, or go back to weights that are finite";
    Err(saved(path, problem, advice))
}

fn of_file(path: &Path, error: io::Error) -> Error {
    Error::File {
        path: path.to_path_buf(),
        error,
    }
}

fn saved(path: &Path, problem: impl std::fmt::Display, advice: &'static str) -> Error {
    Error::SavedFile {
        path: path.to_path_buf(),
        problem: problem.to_string(),
        advice,
    }
}

/// An error of an HDF5 file that is read: of the system, or of what it holds.
fn not_hdf5(path: &Path, error: hdf5::Error) -> Error {
    match error.io_error().filter(|error| may_pass(error)) {
        Some(of_system) => of_file(path, io::Error::new(of_system.kind(), error.to_string())),
        None => saved(path, error, "save the weights again, here or in Keras 3"),
    }
}

/// Whether it is the system that does not give what is in a file, which may be whole: another try may do.
fn may_pass(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    !matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}

/// An error of an HDF5 file that is written: of the system, or of a name or a shape.
fn unwritten(path: &Path, error: hdf5::Error) -> Error {
    match error.io_error().map(io::Error::kind) {
        Some(kind) => of_file(path, io::Error::new(kind, error.to_string())),
        None => saved(path, error, "give layers other names"),
    }
}
