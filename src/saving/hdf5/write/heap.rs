//! Global heaps, which hold the strings of attributes.

use super::message::{pad, put_u16, put_u64};
use super::{Group, Node};
use std::vec;

/// The bytes of a heap, as in the C library. Only a string that is longer makes a longer one: who
/// wants one string reads its whole heap.
const HEAP: usize = 4096;

/// The bytes of the head of a heap, and of every object in it.
const HEAD: usize = 16;

/// Where strings are: each one's heap and number, in the order of [`strings`].
pub(super) type Places = vec::IntoIter<(u64, u16)>;

/// The heaps with the values of all attributes, the first one at `start`, and the values' places.
pub(super) fn heaps(root: &Group<'_>, start: u64) -> (Vec<u8>, Places) {
    let mut values = Vec::new();
    strings(root, &mut values);
    let (mut heaps, mut places) = (Vec::new(), Vec::new());
    let mut rest = values.as_slice();
    while !rest.is_empty() {
        let at = start.saturating_add(heaps.len() as u64);
        let (values, after) = rest.split_at_checked(fitting(rest)).unwrap_or((rest, &[]));
        places.extend((1..).take(values.len()).map(|number| (at, number)));
        put_heap(&mut heaps, values);
        rest = after;
    }
    (heaps, places.into_iter())
}

/// How many of the values go into the next heap: as many as it has room for, at least one. Since
/// every object has a head, their numbers are far from the limit of 16 bits.
fn fitting(values: &[&str]) -> usize {
    let mut left = HEAP - 2 * HEAD; // a head of the heap, one of the free space
    let fits = |value: &&&str| {
        let size = HEAD + value.len().next_multiple_of(8);
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    };
    values.iter().take_while(fits).count().max(1)
}

/// The values of all attributes, children first, which is the order in which the layout asks.
fn strings<'b>(group: &'b Group<'_>, into: &mut Vec<&'b str>) {
    for node in group.children.values() {
        match node {
            Node::Group(group) => strings(group, into),
            Node::Dataset(dataset) => put_values(&dataset.attributes, into),
        }
    }
    put_values(&group.attributes, into);
}

fn put_values<'b>(attributes: &'b [(String, String)], into: &mut Vec<&'b str>) {
    into.extend(attributes.iter().map(|(_, value)| value.as_str()));
}

fn put_heap(heaps: &mut Vec<u8>, values: &[&str]) {
    let mut objects = Vec::new();
    for (number, value) in (1u16..).zip(values) {
        put_u16(&mut objects, &[number, 1, 0, 0]); // one reference to it
        put_u64(&mut objects, &[value.len() as u64]);
        objects.extend(value.as_bytes());
        pad(&mut objects);
    }
    // The free space is an object as well, with the number 0.
    let used = HEAD + objects.len();
    let size = (used + HEAD).max(HEAP);
    let end = heaps.len() + size;
    heaps.extend(b"GCOL\x01\0\0\0");
    put_u64(heaps, &[size as u64]);
    heaps.extend(objects);
    put_u64(heaps, &[0, (size - used) as u64]);
    heaps.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_takes_what_fits_and_at_least_one_string() {
        let long = "x".repeat(5000);
        assert_eq!(fitting(&[&long, "a"]), 1);
        assert_eq!(fitting(&["a", &long]), 1);
        assert_eq!(fitting(&[""; 300]), (4096 - 32) / 16);
        let half = "x".repeat((4096 - 32) / 2 - 16);
        assert_eq!(fitting(&[&half, &half, "a"]), 2);
    }

    #[test]
    fn heaps_stand_one_after_the_other() {
        let mut root = Group::root();
        let long = "x".repeat(5000);
        for (name, value) in [("a", "1"), ("b", &*long), ("c", "3")] {
            root.attribute(name, value).expect("an attribute");
        }
        let (heaps, places) = heaps(&root, 96);
        // 5,000 bytes, its head, and two heads of the heap
        let second = 96 + 4096;
        let third = second + 5000 + 3 * 16;
        assert_eq!(
            places.collect::<Vec<_>>(),
            [(96, 1), (second, 1), (third, 1)]
        );
        assert_eq!(heaps.len() as u64, third - 96 + 4096);
    }
}
