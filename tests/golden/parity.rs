//! docs/parity.md: every entry of the catalogue with its greatest difference from Keras.

use super::*;
use std::{collections::BTreeSet, fmt::Write};

/// Classes that draw, so that their numbers cannot be Keras's, and what is compared instead.
fn remark(kind: &str, class_name: &str) -> &'static str {
    let draws = [
        "Glorot",
        "He",
        "Lecun",
        "Orthogonal",
        "Random",
        "Truncated",
        "VarianceScaling",
    ];
    match kind {
        "layer" if class_name.ends_with("Dropout") || class_name == "GaussianNoise" => {
            "draws; inference compared"
        }
        "initializer" if draws.iter().any(|start| class_name.starts_with(start)) => {
            "draws; mean, variance and range of 100,000 compared"
        }
        _ => "",
    }
}

fn report() -> Report {
    let mut report = Report::default();
    activations::compare(&mut report);
    constraints::compare(&mut report);
    initializers::compare(&mut report);
    layers::compare(&mut report);
    losses::compare(&mut report);
    metrics::compare(&mut report);
    optimizers::compare(&mut report);
    programs::compare(&mut report);
    regularizers::compare(&mut report);
    schedules::compare(&mut report);
    report
}

#[test]
fn every_entry_of_the_catalogue_is_compared_with_keras() {
    let report = report();
    let compared: BTreeSet<(&str, &str)> = report
        .greatest
        .keys()
        .map(|(kind, class_name)| (*kind, class_name.as_str()))
        .collect();
    for (kind, classes) in candle_keras::catalogue() {
        for class_name in classes {
            assert!(
                compared.contains(&(kind, class_name)),
                "no golden value for the {kind} {class_name}: add a case to tests/golden/generator"
            );
        }
    }
}

fn table(report: &Report) -> String {
    let mut text = String::new();
    let mut kind_before = "";
    for ((kind, class_name), compared) in &report.greatest {
        if *kind != kind_before {
            write!(text, "\n## {}\n\n", title(kind)).unwrap();
            text.push_str(
                "| | numbers compared | greatest difference | allowed | |\n|-|-:|-:|-:|-|\n",
            );
            kind_before = kind;
        }
        let remark = remark(kind, class_name);
        let Compared {
            count,
            greatest,
            allowed,
        } = compared;
        let greatest = match greatest {
            0.0 => "0".to_string(),
            greatest => format!("{greatest:.1e}"),
        };
        let row = format!("| {class_name} | {count} | {greatest} | {allowed:.0e} | {remark} |");
        writeln!(text, "{row}").unwrap();
    }
    text
}

/// The callbacks, of which behaviour is compared rather than numbers.
fn callbacks_table() -> String {
    let mut text = "\n## Callbacks\n\n| | cases | compared |\n|-|-:|-|\n".to_string();
    for (class_name, cases, what) in callbacks::compared() {
        writeln!(text, "| {class_name} | {cases} | {what} |").unwrap();
    }
    text
}

/// A file of the repository.
fn read(path: &str) -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    std::fs::read_to_string(format!("{folder}/{path}")).unwrap()
}

#[test]
#[ignore = "writes docs/parity.md"]
fn parity() {
    let (head, departures) = (
        read("tests/golden/parity_head.md"),
        read("tests/golden/departures.md"),
    );
    let tables = format!("{}{}", table(&report()), callbacks_table());
    let folder = env!("CARGO_MANIFEST_DIR");
    let text = format!("{head}{tables}\n{departures}");
    std::fs::write(format!("{folder}/docs/parity.md"), text).unwrap();
}

#[test]
fn the_page_of_parity_is_that_of_now() {
    let advice = "write docs/parity.md anew: \
                  cargo test --release --test golden -- --ignored parity";
    let page = read("docs/parity.md");
    let (head, departures) = (
        read("tests/golden/parity_head.md"),
        read("tests/golden/departures.md"),
    );
    assert!(page.starts_with(&head), "{advice}");
    assert!(page.ends_with(&departures), "{advice}");
    assert!(page.contains(&callbacks_table()), "{advice}");
    for (kind, classes) in candle_keras::catalogue() {
        let after = page.split_once(&format!("\n## {}\n", title(kind)));
        let (_, section) = after.unwrap_or_else(|| panic!("no {kind}: {advice}"));
        let section = section.split("\n## ").next().unwrap();
        for class_name in classes {
            let row = format!("\n| {class_name} | ");
            assert!(section.contains(&row), "{kind} {class_name}: {advice}");
        }
    }
}

/// The heading of a kind of classes.
fn title(kind: &str) -> String {
    match kind {
        "loss" => "Losses".to_string(),
        kind => format!("{}{}s", kind[..1].to_uppercase(), &kind[1..]),
    }
}
