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
            let title = match *kind {
                "loss" => "Losses".to_string(),
                kind => format!("{}{}s", kind[..1].to_uppercase(), &kind[1..]),
            };
            write!(text, "\n## {title}\n\n").unwrap();
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

#[test]
#[ignore = "writes docs/parity.md"]
fn parity() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let read = |file: &str| std::fs::read_to_string(format!("{folder}/tests/golden/{file}"));
    let (head, departures) = (
        read("parity_head.md").unwrap(),
        read("departures.md").unwrap(),
    );
    let text = format!("{head}{}\n{departures}", table(&report()));
    std::fs::write(format!("{folder}/docs/parity.md"), text).unwrap();
}
