//! Saving and loading 1 GB of weights, beside `cp` of the same file, in turn:
//!
//!     cargo test --release --test large_files -- --ignored --nocapture
//!
//! A save brings all to the disk (`fsync`) before the file gets its name, so it stands beside
//! `cp` and `sync` of the copy as well. `LARGE_FOLDER` says where (default: the folder for temporary files), which needs 3 GB;
//! `LARGE_ROUNDS` how often (default 5).

use candle_keras::{initializers::RandomUniform, prelude::*};
use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Four kernels of 256 MB.
const UNITS: usize = 8192;

/// The most bytes of memory for each byte of weights, the model included.
const MOST_MEMORY: f64 = 1.2;

fn network() -> Sequential {
    let mut network = Sequential::new().seed(1).add(Input::new(UNITS));
    for _ in 0..4 {
        let initializer = RandomUniform::new(-0.05, 0.05);
        network = network.add(
            Dense::new(UNITS)
                .use_bias(false)
                .kernel_initializer(initializer),
        );
    }
    network.build(&Device::Cpu).unwrap()
}

/// A line of /proc/self/status in bytes.
fn status(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kilobytes = line.split_whitespace().nth(1).unwrap();
    1024.0 * kilobytes.parse::<f64>().unwrap()
}

/// Seconds that this process and those that it ran have had of the processor.
fn processor() -> f64 {
    let line = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = line.rsplit(')').next().unwrap();
    let ticks = after_name.split_whitespace().skip(11).take(4);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}

/// Seconds, and the most bytes in memory beside those before.
fn measured<T>(body: impl FnOnce() -> T) -> (f64, f64, T) {
    fs::write("/proc/self/clear_refs", "5").unwrap(); // the high-water mark begins anew
    let before = status("VmRSS");
    let start = Instant::now();
    let result = body();
    let time = start.elapsed();
    (time.as_secs_f64(), status("VmHWM") - before, result)
}

fn run(program: &str, arguments: &[&Path]) -> f64 {
    let start = Instant::now();
    assert!(
        Command::new(program)
            .args(arguments)
            .status()
            .unwrap()
            .success()
    );
    start.elapsed().as_secs_f64()
}

fn median(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

#[test]
#[ignore = "takes minutes, 3 GB of disk and 3 GB of memory"]
fn a_gigabyte_is_saved_and_loaded_at_half_the_speed_of_a_copy() {
    let folder = match std::env::var_os("LARGE_FOLDER") {
        Some(folder) => tempfile::tempdir_in(folder).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let rounds = std::env::var("LARGE_ROUNDS").map_or(5u32, |rounds| rounds.parse().unwrap());
    let mut model = network();
    let size = (4 * UNITS * UNITS * 4) as f64;
    let copy = folder.path().join("copy");
    let mut problems = Vec::new();
    for ending in ["keras", "weights.h5", "safetensors"] {
        let path = folder.path().join(format!("large.{ending}"));
        let [mut copies, mut synced, mut saves, mut loads] = [const { Vec::new() }; 4];
        let mut used = [0.0; 3];
        let (mut save_memory, mut load_memory) = (0f64, 0f64);
        for _ in 0..rounds {
            let mut before = processor();
            let mut use_of = |what: usize| {
                used[what] += processor() - before;
                before = processor();
            };
            // Both write a new file.
            let _ = fs::remove_file(&path);
            let (time, memory, saved) = measured(|| match ending {
                "keras" => model.save(&path),
                _ => model.save_weights(&path),
            });
            saved.unwrap();
            saves.push(time);
            use_of(0);
            save_memory = save_memory.max((size + memory) / size);
            let _ = fs::remove_file(&copy);
            copies.push(run("cp", &[&path, &copy]));
            synced.push(copies.last().unwrap() + run("sync", &[&copy]));
            use_of(1);
            let (time, memory) = match ending {
                "keras" => {
                    let (time, memory, loaded) = measured(|| Sequential::load(&path, &Device::Cpu));
                    loaded.unwrap();
                    (time, memory)
                }
                _ => {
                    let (time, memory, loaded) = measured(|| model.load_weights(&path));
                    loaded.unwrap();
                    (time, size + memory)
                }
            };
            loads.push(time);
            use_of(2);
            load_memory = load_memory.max(memory / size);
            std::thread::sleep(Duration::from_millis(200));
        }
        let [copy, synced, save, load] = [copies, synced, saves, loads].map(|times| median(&times));
        println!(
            "{ending}: cp {copy:.2} s, cp and sync {synced:.2} s; save {save:.2} s ({:.2} of the speed of \
             cp and sync, {:.2} of cp), memory {save_memory:.2}; load {load:.2} s ({:.2} of the speed of \
             cp), memory {load_memory:.2}",
            synced / save,
            copy / save,
            copy / load,
        );
        let [save_used, copy_used, load_used] = used.map(|seconds| seconds / f64::from(rounds));
        println!(
            "    seconds of the processor: save {save_used:.2}, cp and sync {copy_used:.2}, load {load_used:.2}"
        );
        if save.max(load) > 2.0 * copy || save_memory.max(load_memory) > MOST_MEMORY {
            problems.push(ending);
        }
        fs::remove_file(&path).unwrap();
    }
    assert!(problems.is_empty(), "{problems:?}");
}
