//! Numbers as Python writes them, for files and messages that are Keras's.

/// As `repr`: `0.1`, `1e-05`, `nan`.
pub(crate) fn repr(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_string();
    }
    exponent(format!("{value:?}"))
}

/// As the format `.{precision}f`.
pub(crate) fn fixed(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return "nan".to_string();
    }
    format!("{value:.precision$}")
}

/// As the format `.{precision}e`.
pub(crate) fn scientific(value: f64, precision: usize) -> String {
    if value.is_nan() {
        return "nan".to_string();
    }
    exponent(format!("{value:.precision$e}"))
}

/// Rust's exponent, `1e-5`, as Python writes it, with its sign and at least two digits: `1e-05`.
fn exponent(text: String) -> String {
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_by_python() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1e-100, "1e-100"),
            (f64::NAN, "nan"),
            (-f64::INFINITY, "-inf"),
        ] {
            assert_eq!(repr(value), text);
        }
        assert_eq!(fixed(0.125, 2), "0.12"); // half to even
        assert_eq!(fixed(1234.5, 0), "1234");
        assert_eq!(fixed(f64::NAN, 2), "nan");
        assert_eq!(scientific(12345.0, 2), "1.23e+04");
        assert_eq!(scientific(0.0, 1), "0.0e+00");
        assert_eq!(scientific(f64::INFINITY, 1), "inf");
    }
}
