//! Damaged and hostile files: whatever is read, no panic, no endless loop, no output over the limit.

use super::fixtures::{NAMES, fixture};
use super::*;
use std::time::{Duration, Instant};

/// The numbers that a walk reads at most of a dataset.
const LIMIT: u64 = 1 << 16;

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }
}

/// A file, with the places that make most of a mutation.
struct Base {
    bytes: Vec<u8>,
    /// Where bytes are not 0.
    used: Vec<usize>,
    /// Where something stands that may be an address.
    addresses: Vec<usize>,
}

impl Base {
    fn new(bytes: Vec<u8>) -> Self {
        let size = bytes.len() as u64;
        let used = (0..bytes.len()).filter(|&at| bytes[at] != 0).collect();
        let addresses = (0..bytes.len().saturating_sub(8))
            .step_by(8)
            .filter(|&at| {
                let address = u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
                (48..size).contains(&address) && address % 8 == 0
            })
            .collect();
        Self {
            bytes,
            used,
            addresses,
        }
    }

    fn mutated(&self, seed: u64) -> Vec<u8> {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            random.next(); // away from the seed
        }
        let mut bytes = self.bytes.clone();
        let kind = random.below(10);
        if kind == 0 {
            bytes.truncate(random.below(self.bytes.len()));
            return bytes;
        }
        for _ in 0..=random.below(if kind < 6 { 4 } else { 16 }) {
            self.mutate(&mut bytes, &mut random);
        }
        bytes
    }

    fn mutate(&self, bytes: &mut [u8], random: &mut Random) {
        let size = bytes.len() as u64;
        let counts = [
            0,
            1,
            2,
            u64::MAX,
            u64::MAX - 1,
            1 << 63,
            1 << 40,
            1 << 32,
            0xffff_ffff,
            0x7fff_ffff,
            1 << 20,
            size,
            size - 8,
        ];
        let at = random.pick(&self.used);
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.next() as u8,
            2 => bytes[at] = random.pick(&[0, 1, 2, 0x7f, 0x80, 0xff]),
            3 => put(bytes, at & !7, &random.pick(&counts).to_le_bytes()),
            4 => put(bytes, at & !3, &(random.pick(&counts) as u32).to_le_bytes()),
            5 => put(bytes, at & !1, &(random.next() as u16).to_le_bytes()),
            _ if self.addresses.is_empty() => {}
            // An address over another: loops, and structures of the wrong kind.
            _ => {
                let from = random.pick(&self.addresses);
                let address = self.bytes[from..from + 8].to_vec();
                put(bytes, random.pick(&self.addresses), &address);
            }
        }
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + value.len()) {
        place.copy_from_slice(value);
    }
}

/// Reads everything of a file to some depth; links may lead back to a parent.
fn walk(file: &File<Vec<u8>>, path: &str, depth: usize, left: &mut usize) {
    *left = left.saturating_sub(1);
    if depth == 0 || *left == 0 {
        return;
    }
    let Ok(Some(object)) = file.find(path) else {
        return;
    };
    if let Ok(attributes) = file.attributes(path) {
        assert!(attributes.len() <= 1 << 16);
    }
    match object {
        Object::Group => {
            for name in file.children(path).unwrap_or_default() {
                walk(file, &format!("{path}/{name}"), depth - 1, left);
            }
        }
        Object::Dataset(dataset) => {
            if let Ok(values) = file.read_as::<f32>(&dataset, LIMIT) {
                assert!(values.len() as u64 <= LIMIT);
                assert_eq!(values.len() as u64, dataset.elements());
            }
            let _ = file.read_as::<i64>(&dataset, LIMIT);
        }
    }
}

/// The longest time that a mutation of any fixture took.
fn mutations(seeds: std::ops::Range<u64>) -> Duration {
    let bases: Vec<_> = NAMES.iter().map(|name| Base::new(fixture(name))).collect();
    let mut longest = Duration::ZERO;
    for seed in seeds {
        let base = &bases[(seed % bases.len() as u64) as usize];
        let start = Instant::now();
        if let Ok(file) = File::open(base.mutated(seed)) {
            walk(&file, "", 6, &mut 60);
        }
        longest = longest.max(start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(5), "seed {seed}");
    }
    longest
}

#[test]
fn damaged_files_give_results_or_errors() {
    mutations(0..5_000);
}

/// `HDF5_MUTATIONS=1000000 cargo test --release -- --ignored`, with `ulimit -v` against memory.
#[test]
#[ignore = "takes minutes"]
fn many_damaged_files_give_results_or_errors() {
    let count = std::env::var("HDF5_MUTATIONS")
        .ok()
        .and_then(|count| count.parse().ok());
    println!("longest: {:?}", mutations(5_000..count.unwrap_or(300_000)));
}

/// A file in which every name of a group starts one byte later in the same text.
#[test]
fn overlapping_names_cannot_fill_the_memory() {
    use super::super::write;
    let mut root = write::Group::root();
    root.group(&"x".repeat(60_000)).expect("a name");
    for i in 0..2000 {
        root.group(&format!("{i:04}")).expect("a name");
    }
    let mut bytes = Vec::new();
    root.write(&mut bytes).expect("a file");
    let heap = bytes
        .windows(4)
        .rposition(|word| word == b"HEAP")
        .expect("a heap");
    let long = (2000 * 8 + 8) as u64; // where the long name starts in the heap
    assert_eq!(bytes[heap + 32 + long as usize], b'x');
    let mut at = 0;
    while let Some(leaf) = bytes[at..].windows(4).position(|word| word == b"SNOD") {
        for entry in 0..8 {
            let place = at + leaf + 8 + 40 * entry;
            put(
                &mut bytes,
                place,
                &(long + at as u64 % 1000 + entry as u64).to_le_bytes(),
            );
        }
        at += leaf + 8;
    }
    let file = File::open(bytes).expect("a file");
    let error = file.children("").expect_err("an error").to_string();
    assert!(
        error.ends_with("expected structures that end, got a loop"),
        "{error}"
    );
}

/// All groups of a file may have the same links; the cache starts anew before it holds too many.
#[test]
fn the_cache_is_bounded() {
    let mut cache = Cache::default();
    let links: Links = (0..1000).map(|i| (i.to_string(), Some(i))).collect();
    let links = Rc::new(links);
    for at in 0..1000 {
        cache.insert(at, Rc::clone(&links));
        assert!(cache.links <= Cache::MOST);
        assert_eq!(cache.links, cache.groups.len() * 1001);
    }
}
