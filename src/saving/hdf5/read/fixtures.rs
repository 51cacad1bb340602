//! Files of h5py 3.14.0 and Keras 3.15.1, made by `tests/golden/hdf5/generate.py`, with which the
//! expected values here go.

use super::*;
use std::io::Read;

/// All files.
pub(super) const NAMES: [&str; 8] = [
    "default.h5",
    "chunks.h5",
    "wide.h5",
    "latest.h5",
    "tracked.h5",
    "keras.weights.h5",
    "bfloat16.weights.h5",
    "legacy.h5",
];

pub(super) fn fixture(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hdf5");
    let packed = std::fs::File::open(folder.join(format!("{name}.gz"))).expect("a fixture");
    let mut bytes = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes);
    unpacked.expect("a fixture");
    bytes
}

fn open(name: &str) -> Result<File<Vec<u8>>> {
    File::open(fixture(name))
}

fn numbers<T: Number>(file: &File<Vec<u8>>, path: &str) -> Result<Vec<T>> {
    file.read_as(&file.dataset(path)?, 1000)
}

fn error<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn reads_every_type_in_both_byte_orders() -> Result<()> {
    let file = open("default.h5")?;
    for name in ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"] {
        let path = format!("types/{name}");
        assert_eq!(file.dataset(&path)?.shape(), [2, 3]);
        assert_eq!(
            numbers::<f32>(&file, &path)?,
            [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0]
        );
        assert_eq!(
            numbers::<f64>(&file, &path)?,
            [-0.5, 0.0, 0.5, 1.0, 1.5, 2.0]
        );
    }
    for name in ["<i1", "<i2", "<i4", "<i8", ">i2", ">i4", ">i8"] {
        let path = format!("types/{name}");
        assert_eq!(numbers::<i64>(&file, &path)?, [-1, 0, 1, 2, 3, 4]);
        assert_eq!(
            numbers::<f32>(&file, &path)?,
            [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]
        );
    }
    for name in ["<u1", "<u2", "<u4", "<u8", ">u8"] {
        let path = format!("types/{name}");
        assert_eq!(numbers::<i64>(&file, &path)?, [0, 1, 2, 3, 4, 5]);
    }
    assert_eq!(numbers::<i64>(&file, "types/bool")?, [1, 0]);
    let halves = numbers::<f32>(&file, "types/bfloat16")?;
    assert_eq!(halves, [-1.5, 0.0, 1.0, f32::INFINITY]);
    Ok(())
}

#[test]
fn what_is_no_number_is_an_error() -> Result<()> {
    let file = open("default.h5")?;
    let what = error(numbers::<f32>(&file, "types/opaque"));
    assert!(what.ends_with("got opaque data of 2 bytes"), "{what}");
    let what = error(numbers::<f32>(&file, "types/text"));
    assert!(what.starts_with("`types/text`, byte "), "{what}");
    assert!(what.ends_with(": expected numbers, got strings"), "{what}");
    let what = error(numbers::<i64>(&file, "types/<f4"));
    assert!(
        what.ends_with("expected numbers that fit int64, got float32"),
        "{what}"
    );
    Ok(())
}

#[test]
fn reads_single_numbers_none_and_the_unwritten() -> Result<()> {
    let file = open("default.h5")?;
    assert_eq!(file.dataset("scalar")?.shape(), [0; 0]);
    assert_eq!(numbers::<f32>(&file, "scalar")?, [3.5]);
    assert_eq!(file.dataset("none")?.shape(), [2, 0, 3]);
    assert!(numbers::<f32>(&file, "none")?.is_empty());
    assert!(numbers::<f32>(&file, "empty")?.is_empty());
    assert_eq!(numbers::<f32>(&file, "never written")?, [2.5; 4]);
    assert_eq!(numbers::<i64>(&file, "compact")?, [0, 1, 2]);
    Ok(())
}

#[test]
fn more_numbers_than_the_limit_are_an_error() -> Result<()> {
    let file = open("default.h5")?;
    let dataset = file.dataset("types/<f4")?;
    assert_eq!((dataset.elements(), dataset.path()), (6, "types/<f4"));
    assert!(file.read_as::<f32>(&dataset, 6).is_ok());
    let what = error(file.read_as::<f32>(&dataset, 5));
    assert!(
        what.ends_with(": expected at most 5 numbers, got 6"),
        "{what}"
    );
    Ok(())
}

#[test]
fn reads_every_kind_of_attribute() -> Result<()> {
    use Attribute::*;
    let file = open("default.h5")?;
    let strings = |strings: &[&str]| Strings(strings.iter().map(|s| s.to_string()).collect());
    let expected = [
        ("text", strings(&["größe"])),
        ("bytes", strings(&["bytes"])),
        ("texts", strings(&["dense", "", "dense_1"])),
        ("fixed", strings(&["dense", "dense_1"])),
        ("int", Integers(vec![7])),
        ("ints", Integers(vec![1, -2, 3, 4])),
        ("float", Floats(vec![0.5])),
        ("bool", Integers(vec![1])),
        ("void", Other(5)),
        ("empty", Floats(vec![])),
    ];
    for (name, value) in &expected {
        assert_eq!(file.attribute("", name)?.as_ref(), Some(value), "{name}");
    }
    assert_eq!(file.attribute("", "no")?, None);
    assert_eq!(file.attributes("")?.len(), expected.len());
    Ok(())
}

#[test]
fn follows_paths_and_says_what_is_not_there() -> Result<()> {
    let file = open("default.h5")?;
    assert_eq!(file.children("/loop/loop/a/")?, ["b"]);
    assert_eq!(file.children("a")?, ["b"]);
    assert!(file.find("a/no")?.is_none());
    let what = "`a/no`: expected a group or dataset, got none";
    assert_eq!(error(file.dataset("a/no")), what);
    assert_eq!(
        error(file.dataset("a")),
        "`a`: expected a dataset, got a group"
    );
    let what = error(file.children("a/b"));
    assert!(
        what.ends_with(": expected a group, got another object"),
        "{what}"
    );
    let what = error(file.find("a/b/c"));
    assert!(
        what.ends_with(": expected a group, got another object"),
        "{what}"
    );
    let what = error(file.dataset("a/soft"));
    assert!(
        what.ends_with("got a soft or external link to it, which is not read"),
        "{what}"
    );
    Ok(())
}

#[test]
fn reads_chunks_and_their_filters() -> Result<()> {
    let file = open("chunks.h5")?;
    let expected: Vec<f32> = (0..77).map(|i| i as f32 / 4.0).collect();
    for name in ["plain", "gzip", "all", "fletcher"] {
        assert_eq!(numbers::<f32>(&file, name)?, expected, "{name}");
    }
    assert_eq!(numbers::<i64>(&file, "deep")?, Vec::from_iter(0..100));
    assert_eq!(numbers::<i64>(&file, "cube")?, Vec::from_iter(0..60));
    Ok(())
}

#[test]
fn chunks_that_were_never_written_have_the_fill_value() -> Result<()> {
    let file = open("chunks.h5")?;
    let (e, n) = (-1.0, 9.0);
    let expected = [e, e, e, e, e, e, e, e, e, e, n, n, e, e, n, n];
    assert_eq!(numbers::<f32>(&file, "some")?, expected);
    assert_eq!(numbers::<f64>(&file, "unwritten")?, [0.25; 5]);
    Ok(())
}

#[test]
fn another_filter_is_an_error_that_names_the_dataset() -> Result<()> {
    let what = error(open("chunks.h5")?.dataset("lzf"));
    assert!(what.starts_with("`lzf`, byte "), "{what}");
    assert!(
        what.ends_with("got filter 32000, which is not read"),
        "{what}"
    );
    Ok(())
}

#[test]
fn a_flipped_bit_in_checked_data_is_an_error() -> Result<()> {
    let mut bytes = fixture("chunks.h5");
    let number = 2.75f32.to_le_bytes(); // the first of the second row, in a chunk of each dataset
    let places: Vec<_> = (0..bytes.len() - 4)
        .filter(|&at| bytes[at..at + 4] == number)
        .collect();
    for at in places {
        bytes[at] ^= 1;
    }
    let file = File::open(bytes)?;
    assert!(numbers::<f32>(&file, "plain").is_ok());
    let what = error(numbers::<f32>(&file, "fletcher"));
    assert!(
        what.starts_with("`fletcher`, byte ") && what.ends_with("damaged data"),
        "{what}"
    );
    Ok(())
}

#[test]
fn reads_a_tree_of_more_than_one_level() -> Result<()> {
    let file = open("wide.h5")?;
    assert_eq!(file.children("layers")?.len(), 300);
    assert!(file.find("layers/layer_299/layers")?.is_some());
    Ok(())
}

#[test]
fn reads_of_the_latest_format_what_is_in_headers() -> Result<()> {
    let file = open("latest.h5")?;
    assert_eq!(file.children("")?, ["chunked", "few", "many"]);
    assert_eq!(numbers::<f32>(&file, "few/number")?, [3.0]);
    let what = error(file.attribute("few", "name"));
    assert!(
        what.contains("got a fractal heap, which is not read: write"),
        "{what}"
    );
    let what = error(file.find("many/group_0"));
    assert!(
        what.contains("got a fractal heap, which is not read: write"),
        "{what}"
    );
    let what = error(file.dataset("chunked"));
    assert!(
        what.contains("got layout 4 of class 2, which is not read: write"),
        "{what}"
    );
    Ok(())
}

#[test]
fn reads_groups_that_track_the_order_of_their_links() -> Result<()> {
    let file = open("tracked.h5")?;
    assert_eq!(numbers::<f32>(&file, "a/b")?, [1.0]);
    assert_eq!(file.children("a")?, ["b"]);
    assert_eq!(file.children("")?, ["a", "loop"]);
    Ok(())
}

#[test]
fn reads_weights_of_keras() -> Result<()> {
    let file = open("keras.weights.h5")?;
    let layers = file.children("layers")?;
    assert_eq!(layers, ["batch_normalization", "dense", "dense_1"]);
    // Each variable has arange / 8 + its index in the model.
    for (path, shape, index) in [
        ("dense/vars/0", &[3, 4][..], 0),
        ("dense/vars/1", &[4], 1),
        ("batch_normalization/vars/0", &[4], 2),
        ("batch_normalization/vars/3", &[4], 5),
        ("dense_1/vars/0", &[4, 2], 6),
        ("dense_1/vars/1", &[2], 7),
    ] {
        let dataset = file.dataset(&format!("layers/{path}"))?;
        assert_eq!(dataset.shape(), shape);
        let count: usize = shape.iter().product();
        let expected: Vec<f32> = (0..count).map(|i| i as f32 / 8.0 + index as f32).collect();
        assert_eq!(file.read_as::<f32>(&dataset, 100)?, expected);
    }
    let name = file
        .attribute("layers/dense_1/vars", "name")?
        .expect("a name");
    assert_eq!(name.string(), Some("out"));
    assert_eq!(numbers::<i64>(&file, "optimizer/vars/0")?, [1]); // iterations
    Ok(())
}

#[test]
fn reads_bfloat16_weights_of_keras() -> Result<()> {
    let file = open("bfloat16.weights.h5")?;
    let dataset = file.dataset("layers/dense/vars/0")?;
    assert_eq!(dataset.dtype(), super::super::Dtype::Bf16);
    assert_eq!(file.read_as::<f32>(&dataset, 4)?, [1.5; 4]);
    Ok(())
}

#[test]
fn reads_the_old_format_of_keras() -> Result<()> {
    let file = open("legacy.h5")?;
    let names = file
        .attribute("model_weights", "layer_names")?
        .expect("names");
    let expected = ["dense", "batch_normalization", "out"].map(String::from);
    assert_eq!(names, Attribute::Strings(expected.into()));
    let out = file.attribute("model_weights/out", "weight_names")?;
    let Some(Attribute::Strings(names)) = out else {
        panic!("expected names, got {out:?}");
    };
    let [kernel, bias] = names.as_slice() else {
        panic!("expected two names, got {names:?}");
    };
    let kernel = numbers::<f32>(&file, &format!("model_weights/out/{kernel}"))?;
    assert_eq!((kernel[0], kernel.len()), (6.0, 8));
    assert_eq!(
        numbers::<f32>(&file, &format!("model_weights/out/{bias}"))?,
        [7.0, 7.125]
    );
    let config = file.attribute("", "model_config")?.expect("a config");
    assert!(
        config
            .string()
            .is_some_and(|config| config.starts_with("{\"class_name\""))
    );
    Ok(())
}
