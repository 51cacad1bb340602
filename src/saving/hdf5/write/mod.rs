//! Writes HDF5 files as h5py writes them by default: superblock 0, symbol tables, contiguous data,
//! string attributes.
//!
//! A file is described first, as a tree of [`Group`]s. [`Group::write`] then writes it from front to
//! back, so that it may go into a zip, and asks for each dataset's bytes when their turn comes, so
//! that no more than one needs to be in memory. The order is: superblock, data, metadata.

mod heap;
mod layout;
mod message;

use super::error::quoted;
use super::{BFLOAT16, Dtype, Error, MAX_RANK, Result, elements};
use layout::Layout;
use std::collections::{BTreeMap, btree_map::Entry};
use std::io::{self, Write};

/// The longest name, and the longest value of an attribute. A message of an object's header has less
/// than 64 KB; Keras too puts no more than 64,512 bytes into one.
const MAX_TEXT: usize = 64_512;

/// Writes the bytes of a dataset: its elements in row-major order, little-endian.
type Fill<'a> = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + 'a>;

/// A group of a file to be written; a new one is the root.
#[derive(Default)]
pub(crate) struct Group<'a> {
    path: String,
    attributes: Attributes,
    /// In the order of their bytes, as HDF5 sorts names.
    children: BTreeMap<String, Node<'a>>,
}

/// A dataset of a file to be written.
pub(crate) struct Dataset<'a> {
    path: String,
    attributes: Attributes,
    dtype: Dtype,
    shape: Vec<u64>,
    /// The bytes of all elements.
    size: u64,
    fill: Fill<'a>,
}

enum Node<'a> {
    Group(Group<'a>),
    Dataset(Dataset<'a>),
}

/// Names and values.
type Attributes = Vec<(String, String)>;

impl<'a> Group<'a> {
    /// The root of a file.
    pub(crate) fn root() -> Self {
        Self::default()
    }

    /// Adds an attribute, a string.
    ///
    /// # Errors
    /// When the name is empty or there already; when name or value have a NUL or are too long.
    pub(crate) fn attribute(&mut self, name: &str, value: &str) -> Result<&mut Self> {
        add_attribute(&mut self.attributes, &self.path, name, value)?;
        Ok(self)
    }

    /// The group at `path` below this one, made with its parents where it is not there:
    /// `layers/dense/vars`.
    ///
    /// # Errors
    /// When a name of the path is empty, has a NUL, is too long, or is that of a dataset.
    pub(crate) fn group(&mut self, path: &str) -> Result<&mut Group<'a>> {
        let mut group = self;
        for name in path.split('/') {
            check_name(&group.path, name)?;
            let path = joined(&group.path, name);
            let new = || {
                Node::Group(Group {
                    path,
                    ..Group::default()
                })
            };
            match group.children.entry(name.into()).or_insert_with(new) {
                Node::Group(next) => group = next,
                Node::Dataset(dataset) => {
                    let place = quoted(&dataset.path);
                    return Err(Error::new(place, "expected a group, got a dataset"));
                }
            }
        }
        Ok(group)
    }

    /// Adds a dataset. `fill` is called by [`write`](Self::write) and must write exactly the bytes of
    /// the elements, in row-major order, little-endian.
    ///
    /// # Errors
    /// When the name is empty, has a `/` or NUL, is too long or there already; when the shape has more
    /// than 32 dimensions or too many elements.
    pub(crate) fn dataset(
        &mut self,
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        fill: impl FnOnce(&mut dyn Write) -> io::Result<()> + 'a,
    ) -> Result<&mut Dataset<'a>> {
        check_name(&self.path, name)?;
        let path = joined(&self.path, name);
        let dataset = Dataset::new(path, dtype, shape, Box::new(fill))?;
        let place = match self.children.entry(name.into()) {
            Entry::Vacant(place) => place,
            Entry::Occupied(_) => {
                return Err(Error::new(
                    quoted(&dataset.path),
                    "expected a new name, got one twice",
                ));
            }
        };
        match place.insert(Node::Dataset(dataset)) {
            Node::Dataset(dataset) => Ok(dataset),
            Node::Group(group) => Err(Error::new(quoted(&group.path), "expected a dataset")),
        }
    }

    /// Writes the file with this root, from front to back, and returns its size.
    ///
    /// # Errors
    /// When `out` or the `fill` of a dataset gives an error, or a dataset gets another number of bytes
    /// than it has; when the file would be too large.
    pub(crate) fn write(self, out: &mut dyn Write) -> Result<u64> {
        let layout = Layout::new(&self)?;
        let mut file = Counted { out, count: 0 };
        let metadata = |error| Error::io("superblock and groups", "cannot write", error);
        file.write_all(&layout.superblock).map_err(metadata)?;
        write_data(self, &mut file)?;
        file.write_all(&layout.metadata).map_err(metadata)?;
        Ok(file.count)
    }
}

impl<'a> Dataset<'a> {
    fn new(path: String, dtype: Dtype, shape: &[usize], fill: Fill<'a>) -> Result<Self> {
        let error = |what: String| Err(Error::new(quoted(&path), what));
        if shape.len() > MAX_RANK {
            return error(format!(
                "expected at most {MAX_RANK} dimensions, got {}",
                shape.len()
            ));
        }
        if dtype.size() == 0 {
            return error(format!("expected elements of at least 1 byte, got {dtype}"));
        }
        let size = elements(shape).and_then(|count| count.checked_mul(dtype.size().into()));
        let Some(size) = size else {
            return error(format!("the shape {shape:?} in {dtype} has too many bytes"));
        };
        let attributes = match dtype {
            Dtype::Bf16 => vec![(BFLOAT16.0.into(), BFLOAT16.1.into())],
            _ => Vec::new(),
        };
        let shape = shape.iter().map(|&dimension| dimension as u64).collect();
        Ok(Self {
            path,
            attributes,
            dtype,
            shape,
            size,
            fill,
        })
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.into()
    } else {
        format!("{path}/{name}")
    }
}

fn check_name(path: &str, name: &str) -> Result<()> {
    let place = || quoted(path);
    if name.is_empty() || name.contains(['/', '\0']) {
        let what = format!(
            "expected a name without `/` and NUL, got `{}`",
            name.escape_debug()
        );
        return Err(Error::new(place(), what));
    }
    if name == "." {
        return Err(Error::new(
            place(),
            "expected a name, got `.`, which means the group itself",
        ));
    }
    check_length(path, "a name", name)
}

fn check_length(path: &str, what: &str, text: &str) -> Result<()> {
    if text.len() > MAX_TEXT {
        let length = text.len();
        let what = format!("expected {what} of at most {MAX_TEXT} bytes, got {length}");
        return Err(Error::new(quoted(path), what));
    }
    Ok(())
}

fn add_attribute(attributes: &mut Attributes, path: &str, name: &str, value: &str) -> Result<()> {
    let error = |what: String| Err(Error::new(quoted(path), what));
    if name.is_empty() || name.contains('\0') || value.contains('\0') {
        let name = quoted(name);
        return error(format!(
            "expected an attribute with a name and without NUL, got {name}"
        ));
    }
    check_length(path, "an attribute's name", name)?;
    check_length(path, "an attribute's value", value)?;
    if attributes.iter().any(|(other, _)| other == name) {
        return error(format!(
            "expected a new attribute, got {} twice",
            quoted(name)
        ));
    }
    attributes.push((name.into(), value.into()));
    Ok(())
}

/// Writes the data in the order of [`Layout`].
fn write_data(group: Group<'_>, file: &mut Counted<'_>) -> Result<()> {
    for node in group.children.into_values() {
        match node {
            Node::Group(group) => write_data(group, file)?,
            Node::Dataset(dataset) => write_dataset(dataset, file)?,
        }
    }
    Ok(())
}

fn write_dataset(dataset: Dataset<'_>, file: &mut Counted<'_>) -> Result<()> {
    let place = || quoted(&dataset.path);
    let failed = |error| Error::io(place(), "cannot write", error);
    let mut part = Part {
        file,
        left: dataset.size,
        over: false,
    };
    let result = (dataset.fill)(&mut part);
    let (left, size) = (part.left, dataset.size);
    if part.over {
        return Err(Error::new(
            place(),
            format_args!("expected {size} bytes, got more"),
        ));
    }
    result.map_err(failed)?;
    if left > 0 {
        let what = format!("expected {size} bytes, got {}", size - left);
        return Err(Error::new(place(), what));
    }
    let padding = layout::padding(size);
    file.write_all(padding).map_err(failed)
}

/// A writer that counts.
struct Counted<'a> {
    out: &'a mut dyn Write,
    count: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count = self.count.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A dataset's part of the file, which takes no byte more.
struct Part<'a, 'b> {
    file: &'a mut Counted<'b>,
    left: u64,
    over: bool,
}

impl Write for Part<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            self.over = true;
            return Err(io::Error::other("more bytes than the dataset has"));
        }
        let written = self.file.write(bytes)?;
        self.left = self.left.saturating_sub(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests;
