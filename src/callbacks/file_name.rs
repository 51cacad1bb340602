//! A file's name with placeholders, `weights-{epoch:02d}-{val_loss:.2f}`, as Python's `format`.

use crate::{Error, Result, error::known, python};
use std::path::{Path, PathBuf};

/// A name in its parts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FileName(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Placeholder { name: String, format: Format },
}

/// How a number is written: `[0][width][.precision][d|f|e]`.
#[derive(Debug, Clone, Default, PartialEq)]
struct Format {
    zeros: bool,
    width: usize,
    precision: Option<usize>,
    kind: Option<char>,
}

/// What a placeholder stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Whole(usize),
    Real(f64),
}

/// More digits than a file's name can hold; Rust's formatting takes up to 65,535.
const MOST_DIGITS: usize = 255;

impl FileName {
    /// The parts of a name.
    ///
    /// # Errors
    /// When the braces do not pair, or the format is none of those.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let Some(mut rest) = path.to_str() else {
            // A name that is no text has no placeholders that could be found.
            let advice = "give a path that is valid Unicode";
            return Err(Error::argument("filepath", "text", path.display(), advice));
        };
        let mut parts = Vec::new();
        let mut text = String::new();
        while let Some(brace) = rest.find(['{', '}']) {
            text.push_str(&rest[..brace]);
            let from = &rest[brace..];
            if from.starts_with("{{") || from.starts_with("}}") {
                text.push_str(&from[..1]);
                rest = &from[2..];
                continue;
            }
            let inner = from
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'));
            let Some((inner, after)) = inner else {
                let expected = "braces in pairs, as in {epoch:02d}";
                let advice = "write {{ and }} for braces in the file's name";
                return Err(Error::argument(
                    "filepath",
                    expected,
                    path.display(),
                    advice,
                ));
            };
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::placeholder(inner)?);
            rest = after;
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Ok(Self(parts))
    }

    /// The name with numbers in place of its placeholders.
    ///
    /// # Errors
    /// When there is no number of a name, or its format is for another kind of number.
    pub(super) fn fill(&self, numbers: &[(&str, Number)]) -> Result<PathBuf> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Placeholder { name, format } => {
                    let found = numbers.iter().find(|(known, _)| known == name);
                    let (_, number) = found.ok_or_else(|| Error::Unknown {
                        kind: "placeholder in `filepath`",
                        name: name.clone(),
                        known: known(numbers.iter().map(|(name, _)| *name)),
                    })?;
                    filled.push_str(&format.write(name, *number)?);
                }
            }
        }
        Ok(filled.into())
    }
}

impl Part {
    /// From what stands between the braces.
    fn placeholder(inner: &str) -> Result<Self> {
        let (name, format) = inner.split_once(':').unwrap_or((inner, ""));
        let format = Format::new(format).ok_or_else(|| {
            let expected = "a format such as 02d, .2f or .3e";
            let advice = "give a width, 0 before it for zeros, a precision, and d, f or e";
            Error::argument(format!("filepath at {{{inner}}}"), expected, format, advice)
        })?;
        Ok(Self::Placeholder {
            name: name.to_string(),
            format,
        })
    }
}

impl Format {
    fn new(text: &str) -> Option<Self> {
        let kind = text
            .chars()
            .last()
            .filter(|last| !last.is_ascii_digit() && *last != '.');
        let digits = &text[..text.len() - kind.map_or(0, char::len_utf8)];
        let (width, precision) = match digits.split_once('.') {
            Some((width, precision)) => (width, Some(number(precision)?)),
            None => (digits, None),
        };
        let known = matches!(kind, None | Some('d' | 'f' | 'e'));
        // A precision needs f or e: `d` takes none, and what Python does without a kind is `g`.
        let precise = precision.is_none() || matches!(kind, Some('f' | 'e'));
        (known && precise).then_some(())?;
        Some(Self {
            zeros: width.starts_with('0'),
            width: if width.is_empty() { 0 } else { number(width)? },
            precision,
            kind,
        })
    }

    fn write(&self, name: &str, number: Number) -> Result<String> {
        let precision = self.precision.unwrap_or(6);
        let real = match number {
            Number::Whole(number) => number as f64,
            Number::Real(number) => number,
        };
        let text = match (self.kind, number) {
            (Some('f'), _) => python::fixed(real, precision),
            (Some('e'), _) => python::scientific(real, precision),
            (_, Number::Whole(number)) => number.to_string(),
            (None, Number::Real(number)) => python::repr(number),
            (Some(_), Number::Real(number)) => {
                let argument = format!("filepath at {name}");
                let got = python::repr(number);
                let advice = "write it with f or e: {val_loss:.2f}";
                return Err(Error::argument(
                    argument,
                    "a whole number for d",
                    got,
                    advice,
                ));
            }
        };
        Ok(self.pad(text))
    }

    /// The text in its width: zeros go between the sign and the digits.
    fn pad(&self, text: String) -> String {
        if !self.zeros {
            return format!("{text:>width$}", width = self.width);
        }
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", text.as_str()),
        };
        let width = self.width.saturating_sub(sign.len());
        format!("{sign}{digits:0>width$}")
    }
}

/// A number of digits, if it is one that a file's name can hold.
fn number(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (number <= MOST_DIGITS).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: [(&str, Number); 4] = [
        ("epoch", Number::Whole(7)),
        ("loss", Number::Real(0.000123456)),
        ("val_loss", Number::Real(-1.2345)),
        ("nan", Number::Real(f64::NAN)),
    ];

    fn filled(name: &str) -> Result<PathBuf> {
        FileName::new(Path::new(name))?.fill(&NUMBERS)
    }

    fn error(name: &str) -> String {
        filled(name).unwrap_err().to_string()
    }

    #[test]
    fn placeholders_are_written_as_by_pythons_format() {
        // python3 -c 'print("..".format(epoch=7, loss=0.000123456, val_loss=-1.2345))'
        for (name, text) in [
            ("{epoch}", "7"),
            ("{epoch:d}", "7"),
            ("w-{epoch:02d}.safetensors", "w-07.safetensors"),
            ("{epoch:3d}", "  7"),
            ("{epoch:03}", "007"),
            ("{epoch:.1f}", "7.0"),
            ("{loss}", "0.000123456"),
            ("{loss:f}", "0.000123"),
            ("{loss:.2e}", "1.23e-04"),
            ("{val_loss:.2f}", "-1.23"),
            ("{val_loss:08.2f}", "-0001.23"),
            ("{val_loss:8.2f}", "   -1.23"),
            ("{val_loss:.0f}", "-1"),
            ("{nan:.2f}", "nan"),
            ("{{{epoch}}}", "{7}"),
            ("ä{epoch}ö", "ä7ö"),
        ] {
            assert_eq!(filled(name).unwrap(), Path::new(text), "{name}");
        }
    }

    #[test]
    fn names_that_there_are_not_and_formats_that_do_not_fit_are_errors() {
        assert_eq!(
            error("{val_accuracy:.2f}"),
            "no placeholder in `filepath` is named `val_accuracy`: expected one of `epoch`, `loss`, `val_loss`, `nan`"
        );
        assert_eq!(
            error("{loss:d}"),
            "`filepath at loss`: expected a whole number for d, got 0.000123456: write it with f or e: {val_loss:.2f}"
        );
        for format in [
            "x",
            ".2",
            ".2d",
            "-3d",
            ".f",
            "+2d",
            "02d ",
            "99999999999999999999d",
            ".999f",
            "ä",
        ] {
            assert_eq!(
                error(&format!("{{epoch:{format}}}")),
                format!(
                    "`filepath at {{epoch:{format}}}`: expected a format such as 02d, .2f or .3e, got {format}: give a width, 0 before it for zeros, a precision, and d, f or e"
                )
            );
        }
        for name in ["{epoch", "epoch}", "{", "a{b{c"] {
            assert_eq!(
                error(name),
                format!(
                    "`filepath`: expected braces in pairs, as in {{epoch:02d}}, got {name}: write {{{{ and }}}} for braces in the file's name"
                )
            );
        }
    }
}
