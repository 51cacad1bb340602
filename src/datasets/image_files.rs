//! What MNIST and Fashion-MNIST share: four files, looked for in the same places.

use super::{
    Dataset,
    idx::{IdxFile, Kind},
};
use crate::{Data, Error, Result, error::tuple};
use candle_core::{Device, Tensor};
use std::path::{Path, PathBuf};

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";
const NAMES: [&str; 4] = [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS];

/// Height and width of an image.
pub(super) const SIZE: usize = 28;
const CLASSES: u8 = 10;

/// A dataset of four IDX files.
pub(super) struct ImageFiles {
    /// Its name in messages.
    pub(super) name: &'static str,
    /// The folder that it has to itself.
    pub(super) folder: &'static str,
    /// Whether `$CANDLE_KERAS_DATA` itself may hold the files.
    pub(super) at_the_top: bool,
    /// What to do when the files are missing.
    pub(super) advice: &'static str,
    /// Fetches it from the hub, or says why not.
    pub(super) hub: fn() -> std::result::Result<Dataset, String>,
}

impl ImageFiles {
    /// Loads it from the first folder that has it, or else from the hub.
    pub(super) fn load_data(&self) -> Result<Dataset> {
        let data = std::env::var_os("CANDLE_KERAS_DATA").map(PathBuf::from);
        self.load(&self.folders(data, dirs::cache_dir()))
    }

    /// Loads it from `folder` alone.
    pub(super) fn load_from(&self, folder: &Path) -> Result<Dataset> {
        match search(&[folder.to_path_buf()]) {
            Ok(found) => found.load(),
            Err(folders) => Err(self.missing(
                folders,
                String::new(),
                "put the files there or give load_from their folder",
            )),
        }
    }

    /// Where the files may lie, the first place first.
    fn folders(&self, data: Option<PathBuf>, cache: Option<PathBuf>) -> Vec<PathBuf> {
        let mut folders = Vec::new();
        if let Some(data) = data.filter(|data| !data.as_os_str().is_empty()) {
            folders.push(data.join(self.folder));
            if self.at_the_top {
                folders.push(data);
            }
        }
        folders.extend(cache.map(|cache| cache.join("candle-keras").join(self.folder)));
        folders
    }

    fn load(&self, folders: &[PathBuf]) -> Result<Dataset> {
        match search(folders) {
            Ok(found) => found.load(),
            Err(folders) => (self.hub)()
                .map_err(|reason| self.missing(folders, format!(", and {reason}"), self.advice)),
        }
    }

    fn missing(&self, folders: String, hub: String, advice: &'static str) -> Error {
        Error::DatasetMissing {
            dataset: self.name,
            files: NAMES.join(", "),
            folders,
            hub,
            advice,
        }
    }
}

/// The four files, in the order of `NAMES`, each with or without `.gz`.
struct Found([PathBuf; 4]);

/// The first folder with all four files, or a text of the folders and what they lack.
fn search(folders: &[PathBuf]) -> std::result::Result<Found, String> {
    let mut searched = Vec::new();
    for folder in folders {
        let files = NAMES.map(|name| {
            [folder.join(name), folder.join(format!("{name}.gz"))]
                .into_iter()
                .find(|path| path.is_file())
        });
        let lacking: Vec<&str> = NAMES
            .into_iter()
            .zip(&files)
            .filter_map(|(name, file)| file.is_none().then_some(name))
            .collect();
        match files {
            [Some(a), Some(b), Some(c), Some(d)] => return Ok(Found([a, b, c, d])),
            _ if lacking.len() < NAMES.len() => searched.push(format!(
                "{} (which lacks {})",
                folder.display(),
                lacking.join(", ")
            )),
            _ => searched.push(folder.display().to_string()),
        }
    }
    match searched.is_empty() {
        true => Err("the folder that CANDLE_KERAS_DATA names (it is not set)".to_string()),
        false => Err(searched.join(" or ")),
    }
}

impl Found {
    fn load(&self) -> Result<Dataset> {
        let Self([train_images, train_labels, test_images, test_labels]) = self;
        // The small half first: a mistake in it then costs no wait for the large one.
        let (test_images, test_labels) = pair(test_images, test_labels)?;
        let (train_images, train_labels) = pair(train_images, train_labels)?;
        Ok(Dataset {
            train_images,
            train_labels,
            test_images,
            test_labels,
        })
    }
}

/// Images and their labels. Both headers and all labels are checked before an image is read.
fn pair(image_path: &Path, label_path: &Path) -> Result<(Data, Tensor)> {
    let images = IdxFile::open(image_path, Kind::Images)?;
    let count = match images.dims() {
        [0, ..] => return Err(images.problem("expected at least one image, got 0")),
        [count, SIZE, SIZE] => *count,
        other => {
            return Err(images.problem(format!(
                "expected images of shape ({SIZE}, {SIZE}), got {}",
                tuple(other.get(1..).unwrap_or_default())
            )));
        }
    };
    let labels = IdxFile::open(label_path, Kind::Labels)?;
    if labels.dims() != [count] {
        return Err(labels.problem(format!(
            "expected {count} labels, one for each image of {}, got {}",
            image_path.file_name().unwrap_or_default().display(),
            labels.dims().iter().product::<usize>()
        )));
    }
    let labels = labels.read()?;
    check_labels(&labels).map_err(|problem| Error::DatasetFile {
        path: label_path.to_path_buf(),
        problem,
    })?;
    let images = images.read()?;
    Ok((
        Tensor::from_vec(images, (count, SIZE, SIZE), &Device::Cpu)?.into(),
        Tensor::from_vec(labels, count, &Device::Cpu)?,
    ))
}

/// Names the first label that is none of the ten classes.
pub(super) fn check_labels(labels: &[u8]) -> std::result::Result<(), String> {
    match labels.iter().position(|label| *label >= CLASSES) {
        None => Ok(()),
        Some(sample) => Err(format!(
            "expected labels from 0 to {}, got {} at sample {sample}",
            CLASSES - 1,
            labels[sample]
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datasets::{fashion_mnist, mnist};
    use std::fs;

    /// One image and one label in each half, all of `value`.
    fn write(folder: &Path, value: u8) {
        fs::create_dir_all(folder).unwrap();
        for (images, labels) in [(TRAIN_IMAGES, TRAIN_LABELS), (TEST_IMAGES, TEST_LABELS)] {
            let mut bytes = Vec::from([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28]);
            bytes.resize(16 + 784, value);
            fs::write(folder.join(images), bytes).unwrap();
            fs::write(folder.join(labels), [0, 0, 8, 1, 0, 0, 0, 1, value]).unwrap();
        }
    }

    fn label(data: &Dataset) -> u8 {
        data.train_labels.to_vec1::<u8>().unwrap()[0]
    }

    fn without_hub(files: &ImageFiles) -> ImageFiles {
        ImageFiles {
            hub: || Err("the hub is asleep".to_string()),
            ..*files
        }
    }

    #[test]
    fn looks_in_its_own_folder_then_at_the_top_then_in_the_cache() {
        let paths = |files: &ImageFiles| files.folders(Some("/data".into()), Some("/cache".into()));
        let expected: [&Path; 3] = [
            "/data/mnist".as_ref(),
            "/data".as_ref(),
            "/cache/candle-keras/mnist".as_ref(),
        ];
        assert_eq!(paths(&mnist::FILES), expected);
        // MNIST's files have the same names as Fashion-MNIST's.
        let expected: [&Path; 2] = [
            "/data/fashion_mnist".as_ref(),
            "/cache/candle-keras/fashion_mnist".as_ref(),
        ];
        assert_eq!(paths(&fashion_mnist::FILES), expected);
        let cache_only: [&Path; 1] = ["/cache/candle-keras/mnist".as_ref()];
        for unset in [None, Some("".into())] {
            let folders = mnist::FILES.folders(unset, Some("/cache".into()));
            assert_eq!(folders, cache_only);
        }
        assert!(mnist::FILES.folders(None, None).is_empty());
    }

    #[test]
    fn the_first_folder_with_all_four_files_wins_and_the_hub_comes_last() {
        let root = tempfile::tempdir().unwrap();
        let folders = ["a", "b", "c"].map(|name| root.path().join(name));
        let files = ImageFiles {
            hub: || {
                let folder = tempfile::tempdir().unwrap();
                write(folder.path(), 9);
                Ok(mnist::load_from(folder.path()).unwrap())
            },
            ..mnist::FILES
        };
        assert_eq!(label(&files.load(&folders).unwrap()), 9);
        write(&folders[2], 3);
        assert_eq!(label(&files.load(&folders).unwrap()), 3);
        write(&folders[0], 1);
        write(&folders[1], 2);
        assert_eq!(label(&files.load(&folders).unwrap()), 1);
        fs::remove_file(folders[0].join(TEST_LABELS)).unwrap();
        assert_eq!(label(&files.load(&folders).unwrap()), 2);
    }

    #[test]
    fn a_broken_file_is_never_passed_over_for_the_next_folder() {
        let root = tempfile::tempdir().unwrap();
        let folders = ["a", "b"].map(|name| root.path().join(name));
        write(&folders[0], 1);
        write(&folders[1], 2);
        fs::write(folders[0].join(TRAIN_LABELS), [0]).unwrap();
        let error = mnist::FILES.load(&folders).unwrap_err();
        assert!(matches!(error, Error::DatasetFile { .. }), "{error}");
    }

    #[test]
    fn missing_files_name_every_folder_what_each_lacks_and_what_the_hub_said() {
        let root = tempfile::tempdir().unwrap();
        let folders = ["a", "b"].map(|name| root.path().join(name));
        write(&folders[1], 1);
        fs::remove_file(folders[1].join(TRAIN_LABELS)).unwrap();
        fs::remove_file(folders[1].join(TEST_LABELS)).unwrap();
        let (a, b) = (folders[0].display(), folders[1].display());
        let text = |files: &ImageFiles, folders: &[PathBuf]| {
            without_hub(files).load(folders).unwrap_err().to_string()
        };
        assert_eq!(
            text(&mnist::FILES, &folders),
            format!(
                "no MNIST data: expected train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (each as it is or with .gz) in {a} or {b} (which lacks train-labels-idx1-ubyte, t10k-labels-idx1-ubyte), and the hub is asleep: put the files there or set CANDLE_KERAS_DATA to their folder"
            )
        );
        assert_eq!(
            text(&fashion_mnist::FILES, &[]),
            "no Fashion-MNIST data: expected train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (each as it is or with .gz) in the folder that CANDLE_KERAS_DATA names (it is not set), and the hub is asleep: put the files there, or in a folder `fashion_mnist` and set CANDLE_KERAS_DATA to the folder around it"
        );
    }
}
