//! The datasets: files of every kind of wrong, the real ones, and one-hot labels.

mod common;

use candle_core::{DType, Device, Tensor};
use candle_keras::Error;
use candle_keras::datasets::{Dataset, digits, fashion_mnist, mnist, to_categorical};
use flate2::{Compression, write::GzEncoder};
use std::{fs, io::Write, path::Path, process::Command};
use tempfile::TempDir;

const TRAIN_IMAGES: &str = "train-images-idx3-ubyte";
const TRAIN_LABELS: &str = "train-labels-idx1-ubyte";
const TEST_IMAGES: &str = "t10k-images-idx3-ubyte";
const TEST_LABELS: &str = "t10k-labels-idx1-ubyte";

/// An IDX file of bytes.
fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|length| length.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `count` images whose pixels count up, and labels that do.
fn images(count: u32) -> Vec<u8> {
    let pixels: Vec<u8> = (0..count * 784).map(|pixel| pixel as u8).collect();
    idx(&[count, 28, 28], &pixels)
}

fn labels(count: u32) -> Vec<u8> {
    let values: Vec<u8> = (0..count).map(|label| (label % 10) as u8).collect();
    idx(&[count], &values)
}

/// A folder with 3 training and 2 test images, all packed or none.
fn folder(packed: bool) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        (TRAIN_IMAGES, images(3)),
        (TRAIN_LABELS, labels(3)),
        (TEST_IMAGES, images(2)),
        (TEST_LABELS, labels(2)),
    ] {
        put(folder.path(), name, &bytes, packed);
    }
    folder
}

fn put(folder: &Path, name: &str, bytes: &[u8], packed: bool) {
    match packed {
        true => fs::write(folder.join(format!("{name}.gz")), gzip(bytes)).unwrap(),
        false => fs::write(folder.join(name), bytes).unwrap(),
    }
}

/// The problem that `load_from` finds once `name` holds `bytes`, which must be laid to that file
/// (`name` ends in .gz where the folder is packed and `bytes` are to stay as they are).
fn problem(name: &str, bytes: &[u8], packed: bool) -> String {
    let folder = folder(packed);
    fs::write(folder.path().join(name), bytes).unwrap();
    let error = mnist::load_from(folder.path()).unwrap_err();
    let text = error.to_string();
    let Error::DatasetFile { path, problem } = error else {
        panic!("expected a DatasetFile, got {text}");
    };
    assert_eq!(path, folder.path().join(name));
    assert_eq!(
        text,
        format!("{}: {problem}: fetch the file again", path.display())
    );
    problem
}

/// The same from a plain and from a packed file.
fn problem_of_both(name: &str, bytes: &[u8]) -> String {
    let plain = problem(name, bytes, false);
    let packed = problem(&format!("{name}.gz"), &gzip(bytes), true);
    assert_eq!(plain, packed);
    plain
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn histogram(labels: &Tensor) -> [usize; 10] {
    let mut counts = [0; 10];
    for label in bytes(labels) {
        counts[usize::from(label)] += 1;
    }
    counts
}

#[test]
fn plain_and_packed_files_load_as_bytes_in_their_shapes() {
    for packed in [false, true] {
        let folder = folder(packed);
        for data in [
            mnist::load_from(folder.path()).unwrap(),
            fashion_mnist::load_from(folder.path()).unwrap(),
        ] {
            let train = data.train_images.tensor();
            assert_eq!((train.dims(), train.dtype()), (&[3, 28, 28][..], DType::U8));
            assert_eq!(bytes(train), images(3)[16..]);
            assert_eq!(bytes(&data.train_labels), [0, 1, 2]);
            assert_eq!(data.train_labels.dims(), [3]);
            assert_eq!(data.test_images.tensor().dims(), [2, 28, 28]);
            assert_eq!(bytes(&data.test_labels), [0, 1]);
        }
    }
}

#[test]
fn packed_and_plain_files_may_be_mixed_and_the_plain_one_comes_first() {
    let folder = folder(true);
    put(folder.path(), TRAIN_LABELS, &idx(&[3], &[7, 8, 9]), false);
    let data = mnist::load_from(folder.path()).unwrap();
    assert_eq!(bytes(&data.train_labels), [7, 8, 9]);
}

#[test]
fn a_gzip_file_of_several_members_loads_whole() {
    let folder = folder(true);
    let (first, rest) = (&images(3)[..1000], &images(3)[1000..]);
    let members = [gzip(first), gzip(rest)].concat();
    fs::write(folder.path().join(format!("{TRAIN_IMAGES}.gz")), members).unwrap();
    let data = mnist::load_from(folder.path()).unwrap();
    assert_eq!(bytes(data.train_images.tensor()), images(3)[16..]);
}

#[test]
fn a_truncated_file_says_how_many_bytes_are_there() {
    let whole = images(3);
    assert_eq!(
        problem_of_both(TRAIN_IMAGES, &whole[..1016]),
        "expected 2352 bytes after the header, got 1000"
    );
    assert_eq!(
        problem_of_both(TEST_LABELS, &labels(2)[..9]),
        "expected 2 bytes after the header, got 1"
    );
    for (length, got) in [(0, 0), (3, 3), (5, 5), (15, 15)] {
        assert_eq!(
            problem_of_both(TRAIN_IMAGES, &whole[..length]),
            format!("expected a header of 16 bytes, got {got} bytes in all")
        );
    }
    assert_eq!(
        problem_of_both(TRAIN_LABELS, &labels(3)[..7]),
        "expected a header of 8 bytes, got 7 bytes in all"
    );
}

#[test]
fn a_file_with_trailing_bytes_is_refused() {
    let oversized = [images(3), vec![0; 7]].concat();
    assert_eq!(
        problem(TRAIN_IMAGES, &oversized, false),
        "expected 2352 bytes after the header, got 2359"
    );
    // Of a packed file no more than one byte too many is ever unpacked.
    assert_eq!(
        problem(&format!("{TRAIN_IMAGES}.gz"), &gzip(&oversized), true),
        "expected 2352 bytes after the header, got more"
    );
}

#[test]
fn a_mislabelled_file_says_what_it_is() {
    assert_eq!(
        problem_of_both(TRAIN_IMAGES, &labels(3)),
        "expected an image file (magic number 2051), got a label file (2049)"
    );
    assert_eq!(
        problem_of_both(TEST_LABELS, &images(2)),
        "expected a label file (magic number 2049), got an image file (2051)"
    );
    assert_eq!(
        problem_of_both(TRAIN_IMAGES, b"<html>"),
        format!(
            "expected an image file (magic number 2051), got {}",
            u32::from_be_bytes(*b"<htm")
        )
    );
    assert_eq!(
        problem(TRAIN_IMAGES, &gzip(&images(3)), false),
        "expected an image file (magic number 2051), got a gzip file whose name lacks .gz"
    );
}

#[test]
fn a_wrong_gzip_file_says_what_its_decoder_found() {
    let name = format!("{TRAIN_IMAGES}.gz");
    let packed = gzip(&images(3));
    let end = packed.len();
    // The checksum takes bytes 8 to 5 from the end.
    let mut checksum = packed.clone();
    checksum[end - 8] ^= 1;
    let garbage = [packed.clone(), b"garbage".to_vec()].concat();
    for bytes in [
        &images(3),
        &packed[..end / 2],
        &packed[..end - 1],
        &checksum,
        &garbage,
    ] {
        // The rest is the decoder's own text.
        let problem = problem(&name, bytes, true);
        let found = problem.strip_prefix("expected a whole gzip file, got: ");
        assert!(found.is_some_and(|found| !found.is_empty()), "{problem}");
    }
}

#[test]
fn absurd_counts_are_refused_before_memory_is_taken_for_them() {
    // 4,294,967,295 images would take 3 terabytes.
    let claimed = u64::from(u32::MAX) * 784;
    assert_eq!(
        problem(TRAIN_IMAGES, &idx(&[u32::MAX, 28, 28], &[0; 784]), false),
        format!("expected {claimed} bytes after the header, got 784")
    );
    // Deflate makes at most 1032 bytes of one, so a packed file's length bears out or not as well.
    for (name, file, claimed) in [
        (
            TRAIN_IMAGES,
            gzip(&idx(&[u32::MAX, 28, 28], &[0; 784])),
            claimed,
        ),
        (
            TRAIN_LABELS,
            gzip(&idx(&[u32::MAX], &[0; 5])),
            u64::from(u32::MAX),
        ),
    ] {
        let (length, most) = (file.len(), 1032 * file.len());
        assert_eq!(
            problem(&format!("{name}.gz"), &file, true),
            format!(
                "expected {claimed} bytes after the header, got a gzip file of {length}, which holds at most {most}"
            )
        );
    }
    // A count that its length could bear out is compared with the images, and with what is there.
    let labels = idx(&[20_000], &[0; 5]);
    assert_eq!(
        problem(&format!("{TRAIN_LABELS}.gz"), &gzip(&labels), true),
        "expected 3 labels, one for each image of train-images-idx3-ubyte.gz, got 20000"
    );
    let folder = folder(true);
    let images = idx(&[30, 28, 28], &[0; 784]);
    put(folder.path(), TRAIN_IMAGES, &images, true);
    put(folder.path(), TRAIN_LABELS, &idx(&[30], &[0; 30]), true);
    assert_eq!(
        mnist::load_from(folder.path()).unwrap_err().to_string(),
        format!(
            "{}: expected 23520 bytes after the header, got 784: fetch the file again",
            folder.path().join(format!("{TRAIN_IMAGES}.gz")).display()
        )
    );
    assert_eq!(
        problem_of_both(TRAIN_IMAGES, &idx(&[u32::MAX; 3], &[])),
        "expected axes whose lengths multiply to fewer than 2^64 values, got [4294967295, 4294967295] times 4294967295"
    );
}

#[test]
fn images_of_another_size_or_none_at_all_are_refused() {
    assert_eq!(
        problem_of_both(TRAIN_IMAGES, &idx(&[3, 20, 30], &[0; 1800])),
        "expected images of shape (28, 28), got (20, 30)"
    );
    assert_eq!(
        problem_of_both(TRAIN_IMAGES, &idx(&[0, 28, 28], &[])),
        "expected at least one image, got 0"
    );
}

#[test]
fn labels_must_be_as_many_as_the_images_and_from_0_to_9() {
    assert_eq!(
        problem(TRAIN_LABELS, &labels(4), false),
        "expected 3 labels, one for each image of train-images-idx3-ubyte, got 4"
    );
    assert_eq!(
        problem(&format!("{TEST_LABELS}.gz"), &gzip(&labels(1)), true),
        "expected 2 labels, one for each image of t10k-images-idx3-ubyte.gz, got 1"
    );
    assert_eq!(
        problem_of_both(TRAIN_LABELS, &idx(&[3], &[9, 10, 255])),
        "expected labels from 0 to 9, got 10 at sample 1"
    );
}

#[test]
fn a_folder_that_lacks_files_is_named_with_what_it_lacks() {
    let folder = folder(false);
    let path = folder.path().display();
    fs::remove_file(folder.path().join(TRAIN_IMAGES)).unwrap();
    assert_eq!(
        mnist::load_from(folder.path()).unwrap_err().to_string(),
        format!(
            "no MNIST data: expected train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte (each as it is or with .gz) in {path} (which lacks train-images-idx3-ubyte): put the files there or give load_from their folder"
        )
    );
    let nowhere = folder.path().join("nowhere");
    let text = fashion_mnist::load_from(&nowhere).unwrap_err().to_string();
    assert!(
        text.starts_with("no Fashion-MNIST data: ")
            && text.contains(&format!(" in {}: ", nowhere.display())),
        "{text}"
    );
}

/// Not a test of its own: what the next one runs in a process with other variables.
#[test]
#[ignore = "run by load_data_reads_the_variable_and_the_cache_folder"]
fn load_data_in_a_child() {
    let label = |data: Dataset| bytes(&data.train_labels)[0];
    println!("mnist {}", label(mnist::load_data().unwrap()));
    println!("fashion {}", label(fashion_mnist::load_data().unwrap()));
}

#[test]
#[cfg(target_os = "linux")] // where XDG_CACHE_HOME names the cache folder
fn load_data_reads_the_variable_and_the_cache_folder() {
    let root = tempfile::tempdir().unwrap();
    for (place, label) in [
        ("data", 1),
        ("data/fashion_mnist", 2),
        ("cache/candle-keras/mnist", 3),
        ("cache/candle-keras/fashion_mnist", 4),
    ] {
        let place = root.path().join(place);
        fs::create_dir_all(&place).unwrap();
        for name in [TRAIN_IMAGES, TEST_IMAGES] {
            put(&place, name, &images(1), true);
        }
        for name in [TRAIN_LABELS, TEST_LABELS] {
            put(&place, name, &idx(&[1], &[label]), true);
        }
    }
    let run = |data: Option<&str>| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args([
                "--ignored",
                "--exact",
                "--nocapture",
                "load_data_in_a_child",
            ])
            .env("XDG_CACHE_HOME", root.path().join("cache"))
            .env_remove("CANDLE_KERAS_DATA");
        if let Some(data) = data {
            child.env("CANDLE_KERAS_DATA", root.path().join(data));
        }
        String::from_utf8(child.output().unwrap().stdout).unwrap()
    };
    let with_variable = run(Some("data"));
    assert!(
        with_variable.contains("mnist 1\nfashion 2\n"),
        "{with_variable}"
    );
    let without = run(None);
    assert!(without.contains("mnist 3\nfashion 4\n"), "{without}");
}

#[test]
fn real_mnist_has_its_known_counts_and_mean() {
    let Some(data) = common::real_mnist() else {
        return;
    };
    assert_eq!(data.train_images.tensor().dims(), [60_000, 28, 28]);
    assert_eq!(data.test_images.tensor().dims(), [10_000, 28, 28]);
    assert_eq!(
        histogram(&data.train_labels),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    assert_eq!(data.test_labels.dims(), [10_000]);
    let pixels = bytes(data.train_images.tensor());
    let sum: u64 = pixels.iter().map(|pixel| u64::from(*pixel)).sum();
    let mean = sum as f64 / 255.0 / pixels.len() as f64;
    assert!((mean - 0.1307).abs() < 0.00005, "{mean}");
}

// The sums and histograms below: numpy 2.4.6 over scikit-learn 1.9.1's digits.csv.gz, cut after
// row 1,415.
#[test]
fn the_digits_are_all_there_and_split_between_two_forms() {
    let data = digits::load_data().unwrap();
    assert_eq!(data.train_images.tensor().dims(), [1415, 8, 8]);
    assert_eq!(data.test_images.tensor().dims(), [382, 8, 8]);
    assert_eq!(
        histogram(&data.train_labels),
        [140, 143, 140, 144, 142, 143, 142, 141, 139, 141]
    );
    assert_eq!(
        histogram(&data.test_labels),
        [38, 39, 37, 39, 39, 39, 39, 38, 35, 39]
    );
    for (images, sum) in [(&data.train_images, 442_562), (&data.test_images, 119_156)] {
        let pixels = bytes(images.tensor());
        assert_eq!(pixels.iter().max(), Some(&16));
        assert_eq!(
            pixels.iter().map(|pixel| u32::from(*pixel)).sum::<u32>(),
            sum
        );
    }
    // A form begins with 0 to 9 three times over.
    let labels = [bytes(&data.train_labels), bytes(&data.test_labels)].concat();
    let form: Vec<u8> = (0..30).map(|label| label % 10).collect();
    assert_eq!(labels[..30], form);
    assert_eq!(labels[1415..1445], form);
}

// Golden values: Pillow 13.0.0, Image.resize((28, 28), BILINEAR) of the 8×8 image in mode F,
// times 255/16, rounded half up. The two sums are numpy 2.4.6's, in whole numbers: Pillow's floats
// fall on the other side of 22 exact halves among the 1,408,848 pixels.
#[test]
fn enlarged_digits_are_those_of_a_bilinear_resize() {
    let small = digits::load_data().unwrap();
    let data = digits::load_data_28x28().unwrap();
    assert_eq!(data.train_images.tensor().dims(), [1415, 28, 28]);
    assert_eq!(data.test_images.tensor().dims(), [382, 28, 28]);
    assert_eq!(bytes(&data.test_labels), bytes(&small.test_labels));
    let train = bytes(data.train_images.tensor());
    let test = bytes(data.test_images.tensor());
    assert_eq!(
        train[14 * 28..15 * 28],
        [
            0, 0, 16, 37, 58, 79, 101, 123, 145, 118, 75, 32, 0, 0, 0, 0, 30, 69, 108, 137, 134,
            131, 128, 100, 64, 27, 0, 0
        ]
    );
    let column: Vec<u8> = train[..784].iter().skip(10).step_by(28).copied().collect();
    assert_eq!(
        column,
        [
            143, 143, 161, 183, 206, 217, 192, 167, 142, 127, 116, 104, 93, 84, 75, 66, 69, 76, 83,
            92, 110, 129, 147, 151, 151, 151, 151, 151
        ]
    );
    let sum = |pixels: &[u8]| pixels.iter().map(|pixel| u64::from(*pixel)).sum::<u64>();
    assert_eq!(sum(&train), 86_402_575);
    assert_eq!(sum(&test), 23_263_342);
    assert_eq!(train.iter().max(), Some(&255));
}

#[test]
fn labels_of_every_type_become_the_same_one_hot_rows() {
    let labels = Tensor::new(&[2u8, 0, 1, 2], &Device::Cpu).unwrap();
    let expected = [
        [0.0, 0.0, 1.0],
        [1.0, 0.0, 0.0],
        [0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0],
    ];
    for dtype in [DType::U8, DType::U32, DType::I64, DType::F32, DType::F64] {
        let labels = labels.to_dtype(dtype).unwrap();
        for labels in [labels.clone(), labels.unsqueeze(1).unwrap()] {
            let rows = to_categorical(&labels, 3).unwrap();
            assert_eq!(rows.dtype(), DType::F32);
            assert_eq!(rows.to_vec2::<f32>().unwrap(), expected, "{dtype:?}");
        }
    }
    // A view into other labels gives its own rows.
    let last = labels.narrow(0, 2, 2).unwrap();
    let rows = to_categorical(&last, 3).unwrap();
    assert_eq!(rows.to_vec2::<f32>().unwrap(), expected[2..]);
}

#[test]
fn labels_that_name_no_class_are_refused_by_sample() {
    let text = |label: f32| {
        let labels = Tensor::new(&[0.0, label], &Device::Cpu).unwrap();
        to_categorical(&labels, 10).unwrap_err().to_string()
    };
    for (label, got) in [
        (10.0, "10"),
        (-1.0, "-1"),
        (2.5, "2.5"),
        (-0.5, "-0.5"),
        (f32::NAN, "NaN"),
        (f32::INFINITY, "inf"),
    ] {
        assert_eq!(
            text(label),
            format!(
                "`labels`: expected whole numbers from 0 to 9, got {got} at sample 1: raise `classes` above the largest label or mend the label"
            )
        );
    }
    let labels = Tensor::new(&[i64::MIN, i64::MAX], &Device::Cpu).unwrap();
    assert!(to_categorical(&labels, 10).is_err());
}

#[test]
fn one_hot_labels_need_classes_samples_and_one_axis() {
    let labels = |dims: &[usize]| Tensor::zeros(dims, DType::U8, &Device::Cpu).unwrap();
    let text = |dims: &[usize], classes| {
        to_categorical(&labels(dims), classes)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        text(&[2], 0),
        "`classes`: expected at least 1, got 0: give the number of different labels"
    );
    for (dims, got) in [
        (&[][..], "()"),
        (&[2, 3], "(2, 3)"),
        (&[2, 1, 1], "(2, 1, 1)"),
    ] {
        assert_eq!(
            text(dims, 3),
            format!(
                "`labels`: expected the shape (n,) or (n, 1), got {got}: give one label a sample"
            )
        );
    }
    assert_eq!(
        text(&[0], 3),
        "`labels` holds no samples, expected at least one: check how it was loaded or sliced"
    );
    // Twice the last one wraps to 0.
    for classes in [usize::MAX, usize::MAX / 4, usize::MAX / 2 + 1] {
        assert_eq!(
            text(&[2], classes),
            format!(
                "`classes`: expected rows for 2 samples that fit in memory, got {classes}: keep the labels as they are and use a sparse loss"
            )
        );
    }
}
