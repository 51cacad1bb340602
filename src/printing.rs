//! Lines on the terminal.

use std::io::Write;

/// A line on standard output. A reader that went away (`| head`) is no reason to stop training.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
pub(crate) fn warn(line: &str) {
    let _ = writeln!(std::io::stderr(), "warning: {line}");
}
