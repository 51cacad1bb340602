//! The table that `summary` shows, as Keras prints it.

use super::{Sequential, names};
use crate::{error::batched, weights::Weight};
use std::fmt;

/// The widths of Keras's three columns at 76 characters, borders left out.
const WIDTHS: [usize; 3] = [33, 24, 15];

/// A model's table of layers, shapes and parameters; `Display` prints it as Keras does.
#[derive(Debug, Clone)]
pub struct Summary {
    name: String,
    rows: Vec<Row>,
    trainable: Size,
    non_trainable: Size,
    optimizer: Size,
}

#[derive(Debug, Clone)]
struct Row {
    layer: String,
    class_name: String,
    output_shape: String,
    parameters: String,
}

/// Numbers and the bytes that they take.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Size {
    count: usize,
    bytes: usize,
}

impl Size {
    fn of<'a>(weights: impl Iterator<Item = &'a Weight>) -> Self {
        weights.fold(Self::default(), |size, weight| Self {
            count: size.count + weight.count(),
            bytes: size.bytes + weight.count() * weight.value().dtype().size_in_bytes(),
        })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut amount = self.bytes as f64;
        let mut unit = "B";
        for greater in ["KB", "MB", "GB", "TB"] {
            if amount < 1024.0 {
                break;
            }
            amount /= 1024.0;
            unit = greater;
        }
        write!(formatter, "{} ({amount:.2} {unit})", thousands(self.count))
    }
}

impl Summary {
    pub(super) fn new(model: &Sequential) -> Self {
        let rows = match &model.chain {
            Some(chain) => chain
                .nodes
                .iter()
                .map(|node| Row {
                    layer: node.name.clone(),
                    class_name: node.layer.class_name().to_string(),
                    output_shape: batched(&node.output_shape),
                    parameters: thousands(node.weights.iter().map(Weight::count).sum()),
                })
                .collect(),
            None => unbuilt(model),
        };
        let weights = || model.chain.iter().flat_map(|chain| chain.weights());
        let (count, bytes) = model.optimizer_size();
        Self {
            name: "sequential".to_string(),
            rows,
            trainable: Size::of(weights().filter(|weight| weight.trainable())),
            non_trainable: Size::of(weights().filter(|weight| !weight.trainable())),
            optimizer: Size { count, bytes },
        }
    }
}

/// The rows of a model before `build`, which has names but no shapes.
fn unbuilt(model: &Sequential) -> Vec<Row> {
    let layers = model.layers.iter();
    let layers = || {
        let layers = layers.clone();
        layers.filter(|unbuilt| unbuilt.layer.as_input().is_none())
    };
    layers()
        .zip(names::of(layers()))
        .map(|(unbuilt, name)| Row {
            layer: name,
            class_name: unbuilt.layer.class_name().to_string(),
            output_shape: "?".to_string(),
            parameters: "0 (unbuilt)".to_string(),
        })
        .collect()
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "Model: \"{}\"", self.name)?;
        rule(out, "┏", "━", "┳", "┓")?;
        line(out, "┃", ["Layer (type)", "Output Shape", "Param #"])?;
        rule(out, "┡", "━", "╇", "┩")?;
        for (index, row) in self.rows.iter().enumerate() {
            if index > 0 {
                rule(out, "├", "─", "┼", "┤")?;
            }
            let cells = |first| [first, row.output_shape.as_str(), row.parameters.as_str()];
            let layer = format!("{} ({})", row.layer, row.class_name);
            if layer.chars().count() <= WIDTHS[0] - 2 {
                line(out, "│", cells(&layer))?;
            } else {
                line(out, "│", cells(&row.layer))?;
                line(out, "│", [&format!("({})", row.class_name), "", ""])?;
            }
        }
        rule(out, "└", "─", "┴", "┘")?;
        let parameters = self.trainable.plus(self.non_trainable);
        writeln!(out, " Total params: {}", parameters.plus(self.optimizer))?;
        writeln!(out, " Trainable params: {}", self.trainable)?;
        write!(out, " Non-trainable params: {}", self.non_trainable)?;
        if self.optimizer.count > 0 {
            write!(out, "\n Optimizer params: {}", self.optimizer)?;
        }
        Ok(())
    }
}

fn rule(
    out: &mut fmt::Formatter<'_>,
    left: &str,
    fill: &str,
    middle: &str,
    right: &str,
) -> fmt::Result {
    let [first, second, third] = WIDTHS.map(|width| fill.repeat(width));
    writeln!(out, "{left}{first}{middle}{second}{middle}{third}{right}")
}

/// A row of cells: two to the left, the last to the right; what is too long ends in `…`.
fn line(out: &mut fmt::Formatter<'_>, border: &str, cells: [&str; 3]) -> fmt::Result {
    let [first, second, third] = [0, 1, 2].map(|column| fit(cells[column], WIDTHS[column] - 2));
    let [a, b, c] = WIDTHS.map(|width| width - 2);
    writeln!(
        out,
        "{border} {first:<a$} {border} {second:<b$} {border} {third:>c$} {border}"
    )
}

fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_string();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

/// 109386 as `109,386`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
