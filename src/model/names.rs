//! The names that Keras gives to layers without one.

use super::build::Unbuilt;
use crate::config::without_package;
use std::collections::{HashMap, HashSet};

/// Every layer's name: its own, or the next of its class.
pub(crate) fn of<'a>(layers: impl Iterator<Item = &'a Unbuilt> + Clone) -> Vec<String> {
    let mut names = Names::default();
    for name in layers.clone().filter_map(Unbuilt::given_name) {
        names.take(name);
    }
    let names = layers.map(|unbuilt| match unbuilt.given_name() {
        Some(name) => name.to_string(),
        None => names.next(unbuilt.layer.class_name()),
    });
    names.collect()
}

/// The first name that stands in a list twice.
pub(crate) fn duplicate(names: &[String]) -> Option<&str> {
    let mut seen = HashSet::new();
    let again = names.iter().find(|name| !seen.insert(*name));
    again.map(String::as_str)
}

/// Names of one model: `dense`, `dense_1`, one count for each class.
#[derive(Default)]
struct Names {
    taken: HashSet<String>,
    counts: HashMap<String, usize>,
}

impl Names {
    /// Takes a name; false when it is taken.
    fn take(&mut self, name: &str) -> bool {
        self.taken.insert(name.to_string())
    }

    /// The next free name of a class.
    fn next(&mut self, class_name: &str) -> String {
        let stem = snake_case(class_name);
        loop {
            let count = self.counts.entry(stem.clone()).or_default();
            let name = match *count {
                0 => stem.clone(),
                count => format!("{stem}_{count}"),
            };
            *count += 1;
            if self.take(&name) {
                return name;
            }
        }
    }
}

/// A class's name as Keras writes it for an instance: `ReLU` gives `re_lu`, `Conv2D` `conv2d`.
pub(crate) fn snake_case(class_name: &str) -> String {
    let letters: Vec<char> = without_package(class_name)
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    let mut name = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_lower = index > 0 && letters[index - 1].is_lowercase();
        let before_lower = letters
            .get(index + 1)
            .is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && index > 0 && (after_lower || before_lower) {
            name.push('_');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_become_the_names_that_keras_gives() {
        for (class_name, name) in [
            ("Dense", "dense"),
            ("ReLU", "re_lu"),
            ("PReLU", "p_re_lu"),
            ("ELU", "elu"),
            ("LeakyReLU", "leaky_re_lu"),
            ("Conv2D", "conv2d"),
            ("UpSampling2D", "up_sampling2d"),
            ("SimpleRNN", "simple_rnn"),
            ("BatchNormalization", "batch_normalization"),
        ] {
            assert_eq!(snake_case(class_name), name);
        }
    }

    #[test]
    fn names_are_counted_for_each_class_and_avoid_those_taken() {
        let mut names = Names::default();
        assert!(names.take("dense_1"));
        assert_eq!(names.next("Dense"), "dense");
        assert_eq!(names.next("Dense"), "dense_2");
        assert_eq!(names.next("Dropout"), "dropout");
        assert!(!names.take("dropout"));
    }
}
