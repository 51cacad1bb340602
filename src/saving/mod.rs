//! Files of models: one file a format.

mod atomic;
mod safetensors;

pub(crate) use safetensors::check_weights_file;

use crate::{Error, Result};
use std::path::Path;

/// Makes the folder that a file is to be written into, where there is none.
pub(crate) fn make_folder_of(path: &Path) -> Result<()> {
    std::fs::create_dir_all(atomic::folder_of(path)).map_err(|error| Error::File {
        path: path.to_path_buf(),
        error,
    })
}
