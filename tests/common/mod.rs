//! What several test files need.

use candle_keras::datasets::{Dataset, mnist};
use std::path::{Path, PathBuf};

/// The real MNIST, where this machine has it: in `CANDLE_KERAS_DATA` or beside the repository in
/// `../shared/data/mnist`. Elsewhere `None`, after a line that says that the test skips.
#[allow(dead_code, reason = "each test file compiles this module for itself")]
pub fn real_mnist() -> Option<Dataset> {
    let mut folders = Vec::new();
    if let Some(data) = std::env::var_os("CANDLE_KERAS_DATA").map(PathBuf::from) {
        folders.extend([data.join("mnist"), data]);
    }
    folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/mnist"));
    let has_it = |folder: &PathBuf| {
        ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"]
            .iter()
            .any(|name| folder.join(name).is_file())
    };
    match folders.into_iter().find(has_it) {
        Some(folder) => Some(mnist::load_from(folder).expect("the files of MNIST are whole")),
        None => {
            eprintln!("skipped: no MNIST in CANDLE_KERAS_DATA");
            None
        }
    }
}
