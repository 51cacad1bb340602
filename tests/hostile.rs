//! Damaged and hostile files of every format: whatever is loaded, there is a model or an error, in the
//! end and within a bounded memory. Never a panic, never an abort.
//!
//! The allocator of this test counts what each thread holds, and has no more than `MEMORY` for it: so
//! whoever takes more without asking first aborts the test. `HOSTILE_TRACE=1` tells for which case.
//!
//! The long version, ten minutes for each reader:
//!
//!     HOSTILE_SECONDS=600 cargo test --release --test hostile -- --ignored --nocapture

mod common;

use candle_keras::{
    Error, Result,
    activations::ActivationFunction,
    callbacks::{BackupAndRestore, SaveFreq},
    layers, metrics, optimizers,
    prelude::*,
};
use serde_json::{Value, json};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    fs,
    io::{Cursor, Read, Write},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// What a thread may hold: the 300 MB that the documentation of `load` names, as files here are small.
const MEMORY: usize = 300 << 20;

/// The longest time that a file of some kilobytes may take, where other programs have the processor too:
/// what takes longer hangs.
const LONGEST: Duration = Duration::from_secs(60);

// ---- memory -------------------------------------------------------------------------------------

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static CASE: Cell<(&'static str, u64)> = const { Cell::new(("", 0)) };
    static TRACED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a thread may hold so many bytes more; then it does.
fn grows(bytes: isize) -> bool {
    let Ok(held) = HELD.try_with(Cell::get) else {
        return true; // a thread that ends
    };
    let held = held + bytes;
    if held > MEMORY as isize {
        if TRACED
            .try_with(|traced| traced.replace(false))
            .unwrap_or(false)
        {
            let (what, seed) = CASE.get();
            eprintln!(
                "{what} {seed}: refused {bytes} bytes beside {}",
                held - bytes
            );
            TRACED.set(true);
        }
        return false;
    }
    HELD.set(held);
    MOST.set(MOST.get().max(held));
    true
}

// SAFETY: the system's allocator does all of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match grows(layout.size() as isize) {
            true => unsafe { System.alloc(layout) },
            false => std::ptr::null_mut(),
        }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match grows(layout.size() as isize) {
            true => unsafe { System.alloc_zeroed(layout) },
            false => std::ptr::null_mut(),
        }
    }
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        grows(-(layout.size() as isize));
        unsafe { System.dealloc(place, layout) }
    }
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match grows(size as isize - layout.size() as isize) {
            true => unsafe { System.realloc(place, layout, size) },
            false => std::ptr::null_mut(),
        }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most bytes that `body` held beside what was held before it.
fn memory_of<T>(body: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = body();
    (result, (MOST.get() - before).max(0) as usize)
}

// ---- cases --------------------------------------------------------------------------------------

/// What became of files.
#[derive(Debug, Default)]
struct Outcomes {
    loaded: u64,
    refused: u64,
    longest: Duration,
    most_memory: usize,
}

impl Outcomes {
    /// Runs a case, and checks that its error says in which file.
    fn run(
        &mut self,
        case: (&'static str, u64),
        path: Option<&Path>,
        load: impl FnOnce() -> Result<()>,
    ) {
        CASE.set(case);
        TRACED.set(std::env::var_os("HOSTILE_TRACE").is_some());
        let start = Instant::now();
        let (result, memory) = memory_of(|| catch_unwind(AssertUnwindSafe(load)));
        let time = start.elapsed();
        let (what, seed) = case;
        match result {
            Ok(Ok(())) => self.loaded += 1,
            Ok(Err(error)) => {
                self.refused += 1;
                let text = error.to_string();
                let names_file = |path: &Path| text.contains(&path.display().to_string());
                assert!(
                    path.is_none_or(names_file),
                    "{what} {seed}: no file in: {text}"
                );
                assert!(text.len() < 4000, "{what} {seed}: a long error: {text}");
            }
            Err(_) => panic!("{what} {seed}: a panic"),
        }
        assert!(time < LONGEST, "{what} {seed}: {time:?}");
        self.longest = self.longest.max(time);
        self.most_memory = self.most_memory.max(memory);
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            random.next(); // away from the seed
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    fn pick<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())].clone()
    }
}

/// Flips bits, changes bytes and words, puts a part over another, cuts off.
fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(5) {
        let size = bytes.len() as u64;
        // Most structures of HDF5 and zip stand at the end.
        let at = match random.below(3) {
            0 => bytes
                .len()
                .saturating_sub(1 + random.below(8192.min(bytes.len()))),
            1 => random.below(512.min(bytes.len())),
            _ => random.below(bytes.len()),
        };
        let count = random.pick(&[0, 1, 2, 8, 255, 65_535, 1 << 20, 1 << 31, 0xffff_ffff]);
        let count = random.pick(&[
            count,
            1 << 40,
            1 << 62,
            u64::MAX,
            u64::MAX - 1,
            size,
            size - 8,
        ]);
        match random.below(8) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.next() as u8,
            3 => bytes[at] = random.pick(&[0, 1, 2, 0x7f, 0x80, 0xff]),
            4 => put(&mut bytes, at & !7, &count.to_le_bytes()),
            5 => put(&mut bytes, at & !3, &(count as u32).to_le_bytes()),
            6 => {
                let from = random.below(bytes.len()) & !7;
                let part = bytes[from..(from + 8).min(bytes.len())].to_vec();
                put(&mut bytes, at & !7, &part);
            }
            _ if random.below(8) == 0 => bytes.truncate(at),
            _ => put(&mut bytes, at, &(count as u16).to_le_bytes()),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Values of wrong types and absurd sizes.
fn hostile_values() -> Vec<Value> {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(3),
        json!(1_000_000),
        json!(1_000_000_000_000_000_000u64),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(-0.5),
        json!(1e308),
        json!(1e-320),
        json!(""),
        json!("Dense"),
        json!("relu"),
        json!("../../x"),
        json!([]),
        json!({}),
        json!([null, 1_000_000_000_000u64]),
        json!([1_000_000, 1_000_000, 1_000_000, 1_000_000]),
        json!([0.5, [1.0, "x"]]),
        json!({"class_name": "Dense", "config": {"units": 1_000_000_000}}),
        json!({"class_name": "GlorotUniform", "config": {"seed": -1}}),
        json!({"class_name": "__tensor__", "config": {"value": 7}}),
        deep,
    ]
}

/// The places of all values in a value, as JSON pointers.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_string());
    match value {
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                places(value, &format!("{at}/{index}"), all);
            }
        }
        Value::Object(values) => {
            for (key, value) in values {
                places(value, &format!("{at}/{key}"), all);
            }
        }
        _ => {}
    }
}

/// Changes values, takes some out, doubles some.
fn mutated_json(value: &Value, random: &mut Random) -> Value {
    let mut value = value.clone();
    for _ in 0..=random.below(3) {
        let mut all = Vec::new();
        places(&value, "", &mut all);
        let at = random.pick(&all);
        let other = value
            .pointer(&random.pick(&all))
            .cloned()
            .unwrap_or_default();
        let hostile = random.pick(&hostile_values());
        let Some(place) = value.pointer_mut(&at) else {
            continue;
        };
        match (random.below(4), place) {
            (0, Value::Array(values)) => values.push(hostile),
            (1, Value::Array(values)) if !values.is_empty() => {
                let index = random.below(values.len());
                let again = values[index].clone();
                values.insert(index, again);
            }
            (0, Value::Object(values)) if !values.is_empty() => {
                let key = values.keys().nth(random.below(values.len())).cloned();
                values.remove(&key.unwrap_or_default());
            }
            (2, place) => *place = other,
            (_, place) => *place = hostile,
        }
    }
    value
}

// ---- files --------------------------------------------------------------------------------------

fn golden(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::read(root.join("tests/golden/keras_files").join(name)).unwrap()
}

/// A model with layers, metrics and an optimizer that take many arguments.
fn many_parts() -> Sequential {
    let network = Sequential::new()
        .seed(1)
        .add(Input::new((4, 6)))
        .add(layers::Permute::new([2, 1]))
        .add(Reshape::new([4, 6]))
        .add(GroupNormalization::new().groups(2))
        .add(PReLU::new())
        .add(layers::Normalization::new().mean(0.5).variance(2.0))
        .add(UnitNormalization::new())
        .add(Rescaling::new(0.5))
        .add(RMSNormalization::new())
        .add(LayerNormalization::new())
        .add(GaussianNoise::new(0.1))
        .add(Flatten::new())
        .add(RepeatVector::new(2))
        .add(Flatten::new())
        .add(Dense::new(3).activation(ActivationFunction::Softmax));
    let mut model = network.build(&Device::Cpu).unwrap();
    let metrics: Vec<Box<dyn candle_keras::metrics::Metric>> = vec![
        Box::new(Accuracy),
        Box::new(metrics::Auc::new()),
        Box::new(metrics::TopKCategoricalAccuracy::new()),
        Box::new(metrics::OneHotMeanIoU::new(3)),
        Box::new(metrics::F1Score::new()),
        Box::new(metrics::SensitivityAtSpecificity::new(0.5)),
        Box::new(metrics::R2Score::new()),
    ];
    let optimizer = optimizers::Nadam::new(0.01);
    let loss = CategoricalFocalCrossentropy::new();
    model.compile(optimizer, loss, metrics).unwrap();
    model
}

/// The bytes of files of the model above: `.keras`, `.weights.h5`, `.safetensors`.
fn own_files() -> [Vec<u8>; 3] {
    let folder = tempfile::tempdir().unwrap();
    let model = many_parts();
    let path = |ending: &str| folder.path().join(format!("m.{ending}"));
    model.save(path("keras")).unwrap();
    model.save_weights(path("weights.h5")).unwrap();
    model.save_weights(path("safetensors")).unwrap();
    ["keras", "weights.h5", "safetensors"].map(|ending| fs::read(path(ending)).unwrap())
}

fn keras_files() -> Vec<Vec<u8>> {
    let names = ["mlp", "embedding", "schedule", "normalization", "float64"];
    let mut files: Vec<Vec<u8>> = names.map(|name| golden(&format!("{name}.keras"))).into();
    let [own, _, _] = own_files();
    files.push(own);
    files
}

fn unzipped(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let entry = |index| {
        let mut entry = archive.by_index(index).unwrap();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        (entry.name().unwrap().into_owned(), data)
    };
    (0..3).map(entry).collect()
}

fn zipped(entries: &[(String, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in entries {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An archive with another entry of a name.
fn with_entry(bytes: &[u8], name: &str, data: Vec<u8>) -> Vec<u8> {
    let mut entries = unzipped(bytes);
    for (_, old) in entries.iter_mut().filter(|(other, _)| other == name) {
        old.clone_from(&data);
    }
    zipped(&entries, CompressionMethod::Stored)
}

fn config_of(bytes: &[u8]) -> Value {
    let entries = unzipped(bytes);
    let config = entries.iter().find(|(name, _)| name == "config.json");
    serde_json::from_slice(&config.unwrap().1).unwrap()
}

/// Loads a `.keras` file, and lets a small model that was loaded predict.
fn load(path: &Path) -> Result<()> {
    let model = Sequential::load(path, &Device::Cpu)?;
    let shape = model.input_shape().to_vec();
    let count = shape.iter().product::<usize>();
    let small = model.layer_names().len() < 100 && count < 1000;
    let outputs = model.summary().to_string().len() < 20_000;
    if small && outputs {
        let x = Tensor::ones([&[1], &shape[..]].concat(), DType::F32, &Device::Cpu)?;
        let _ = model.predict(&x);
    }
    Ok(())
}

/// A folder in memory where there is one: the disk is not what is tested.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => tempfile::tempdir().unwrap(),
    }
}

fn error_of(bytes: &[u8], ending: &str) -> String {
    let folder = folder();
    let path = folder.path().join(format!("hostile.{ending}"));
    fs::write(&path, bytes).unwrap();
    let mut text = None;
    let mut outcomes = Outcomes::default();
    outcomes.run(("error", 0), Some(&path), || {
        let loaded = match ending {
            "keras" | "h5" => Sequential::load(&path, &Device::Cpu).map(drop),
            _ => many_parts().load_weights(&path),
        };
        loaded.inspect_err(|error: &Error| text = Some(error.to_string()))
    });
    text.unwrap_or_else(|| panic!("it was loaded"))
}

// ---- readers ------------------------------------------------------------------------------------

/// A reader and files for it: of one seed after another, until `goes_on` says no.
type Reader = fn(&mut dyn FnMut(&Outcomes) -> ControlFlow<()>, u64) -> Outcomes;

const READERS: [(&str, Reader); 8] = [
    ("zip", zips),
    ("config", configs),
    ("h5 in keras", h5_in_keras),
    ("weights.h5", weights_h5),
    ("safetensors", safetensors),
    ("json", jsons),
    ("h5", legacy_h5),
    ("backup", backups),
];

/// Cases of one reader; `make` gives a case's bytes.
fn cases(
    what: &'static str,
    ending: &str,
    goes_on: &mut dyn FnMut(&Outcomes) -> ControlFlow<()>,
    first: u64,
    make: impl Fn(u64, &mut Random) -> Vec<u8>,
    mut load: impl FnMut(&Path) -> Result<()>,
) -> Outcomes {
    let folder = folder();
    let path: PathBuf = folder.path().join(format!("hostile.{ending}"));
    let mut outcomes = Outcomes::default();
    let mut seed = first;
    while goes_on(&outcomes).is_continue() {
        let bytes = make(seed, &mut Random::new(seed));
        fs::write(&path, bytes).unwrap();
        outcomes.run((what, seed), Some(&path), || load(&path));
        seed += 1;
    }
    outcomes
}

fn zips(goes_on: &mut dyn FnMut(&Outcomes) -> ControlFlow<()>, first: u64) -> Outcomes {
    let mut bases = keras_files();
    let packed = unzipped(&bases[1]);
    bases.push(zipped(&packed, CompressionMethod::Deflated));
    let make = |seed: u64, random: &mut Random| {
        let base = &bases[(seed % bases.len() as u64) as usize];
        mutated(base, random)
    };
    cases("zip", "keras", goes_on, first, make, load)
}

fn configs(goes_on: &mut dyn FnMut(&Outcomes) -> ControlFlow<()>, first: u64) -> Outcomes {
    let bases: Vec<_> = keras_files()
        .into_iter()
        .map(|file| (config_of(&file), file))
        .collect();
    let make = |seed: u64, random: &mut Random| {
        let (config, file) = &bases[(seed % bases.len() as u64) as usize];
        let text = match random.below(4) {
            0 => mutated(config.to_string().as_bytes(), random),
            _ => mutated_json(config, random).to_string().into_bytes(),
        };
        with_entry(file, "config.json", text)
    };
    cases("config", "keras", goes_on, first, make, load)
}

fn h5_in_keras(goes_on: &mut dyn FnMut(&Outcomes) -> ControlFlow<()>, first: u64) -> Outcomes {
    let bases: Vec<_> = keras_files()
        .into_iter()
        .map(|file| unzipped(&file))
        .collect();
    let make = |seed: u64, random: &mut Random| {
        let mut entries = bases[(seed % bases.len() as u64) as usize].clone();
        let (_, weights) = entries
            .iter_mut()
            .find(|(name, _)| name.ends_with(".h5"))
            .unwrap();
        *weights = mutated(weights, random);
        zipped(&entries, CompressionMethod::Stored)
    };
    cases("h5 in keras", "keras", goes_on, first, make, load)
}

fn weights_h5(goes_on: &mut dyn FnMut(&Outcomes) -> ControlFlow<()>, first: u64) -> Outcomes {
    let [_, file, _] = own_files();
    let mut model = many_parts();
    let make = |_, random: &mut Random| mutated(&file, random);
    cases("weights.h5", "weights.h5", goes_on, first, make, |path| {
        model.load_weights(path)
    })
}

fn safetensors(goes_on: &mut dyn FnMut(&Outcomes) -> ControlFlow<()>, first: u64) -> Outcomes {
    let [_, _, file] = own_files();
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let mut model = many_parts();
    let make = |_, random: &mut Random| {
        if random.below(2) == 0 {
            return mutated(&file, random);
        }
        let header = mutated_json(&header, random).to_string();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(&file[8 + length..]);
        bytes
    };
    cases("safetensors", "safetensors", goes_on, first, make, |path| {
        model.load_weights(path)
    })
}

fn jsons(goes_on: &mut dyn FnMut(&Outcomes) -> ControlFlow<()>, first: u64) -> Outcomes {
    let bases: Vec<Value> = keras_files().iter().map(|file| config_of(file)).collect();
    let mut outcomes = Outcomes::default();
    let mut seed = first;
    while goes_on(&outcomes).is_continue() {
        let mut random = Random::new(seed);
        let base = &bases[(seed % bases.len() as u64) as usize];
        let text = match random.below(3) {
            0 => mutated(base.to_string().as_bytes(), &mut random),
            _ => mutated_json(base, &mut random).to_string().into_bytes(),
        };
        let text = String::from_utf8_lossy(&text);
        // `build` takes the memory that the architecture asks for.
        let numbers = text.split(|letter: char| !letter.is_ascii_digit());
        let small = numbers.into_iter().all(|number| number.len() < 4);
        outcomes.run(("json", seed), None, || {
            Sequential::from_json(&text)
                .and_then(|model| match small {
                    true => model.build(&Device::Cpu),
                    false => Ok(model),
                })
                .and_then(|model| model.to_json())
                .map(drop)
        });
        seed += 1;
    }
    outcomes
}

/// Whole models in Keras's format before `.keras`, the text of the configuration in them included.
fn legacy_h5(goes_on: &mut dyn FnMut(&Outcomes) -> ControlFlow<()>, first: u64) -> Outcomes {
    let file = golden("mlp.h5");
    let start = b"{\"class_name\": \"Sequential\"";
    let start = file.windows(start.len()).position(|part| part == start);
    let start = start.unwrap();
    let mut config = serde_json::Deserializer::from_slice(&file[start..]).into_iter::<Value>();
    let value = config.next().unwrap().unwrap();
    let length = config.byte_offset();
    let make = |_, random: &mut Random| {
        if random.below(2) == 0 {
            return mutated(&file, random);
        }
        // In the place of the old text, and of its length: what is written anew has no spaces.
        let mut text = mutated_json(&value, random).to_string().into_bytes();
        text.resize(length, b' ');
        let mut bytes = file.clone();
        put(&mut bytes, start, &text);
        bytes
    };
    cases("h5", "h5", goes_on, first, make, load)
}

/// A training with callbacks and metrics that keep a state, backed up after every batch; `began` once it
/// is past what a backup holds.
fn train(folder: &Path, kill: bool, began: &mut bool) -> Result<()> {
    let network = Sequential::new()
        .seed(1)
        .add(Input::new(4))
        .add(Dense::new(3).activation(Relu))
        .add(BatchNormalization::new())
        .add(Dropout::new(0.2))
        .add(Dense::new(2).activation(ActivationFunction::Softmax));
    let mut model = network.build(&Device::Cpu)?;
    let metrics = (Accuracy, metrics::Auc::new(), metrics::F1Score::new());
    model.compile(Adam::new(0.01), CategoricalCrossentropy::new(), metrics)?;
    let x = common::numbers(&[12, 4], "x");
    let y = to_categorical(&common::labels(12, 2), 2)?;
    let mut batches = 0;
    let counting = LambdaCallback::new().on_train_batch_begin(|_, _| {
        *began = true;
        batches += 1;
        match kill && batches > 4 {
            true => Err(Error::callback("killed")),
            false => Ok(()),
        }
    });
    let options = Fit::new()
        .epochs(2)
        .batch_size(4)
        .validation_split(0.25)
        .verbose(0)
        .callback(counting)
        .callback(EarlyStopping::new().restore_best_weights(true))
        .callback(ReduceLROnPlateau::new())
        .callback(BackupAndRestore::new(folder).save_freq(SaveFreq::Batches(1)));
    model.fit(&x, &y, options).map(drop)
}

fn backups(goes_on: &mut dyn FnMut(&Outcomes) -> ControlFlow<()>, first: u64) -> Outcomes {
    let folder = folder();
    let latest = folder.path().join("latest.keras");
    train(folder.path(), true, &mut false).unwrap_err();
    let entries = unzipped(&fs::read(&latest).unwrap());
    let metadata: Value = serde_json::from_slice(&entries[0].1).unwrap();
    assert!(metadata["candle_keras"]["fit"]["batch"].is_number());
    let mut outcomes = Outcomes::default();
    let mut seed = first;
    while goes_on(&outcomes).is_continue() {
        let mut random = Random::new(seed);
        let mut entries = entries.clone();
        match random.below(4) {
            0 => entries[2].1 = mutated(&entries[2].1, &mut random),
            1 => entries[0].1 = mutated(&entries[0].1, &mut random),
            _ => {
                let mut metadata = metadata.clone();
                let fit = &mut metadata["candle_keras"];
                *fit = mutated_json(fit, &mut random);
                entries[0].1 = metadata.to_string().into_bytes();
            }
        }
        fs::create_dir_all(folder.path()).unwrap();
        fs::write(&latest, zipped(&entries, CompressionMethod::Stored)).unwrap();
        outcomes.run(("backup", seed), Some(folder.path()), || {
            let mut began = false;
            let trained = train(folder.path(), false, &mut began);
            // Weights that were changed may be none to train.
            trained.or_else(|error| if began { Ok(()) } else { Err(error) })
        });
        seed += 1;
    }
    outcomes
}

fn short(reader: Reader, count: u64) {
    let mut goes_on = |outcomes: &Outcomes| match outcomes.loaded + outcomes.refused < count {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    let outcomes = reader(&mut goes_on, 0);
    println!("{outcomes:?}");
    assert!(outcomes.refused > count / 10, "{outcomes:?}");
    assert!(outcomes.loaded > 0, "{outcomes:?}");
}

#[test]
fn damaged_zips_give_models_or_errors() {
    short(zips, 1700);
}

#[test]
fn damaged_configurations_give_models_or_errors() {
    short(configs, 1700);
}

#[test]
fn damaged_hdf5_in_a_keras_file_gives_models_or_errors() {
    short(h5_in_keras, 1700);
}

#[test]
fn damaged_weights_give_weights_or_errors() {
    short(weights_h5, 1700);
}

#[test]
fn damaged_safetensors_give_weights_or_errors() {
    short(safetensors, 1700);
}

#[test]
fn damaged_json_gives_models_or_errors() {
    short(jsons, 1700);
}

#[test]
fn damaged_files_of_the_old_format_give_models_or_errors() {
    short(legacy_h5, 1700);
}

#[test]
fn damaged_backups_are_taken_up_or_errors() {
    short(backups, 1700);
}

/// `HOSTILE_SECONDS` for each reader, 600 by default; `HOSTILE_SEED` where it begins; `HOSTILE_READER`
/// for one alone.
#[test]
#[ignore = "takes an hour"]
fn every_reader_takes_damaged_files_for_minutes() {
    let number = |name: &str, default: u64| {
        let given = std::env::var(name).ok();
        given.map_or(default, |given| given.parse().expect("a number"))
    };
    let time = Duration::from_secs(number("HOSTILE_SECONDS", 600));
    let first = number("HOSTILE_SEED", 1 << 32);
    let only = std::env::var("HOSTILE_READER").ok();
    let wanted = |what: &str| only.as_ref().is_none_or(|only| only == what);
    for (what, reader) in READERS.into_iter().filter(|(what, _)| wanted(what)) {
        let start = Instant::now();
        let mut goes_on = |_: &Outcomes| match start.elapsed() < time {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let outcomes = reader(&mut goes_on, first);
        println!("{what}, {time:?}: {outcomes:?}");
    }
}

// ---- one by one ---------------------------------------------------------------------------------

#[test]
fn files_cut_off_at_every_kilobyte_are_errors() {
    let [keras, h5, safetensors] = own_files();
    let bomb = zipped(&unzipped(&keras), CompressionMethod::Deflated);
    let files = [
        ("keras", golden("mlp.keras")),
        ("keras", keras),
        ("keras", bomb),
        ("weights.h5", h5),
        ("safetensors", safetensors),
        ("h5", golden("mlp.h5")),
    ];
    for (ending, bytes) in files {
        for length in (0..bytes.len()).step_by(1024) {
            error_of(&bytes[..length], ending);
        }
        error_of(&bytes[..bytes.len() - 1], ending);
    }
}

#[test]
fn every_value_of_a_configuration_may_be_of_a_wrong_type() {
    let folder = folder();
    let path = folder.path().join("wrong.keras");
    // Keras writes these for itself, and the crate does not read them.
    let passed_over = [
        "build_config",
        "module",
        "registered_name",
        "shared_object_id",
    ];
    let [mut outcomes, mut of_compile, mut of_keras] = [(); 3].map(|()| Outcomes::default());
    for file in [golden("schedule.keras"), golden("embedding.keras")] {
        let config = config_of(&file);
        let mut all = Vec::new();
        places(&config, "", &mut all);
        for (index, place) in all.iter().enumerate() {
            for (kind, hostile) in hostile_values().into_iter().enumerate() {
                let mut config = config.clone();
                *config.pointer_mut(place).unwrap() = hostile;
                let bytes = with_entry(&file, "config.json", config.to_string().into_bytes());
                fs::write(&path, bytes).unwrap();
                let case = ("wrong type", (index * 100 + kind) as u64);
                let outcomes = if place.starts_with("/compile_config") {
                    &mut of_compile
                } else if place.split('/').any(|part| passed_over.contains(&part)) {
                    &mut of_keras
                } else {
                    &mut outcomes
                };
                outcomes.run(case, Some(&path), || load(&path));
            }
        }
    }
    assert!(outcomes.refused > outcomes.loaded, "{outcomes:?}");
    // Where only what compile was given is wrong, the layers and weights are loaded.
    assert_eq!(of_compile.refused, 0, "{of_compile:?}");
    assert_eq!(of_keras.refused, 0, "{of_keras:?}");
}

/// A model of one layer in place of those of a file.
fn with_layers(layers: Value) -> Vec<u8> {
    let file = golden("mlp.keras");
    let mut config = config_of(&file);
    config["config"]["layers"] = layers;
    with_entry(&file, "config.json", config.to_string().into_bytes())
}

fn layer(class_name: &str, config: Value) -> Value {
    json!({"module": "keras.layers", "class_name": class_name, "config": config})
}

fn input(shape: Value) -> Value {
    layer("InputLayer", json!({"batch_shape": shape, "name": "input"}))
}

#[test]
fn shapes_and_counts_that_are_absurd_take_no_memory() {
    let huge = 1_000_000_000_000_000_000u64;
    let tera = 100_000_000_000u64;
    let dense = |units: u64| layer("Dense", json!({"units": units, "name": "big"}));
    let file = "the file is damaged, or claims more weights than it has";
    let cases = [
        (json!([input(json!([null, 64])), dense(huge)]), file),
        (json!([input(json!([null, 64])), dense(tera)]), file),
        // 256 MB, which fit into memory, from a file of 58 KB.
        (json!([input(json!([null, 64])), dense(1_000_000)]), file),
        (
            json!([
                input(json!([null, 4])),
                layer(
                    "Embedding",
                    json!({"input_dim": 9_000_000, "output_dim": huge})
                )
            ]),
            file,
        ),
        (
            json!([
                input(json!([null, 4])),
                layer("RepeatVector", json!({"n": huge}))
            ]),
            "outputs that fit into memory",
        ),
        (
            json!([input(json!([null, huge, huge])), dense(1)]),
            "samples that fit into memory",
        ),
        (
            json!([input(json!([null, huge])), dense(1)]),
            "samples that fit into memory",
        ),
        (
            json!([input(json!([null, -3])), dense(1)]),
            "a shape such as [null, 784]",
        ),
        (
            json!([input(json!([null, null])), dense(1)]),
            "a shape such as [null, 784]",
        ),
        (
            json!([input(json!(vec![2; 5000])), dense(1)]),
            "samples that fit into memory",
        ),
    ];
    for (layers, expected) in cases {
        let shown = layers.to_string();
        let (error, most) = memory_of(|| error_of(&with_layers(layers), "keras"));
        assert!(
            error.contains(expected),
            "{}: {error}",
            &shown[..shown.len().min(300)]
        );
        assert!(most < 80 << 20, "{most} bytes: {error}");
    }
}

#[test]
fn metrics_and_optimizers_with_absurd_counts_take_no_memory() {
    let file = golden("mlp.keras");
    let huge = 1_000_000_000_000u64;
    for metric in [
        json!({"class_name": "AUC", "config": {"num_thresholds": huge}}),
        json!({"class_name": "SensitivityAtSpecificity", "config": {"specificity": 0.5, "num_thresholds": huge}}),
        json!({"class_name": "MeanIoU", "config": {"num_classes": huge}}),
        json!({"class_name": "TopKCategoricalAccuracy", "config": {"k": huge}}),
    ] {
        let mut config = config_of(&file);
        config["compile_config"]["metrics"] = json!([metric]);
        let bytes = with_entry(&file, "config.json", config.to_string().into_bytes());
        let folder = folder();
        let path = folder.path().join("metric.keras");
        fs::write(&path, bytes).unwrap();
        let mut outcomes = Outcomes::default();
        outcomes.run(("metric", 0), Some(&path), || {
            let mut model = Sequential::load(&path, &Device::Cpu)?;
            let (x, y) = (
                common::numbers(&[2, 64], "x"),
                common::numbers(&[2, 10], "y"),
            );
            let _ = model.fit(&x, &y, Fit::new().verbose(0));
            Ok(())
        });
        assert!(outcomes.most_memory < 80 << 20, "{outcomes:?}");
    }
}

#[test]
fn a_hundred_thousand_metrics_are_named_in_no_time() {
    let file = golden("mlp.keras");
    let mut config = config_of(&file);
    config["compile_config"]["metrics"] = json!(vec!["mse"; 100_000]);
    let bytes = with_entry(&file, "config.json", config.to_string().into_bytes());
    let folder = folder();
    let path = folder.path().join("metrics.keras");
    fs::write(&path, bytes).unwrap();
    let start = Instant::now();
    Sequential::load(&path, &Device::Cpu).unwrap();
    assert!(start.elapsed() < LONGEST);
}

#[test]
fn thousands_of_layers_are_loaded_and_more_are_an_error() {
    let folder = folder();
    let path = folder.path().join("deep.keras");
    let mut model = Sequential::new().add(Input::new(2));
    for _ in 0..3000 {
        model = model.add(Dense::new(2));
    }
    let mut model = model.build(&Device::Cpu).unwrap();
    model
        .compile(Sgd::new(0.1), MeanSquaredError::new(), ())
        .unwrap();
    model.save(&path).unwrap();
    let mut outcomes = Outcomes::default();
    outcomes.run(("layers", 3000), Some(&path), || {
        Sequential::load(&path, &Device::Cpu).map(drop)
    });
    assert_eq!(outcomes.loaded, 1);
    let mut many = vec![input(json!([null, 64]))];
    many.extend(vec![layer("Flatten", json!({})); 100_000]);
    let error = error_of(&with_layers(Value::Array(many)), "keras");
    assert!(
        error.contains("config.json: expected at most 131072 objects in JSON"),
        "{error}"
    );
}

#[test]
fn json_that_is_too_deep_or_too_long_is_an_error() {
    let file = golden("mlp.keras");
    for depth in [200, 1_000_000] {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let deep = with_entry(&file, "config.json", text.clone().into_bytes());
        let error = error_of(&deep, "keras");
        let place = "config.json: recursion limit exceeded at line 1 column 128";
        assert!(error.contains(place), "{error}");
        let error = Sequential::from_json(&text).unwrap_err().to_string();
        assert!(
            error.contains("recursion limit exceeded at line 1 column 128"),
            "{error}"
        );
    }
    // Numbers in lists, as a Normalization has them: each list was once copied for every one around.
    let mut deep = format!("[{}0]", "0.5,".repeat(100_000));
    for _ in 0..110 {
        deep = format!("[{deep}]");
    }
    let deep: Value = serde_json::from_str(&deep).unwrap();
    let layers = json!([
        input(json!([null, 64])),
        layer(
            "Normalization",
            json!({"axis": -1, "mean": deep, "variance": deep, "name": "deep"})
        ),
    ]);
    let error = error_of(&with_layers(layers), "keras");
    assert!(error.contains("deep"), "{error}");
}

/// As many objects and values as are read, in the shortest text, and a text of the greatest length.
#[test]
fn the_largest_configurations_take_no_more_memory_than_is_said() {
    let objects = format!("[{}0]", "{\"\":0},".repeat(130_000));
    let values = format!("[{}0]", "0,".repeat(780_000));
    let long = "x".repeat(13 << 20);
    let text = format!("{{\"a\":{objects},\"b\":{values},\"c\":\"{long}\"}}");
    let file = golden("mlp.keras");
    let bytes = with_entry(&file, "config.json", text.clone().into_bytes());
    let (error, most) = memory_of(|| error_of(&bytes, "keras"));
    assert!(error.contains("expected a Sequential, got none"), "{error}");
    assert!(most < 250 << 20, "{most} bytes");
    let first = input(json!([null, 64]));
    let layers = objects.replacen('[', &format!("[{first},"), 1);
    let config = format!("{{\"class_name\":\"Sequential\",\"config\":{{\"layers\":{layers}}}}}");
    let bytes = with_entry(&file, "config.json", config.into_bytes());
    let (error, most) = memory_of(|| error_of(&bytes, "keras"));
    assert!(error.contains("layer `layer 1`"), "{error}");
    assert!(most < 250 << 20, "{most} bytes");
}

#[test]
fn zip_bombs_are_errors() {
    let entries = unzipped(&golden("mlp.keras"));
    for (name, expected) in [
        (
            "config.json",
            "config.json: expected at most 16777216 bytes of JSON, got 16777217",
        ),
        ("model.weights.h5", "model.weights.h5: expected at most "),
    ] {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (other, data) in &entries {
            let options = SimpleFileOptions::default();
            let method = CompressionMethod::Deflated;
            zip.start_file(other.as_str(), options.compression_method(method))
                .unwrap();
            zip.write_all(data).unwrap();
            if other == name {
                let spaces = vec![b' '; 1 << 20];
                for _ in 0..500 {
                    zip.write_all(&spaces).unwrap(); // 500 MB of half a megabyte
                }
            }
        }
        let bytes = zip.finish().unwrap().into_inner();
        assert!(bytes.len() < 2 << 20);
        let error = error_of(&bytes, "keras");
        assert!(error.contains(expected), "{error}");
    }
}

/// A directory's end stands in many places, and each claims a directory of its own.
#[test]
fn many_ends_of_a_zip_do_not_take_long() {
    let mut end = b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff".to_vec();
    end.extend(1000u32.to_le_bytes());
    end.extend(0u32.to_le_bytes());
    end.extend(0u16.to_le_bytes());
    for start in [&b"PK\x01\x02"[..], b""] {
        let mut bytes = start.to_vec();
        bytes.resize(1024, 0);
        bytes.extend(end.repeat(100_000));
        let error = error_of(&bytes, "keras");
        assert!(
            error.contains("not a .keras file that can be read"),
            "{error}"
        );
    }
}

#[test]
fn names_that_climb_out_write_nothing() {
    let folder = folder();
    let inside = folder.path().join("a/b");
    fs::create_dir_all(&inside).unwrap();
    let mut entries = unzipped(&golden("mlp.keras"));
    for name in [
        "../x",
        "../../x",
        "/tmp/candle-keras-x",
        "a/../../x",
        "C:\\x",
        "b\0x",
    ] {
        entries.push((name.to_string(), b"climbed out".to_vec()));
    }
    let path = inside.join("climbing.keras");
    fs::write(&path, zipped(&entries, CompressionMethod::Stored)).unwrap();
    assert!(Sequential::load(&path, &Device::Cpu).is_ok());
    let names = |folder: &Path| -> Vec<_> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name()).collect()
    };
    assert_eq!(names(folder.path()), ["a"]);
    assert_eq!(names(&folder.path().join("a")), ["b"]);
    assert_eq!(names(&inside), ["climbing.keras"]);
    assert!(!Path::new("/tmp/candle-keras-x").exists());
    // In place of what belongs there, such a name is none that is looked for.
    let mut entries = unzipped(&golden("mlp.keras"));
    entries[2].0 = "../model.weights.h5".to_string();
    let error = error_of(&zipped(&entries, CompressionMethod::Stored), "keras");
    assert!(error.contains("it holds no model.weights.h5"), "{error}");
}

/// Every link of a file leads to every object in turn, its own parents included.
#[test]
fn hdf5_whose_links_lead_in_circles_ends() {
    let [_, file, _] = own_files();
    let entry = |leaf: usize, index: usize| leaf + 8 + 40 * index + 8;
    let mut links = Vec::new();
    for leaf in (0..file.len() - 4).filter(|&at| &file[at..at + 4] == b"SNOD") {
        let count = u16::from_le_bytes(file[leaf + 6..leaf + 8].try_into().unwrap());
        links.extend((0..usize::from(count)).map(|index| entry(leaf, index)));
    }
    assert!(links.len() > 20);
    let folder = folder();
    let path = folder.path().join("loops.weights.h5");
    let mut outcomes = Outcomes::default();
    let root = 56 + 8; // the root's header in the superblock
    let mut model = many_parts();
    for &link in &links {
        for &target in links.iter().chain([&root]) {
            let mut bytes = file.clone();
            // Header, then tree and heap in the entry's cache.
            let part = file[target..target + 32].to_vec();
            put(&mut bytes, link, &part);
            fs::write(&path, &bytes).unwrap();
            outcomes.run(("loop", link as u64), Some(&path), || {
                model.load_weights(&path)
            });
        }
    }
    assert!(outcomes.refused > 100, "{outcomes:?}");
}

#[test]
fn weights_that_are_no_numbers_are_named() {
    let folder = folder();
    let model = many_parts();
    let (_, trained) = model
        .weights()
        .enumerate()
        .find(|(_, w)| w.path() == "dense/kernel")
        .unwrap();
    let first = common::flat(&trained.copy().unwrap())[0] as f32;
    for ending in ["keras", "weights.h5", "safetensors"] {
        let path = folder.path().join(format!("m.{ending}"));
        match ending {
            "keras" => model.save(&path).unwrap(),
            _ => model.save_weights(&path).unwrap(),
        }
        let bytes = fs::read(&path).unwrap();
        let at = bytes
            .windows(4)
            .position(|four| four == first.to_le_bytes())
            .unwrap();
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut bytes = bytes.clone();
            if ending == "keras" {
                let mut weights = unzipped(&bytes).pop().unwrap().1;
                let at = weights
                    .windows(4)
                    .position(|four| four == first.to_le_bytes())
                    .unwrap();
                put(&mut weights, at, &number.to_le_bytes());
                bytes = with_entry(&bytes, "model.weights.h5", weights);
            } else {
                put(&mut bytes, at, &number.to_le_bytes());
            }
            let error = error_of(&bytes, ending);
            let expected = match ending {
                "safetensors" => "`dense/kernel`: holds a number that is not finite",
                _ => "`dense/kernel`, layers/dense/vars/0: holds a number that is not finite",
            };
            assert!(error.contains(expected), "{error}");
        }
    }
}

/// What a long run found: seed 4294994268 of the HDF5 in `.keras` files.
#[test]
fn a_learning_rate_that_is_no_rate_is_an_error_with_its_place() {
    let folder = folder();
    let path = folder.path().join("m.weights.h5");
    let mut model = many_parts();
    model.save_weights(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let rate = 0.01f32.to_le_bytes();
    let at = bytes.windows(4).position(|four| four == rate).unwrap();
    put(&mut bytes, at, &(-3.64e-6f32).to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = model.load_weights(&path).unwrap_err().to_string();
    let expected = "m.weights.h5: optimizer/vars/1: `learning_rate`: expected a finite number";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_bit_of_the_weights_that_a_disk_changed_is_an_error() {
    let bytes = golden("mlp.keras");
    let weights = unzipped(&bytes).pop().unwrap().1;
    let at = bytes
        .windows(64)
        .position(|part| part == &weights[2048..2112])
        .unwrap();
    let mut changed = bytes.clone();
    changed[at] ^= 1;
    let error = error_of(&changed, "keras");
    assert!(
        error.contains("model.weights.h5: expected the checksum"),
        "{error}"
    );
}

#[test]
fn headers_of_safetensors_are_not_believed() {
    let file = |header: &str, length: Option<u64>, data: usize| {
        let length = length.unwrap_or(header.len() as u64);
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    };
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!("{{\"a\":{{\"dtype\":\"{dtype}\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}")
    };
    let cases = [
        (
            file("", Some(u64::MAX), 0),
            "expected a header of at most 0 bytes, got 18446744073709551615",
        ),
        (
            file("{}", Some(1 << 40), 100),
            "expected a header of at most 102 bytes",
        ),
        (file("[]", None, 0), "header: expected an object"),
        (file("{\"a\":1}", None, 0), "`a`: invalid type"),
        (
            file(&"[".repeat(500), None, 0),
            "header: recursion limit exceeded at line 1 column 128",
        ),
        (
            file(&entry("F32", "[2]", "[0,8]"), None, 7),
            "expected 8 bytes of numbers, got 7",
        ),
        (
            file(&entry("F32", "[2]", "[0,8]"), None, 9),
            "expected 8 bytes of numbers, got 9",
        ),
        (
            file(&entry("F32", "[2]", "[8,16]"), None, 16),
            "expected numbers from byte 0 on, got 8",
        ),
        (
            file(&entry("F32", "[2]", "[8,0]"), None, 8),
            "`a`: expected as many bytes as the shape has",
        ),
        (
            file(&entry("F32", "[4294967296,4294967296]", "[0,0]"), None, 0),
            "`a`: expected as many bytes as the shape has",
        ),
        (
            file(&entry("F4", "[2]", "[0,1]"), None, 1),
            "`a`: expected numbers of a type such as F32",
        ),
        (
            file(&entry("F32", "[2]", "[0,8]"), None, 8),
            "expected a weight `",
        ),
    ];
    for (bytes, expected) in cases {
        let error = error_of(&bytes, "safetensors");
        assert!(error.contains(expected), "expected {expected}, got {error}");
    }
}
