//! What is wrong with a file, and where in it.

use std::{fmt, io};

/// The result type of this module.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// An error with its place. The message holds the message of the I/O error behind it, which is
/// therefore not given as a source as well; [`io_error`](Self::io_error) has it.
#[derive(Debug)]
pub(crate) struct Error {
    place: String,
    what: String,
    source: Option<io::Error>,
}

impl Error {
    pub(super) fn new(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self {
            place: place.to_string(),
            what: what.to_string(),
            source: None,
        }
    }

    /// An error at an address of the file.
    pub(super) fn at(address: u64, what: impl fmt::Display) -> Self {
        Self::new(format_args!("byte {address}"), what)
    }

    /// An error of the reader or writer below.
    pub(super) fn io(place: impl fmt::Display, what: impl fmt::Display, source: io::Error) -> Self {
        Self {
            source: Some(source),
            ..Self::new(place, what)
        }
    }

    /// Says which object's path the place belongs to.
    pub(super) fn of(mut self, path: &str) -> Self {
        self.place = format!("{}, {}", quoted(path), self.place);
        self
    }

    /// The error of the reader or writer below, where it was one.
    pub(crate) fn io_error(&self) -> Option<&io::Error> {
        self.source.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// A path or name for a message. It may come from a hostile file, so it is escaped and cut.
pub(crate) fn quoted(path: &str) -> String {
    /// Enough to recognise a path of Keras.
    const MOST: usize = 120;
    let mut shown: String = path
        .chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect();
    if path.chars().nth(MOST).is_some() {
        shown.push('…');
    }
    if shown.is_empty() {
        shown.push('/');
    }
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_says_the_path_the_address_and_the_error_below() {
        let below = io::Error::new(io::ErrorKind::UnexpectedEof, "the disk is gone");
        let error = Error::io("byte 96", "cannot read 8 bytes", below).of("layers/dense");
        assert_eq!(
            error.to_string(),
            "`layers/dense`, byte 96: cannot read 8 bytes: the disk is gone"
        );
        let kind = error.io_error().map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::UnexpectedEof));
    }

    #[test]
    fn a_name_in_a_message_is_escaped_and_cut() {
        assert_eq!(quoted(""), "`/`");
        assert_eq!(quoted("é\n"), "`é\\n`");
        assert_eq!(quoted(&"x".repeat(500)).chars().count(), 120 + 3);
    }
}
