//! How much of a file is believed. A file may come from anywhere: whatever it claims, loading it ends
//! with a model or an error, and takes no more memory than a few times the file, what is stated here,
//! and the model that it declares and holds.

use serde_json::Value;

/// The longest JSON that is read. Ten thousand layers are 13 MB.
pub(super) const LONGEST_TEXT: u64 = 16 << 20;

/// The most objects in it. One takes 0.7 KB of memory, however short its text is; a layer has about
/// nine, so that these are those of 14,000 layers and take at most 90 MB.
const MOST_OBJECTS: usize = 1 << 17;

/// The most values and keys in it, of 32 bytes each. A layer has about 50.
const MOST_VALUES: usize = 1 << 20;

/// How many times the bytes of a file what it stands for may have: the text of a configuration in
/// its compressed form, weights that were never written or that are compressed. Numbers hardly
/// compress; f16 that a model of f32 takes double; a fresh optimizer's zeros beside weights make 3.
const MOST_TIMES: u64 = 8;

/// What it may have beyond that, for all that compresses well and is small: 64 MB.
const MOST_MORE: u64 = 64 << 20;

/// The most steps, or passes over the data, that a file can claim: those that an f64 counts. One more
/// is then a number too.
pub(super) const MOST_STEPS: u64 = 1 << 53;

/// The most bytes that a part of a file of this size may stand for.
pub(super) fn most_bytes(file: u64) -> u64 {
    file.saturating_mul(MOST_TIMES).saturating_add(MOST_MORE)
}

/// The value of a text. Lists and objects in each other go 127 deep, `serde_json`'s limit.
pub(super) fn json(text: &str) -> Result<Value, String> {
    check(text)?;
    serde_json::from_str(text).map_err(|error| error.to_string())
}

/// An error for a text whose value would take far more memory than the text.
fn check(text: &str) -> Result<(), String> {
    if text.len() as u64 > LONGEST_TEXT {
        let length = text.len();
        return Err(format!(
            "expected at most {LONGEST_TEXT} bytes of JSON, got {length}"
        ));
    }
    // Those in strings count too: no text that Keras writes comes near.
    let objects = count(text, b"{");
    if objects > MOST_OBJECTS {
        return Err(format!(
            "expected at most {MOST_OBJECTS} objects in JSON, got {objects}"
        ));
    }
    let values = objects + count(text, b",[");
    if values > MOST_VALUES {
        return Err(format!(
            "expected at most {MOST_VALUES} values in JSON, got {values}"
        ));
    }
    Ok(())
}

/// How often one of these letters is in a text.
fn count(text: &str, letters: &[u8]) -> usize {
    let found = text.bytes().filter(|byte| letters.contains(byte));
    found.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_would_fill_the_memory_is_an_error() {
        let objects = format!("[{}{{}}]", "{},".repeat(MOST_OBJECTS));
        assert_eq!(
            json(&objects).unwrap_err(),
            "expected at most 131072 objects in JSON, got 131073"
        );
        let values = format!("[{}0]", "0,".repeat(MOST_VALUES));
        assert_eq!(
            json(&values).unwrap_err(),
            "expected at most 1048576 values in JSON, got 1048577"
        );
        let long = format!("\"{}\"", "x".repeat(LONGEST_TEXT as usize));
        assert_eq!(
            json(&long).unwrap_err(),
            "expected at most 16777216 bytes of JSON, got 16777218"
        );
    }

    #[test]
    fn lists_that_are_too_deep_are_an_error_with_its_place() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json(&deep(127)).is_ok());
        assert_eq!(
            json(&deep(128)).unwrap_err(),
            "recursion limit exceeded at line 1 column 128"
        );
        assert!(json(&deep(500_000)).is_err());
    }
}
