//! IDX, the format of MNIST's files: big-endian numbers (a magic number, then the length of each
//! axis), then one byte a value.
//!
//! Nothing that a header claims is believed before the file bears it out.

use crate::{Data, Error, Result, error::tuple};
use candle_core::{Device, Tensor};
use flate2::read::MultiGzDecoder;
use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

/// The images of one file, packed by gzip where its name ends in `.gz`: bytes of shape (n, height,
/// width).
///
/// ```no_run
/// use candle_keras::datasets::idx;
/// # fn main() -> candle_keras::Result<()> {
/// let images = idx::load_images("t10k-images-idx3-ubyte")?.scale(1.0 / 255.0)?;
/// assert_eq!(images.sample_shape(), [28, 28]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// When the file cannot be read, is no file of images, or holds none.
pub fn load_images(path: impl AsRef<Path>) -> Result<Data> {
    let file = IdxFile::open(path.as_ref(), Kind::Images)?;
    let shape = file.dims().to_vec();
    if shape.contains(&0) {
        return Err(file.problem(format!("expected images, got shape {}", tuple(&shape))));
    }
    let images = Tensor::from_vec(file.read()?, shape, &Device::Cpu)?;
    Ok(images.into())
}

/// How many bytes one byte of deflate can stand for: 258 for two bits (zlib's technical details,
/// "Maximum Compression Factor").
const MOST_PACKED: u64 = 1032;

/// What the values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes of shape (n, height, width).
    Images,
    /// Bytes of shape (n,).
    Labels,
}

impl Kind {
    /// The first four bytes: 0, 0, 8 for bytes, and the rank.
    fn magic(self) -> u32 {
        match self {
            Self::Images => 2051,
            Self::Labels => 2049,
        }
    }

    fn rank(self) -> usize {
        match self {
            Self::Images => 3,
            Self::Labels => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Images => "an image file",
            Self::Labels => "a label file",
        }
    }
}

/// A file whose header has been read and whose values have not.
pub(super) struct IdxFile {
    path: PathBuf,
    dims: Vec<usize>,
    values: u64,
    packed: bool,
    reader: Box<dyn Read>,
}

impl IdxFile {
    /// Opens a file, packed by gzip where its name ends in `.gz`, and reads its header.
    pub(super) fn open(path: &Path, kind: Kind) -> Result<Self> {
        let unreadable = |error| Error::File {
            path: path.to_path_buf(),
            error,
        };
        let file = File::open(path).map_err(unreadable)?;
        let length = file.metadata().map_err(unreadable)?.len();
        let packed = path.extension().is_some_and(|extension| extension == "gz");
        let reader: Box<dyn Read> = if packed {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(BufReader::new(file))
        };
        let mut idx = Self {
            path: path.to_path_buf(),
            dims: Vec::with_capacity(kind.rank()),
            values: 1,
            packed,
            reader,
        };

        let header = 4 + 4 * kind.rank() as u64;
        let magic = idx.number(header, 0)?;
        if magic != kind.magic() {
            return Err(idx.problem(format!(
                "expected {} (magic number {}), got {}",
                kind.name(),
                kind.magic(),
                described(magic)
            )));
        }
        for axis in 0..kind.rank() as u64 {
            let length = idx.number(header, 4 + 4 * axis)?;
            let values = idx.values.checked_mul(u64::from(length));
            match (values, usize::try_from(length)) {
                (Some(values), Ok(length)) => {
                    idx.values = values;
                    idx.dims.push(length);
                }
                _ => {
                    return Err(idx.problem(format!(
                        "expected axes whose lengths multiply to fewer than 2^64 values, got {:?} times {length}",
                        idx.dims
                    )));
                }
            }
        }
        if !packed && length.checked_sub(header) != Some(idx.values) {
            return Err(idx.wrong_length(length.saturating_sub(header)));
        }
        let most = length.saturating_mul(MOST_PACKED);
        if packed && idx.values > most {
            return Err(idx.problem(format!(
                "expected {} bytes after the header, got a gzip file of {length}, which holds at most {most}",
                idx.values
            )));
        }
        Ok(idx)
    }

    /// The length of each axis, as the header has it.
    pub(super) fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The values: as many as the header says, then the end of the file.
    pub(super) fn read(mut self) -> Result<Vec<u8>> {
        let mut values = Vec::new();
        if !self.packed {
            // The file's length has borne the header out.
            usize::try_from(self.values)
                .ok()
                .and_then(|length| values.try_reserve_exact(length).ok())
                .ok_or_else(|| Error::File {
                    path: self.path.clone(),
                    error: ErrorKind::OutOfMemory.into(),
                })?;
        }
        let got = self.take(self.values, &mut values)?;
        if got != self.values {
            return Err(self.wrong_length(got));
        }
        // A packed file's checksum is compared only when its end is reached.
        if self.take(1, &mut Vec::new())? != 0 {
            return Err(self.problem(format!(
                "expected {} bytes after the header, got more",
                self.values
            )));
        }
        values.shrink_to_fit();
        Ok(values)
    }

    /// This file is not what its name says.
    pub(super) fn problem(&self, problem: impl Into<String>) -> Error {
        Error::DatasetFile {
            path: self.path.clone(),
            problem: problem.into(),
        }
    }

    /// The big-endian number `offset` bytes into a header of `header` bytes.
    fn number(&mut self, header: u64, offset: u64) -> Result<u32> {
        let mut bytes = Vec::with_capacity(4);
        let got = self.take(4, &mut bytes)?;
        match <[u8; 4]>::try_from(bytes) {
            Ok(bytes) => Ok(u32::from_be_bytes(bytes)),
            Err(_) => Err(self.problem(format!(
                "expected a header of {header} bytes, got {} bytes in all",
                offset + got
            ))),
        }
    }

    /// Reads up to `length` bytes and says how many came.
    fn take(&mut self, length: u64, bytes: &mut Vec<u8>) -> Result<u64> {
        let read = self.reader.by_ref().take(length).read_to_end(bytes);
        match read {
            Ok(got) => Ok(got as u64),
            Err(source) => Err(self.unreadable(source)),
        }
    }

    fn wrong_length(&self, got: u64) -> Error {
        self.problem(format!(
            "expected {} bytes after the header, got {got}",
            self.values
        ))
    }

    /// What the decoder or the system says while the file is read.
    fn unreadable(&self, source: std::io::Error) -> Error {
        match source.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
                if self.packed =>
            {
                self.problem(format!("expected a whole gzip file, got: {source}"))
            }
            _ => Error::File {
                path: self.path.clone(),
                error: source,
            },
        }
    }
}

/// A magic number, with what is known to begin so.
fn described(magic: u32) -> String {
    for kind in [Kind::Images, Kind::Labels] {
        if magic == kind.magic() {
            return format!("{} ({magic})", kind.name());
        }
    }
    match magic.to_be_bytes() {
        [0x1f, 0x8b, ..] => "a gzip file whose name lacks .gz".to_string(),
        _ => magic.to_string(),
    }
}
