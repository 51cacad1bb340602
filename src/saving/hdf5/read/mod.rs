//! Reads HDF5 files. A file may come from anywhere: whatever its bytes, there is a result or an
//! error, in a time and with memory that its size and the caller's limits bound.

mod attribute;
mod chunks;
mod cursor;
mod dataset;
mod datatype;
mod filter;
mod group;
mod number;
mod object;
mod reads;
mod source;
mod superblock;
mod tree;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod hostile;

use super::error::quoted;
use super::{Error, Result};
pub(crate) use attribute::{Attribute, Attributes};
pub(crate) use dataset::Dataset;
use group::Links;
pub(crate) use number::Number;
use object::Message;
use reads::Reads;
pub(crate) use source::{FilePart, ReadAt};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

/// An HDF5 file. Paths in it are names with `/` between, `layers/dense/vars/0`; the empty one is the
/// root group.
pub(crate) struct File<R> {
    source: R,
    root: u64,
    cache: RefCell<Cache>,
    /// What may still be read of structures.
    left: Cell<u64>,
}

/// What a path leads to.
#[derive(Debug)]
pub(crate) enum Object {
    Group,
    Dataset(Dataset),
}

/// The links of groups by the groups' addresses: a look-up reads every group of its path.
#[derive(Default)]
struct Cache {
    groups: BTreeMap<u64, Rc<Links>>,
    links: usize,
}

impl Cache {
    /// The links that are kept, some hundred bytes each. The largest models have some ten thousand;
    /// more could be many groups of a hostile file that share theirs.
    const MOST: usize = 1 << 18;

    fn insert(&mut self, at: u64, links: Rc<Links>) {
        let more = links.len().saturating_add(1); // groups without links count too
        if self.links.saturating_add(more) > Self::MOST {
            *self = Self::default();
        }
        self.links = self.links.saturating_add(more);
        self.groups.insert(at, links);
    }
}

impl<R: ReadAt> File<R> {
    /// Opens a file: reads its superblock, nothing more.
    ///
    /// # Errors
    /// When it is no HDF5 file, is cut off, or has a form that is not read.
    pub(crate) fn open(source: R) -> Result<Self> {
        let root = superblock::root(&mut Reads::new(&source), source.size())?;
        Ok(Self::at(source, root))
    }

    /// Bytes that are no HDF5 file: whoever knows what is where makes datasets by
    /// [`Dataset::plain`].
    pub(crate) fn without_structure(source: R) -> Self {
        Self::at(source, super::UNDEFINED)
    }

    fn at(source: R, root: u64) -> Self {
        let left = Cell::new(Reads::in_all(&source));
        Self {
            source,
            root,
            cache: RefCell::default(),
            left,
        }
    }

    /// The dataset at `path`.
    ///
    /// # Errors
    /// When there is none, or it has a form that is not read.
    pub(crate) fn dataset(&self, path: &str) -> Result<Dataset> {
        match self.find(path)?.ok_or_else(|| none(path))? {
            Object::Dataset(dataset) => Ok(dataset),
            Object::Group => Err(Error::new(quoted(path), "expected a dataset, got a group")),
        }
    }

    /// The group or dataset at `path`, or none where a name of the path is not there. The empty path
    /// is the root.
    ///
    /// # Errors
    /// When it, or a group on the path to it, cannot be read.
    pub(crate) fn find(&self, path: &str) -> Result<Option<Object>> {
        let find = || match self.address(path)? {
            Some(address) => self.object(path, address).map(Some),
            None => Ok(None),
        };
        find().map_err(|error| error.of(path))
    }

    /// The names in the group at `path`, sorted by their bytes, without soft and external links.
    /// A link may lead back to a parent: who walks all of a file must bound the depth.
    ///
    /// # Errors
    /// When there is no group, or its links cannot be read.
    pub(crate) fn children(&self, path: &str) -> Result<Vec<String>> {
        let links = self.links(self.existing(path)?);
        let links = links.map_err(|error| error.of(path))?;
        let hard = links.iter().filter(|(_, target)| target.is_some());
        Ok(hard.map(|(name, _)| name.clone()).collect())
    }

    /// The attributes of the group or dataset at `path`.
    ///
    /// # Errors
    /// When there is no such object, or an attribute cannot be read.
    pub(crate) fn attributes(&self, path: &str) -> Result<Attributes> {
        let messages = self.messages(self.existing(path)?);
        messages
            .and_then(|messages| attribute::attributes(&mut self.reads(), &messages))
            .map_err(|error| error.of(path))
    }

    /// One attribute of the group or dataset at `path`, where it has it.
    ///
    /// # Errors
    /// As [`attributes`](Self::attributes).
    pub(crate) fn attribute(&self, path: &str, name: &str) -> Result<Option<Attribute>> {
        let mut attributes = self.attributes(path)?.into_iter();
        let found = attributes.find(|(other, _)| other == name);
        Ok(found.map(|(_, value)| value))
    }

    /// All numbers of a dataset, in row-major order, which must be at most `limit`. They are read in
    /// pieces, so that this takes little more memory than the result.
    ///
    /// # Errors
    /// When there are more, a number does not fit `T`, or they cannot be read.
    pub(crate) fn read_as<T: Number>(&self, dataset: &Dataset, limit: u64) -> Result<Vec<T>> {
        let numbers = dataset::numbers(&mut self.reads(), dataset, limit);
        numbers.map_err(|error| error.of(dataset.path()))
    }

    fn reads(&self) -> Reads<'_> {
        Reads::within(&self.source, &self.left)
    }

    /// The same into memory that is there, of as many numbers; whether all pass a test.
    ///
    /// # Errors
    /// When there are more or fewer, a number does not fit `T`, or they cannot be read.
    pub(crate) fn read_into<T: Number>(
        &self,
        dataset: &Dataset,
        into: &mut [T],
        test: impl Fn(T) -> bool + Sync,
    ) -> Result<bool> {
        let read = dataset::numbers_into(&mut self.reads(), dataset, into, &test);
        read.map_err(|error| error.of(dataset.path()))
    }

    /// Whether all numbers of a dataset pass a test, in little memory.
    ///
    /// # Errors
    /// When a number does not fit `T`, or they cannot be read.
    pub(crate) fn all<T: Number>(
        &self,
        dataset: &Dataset,
        test: impl Fn(T) -> bool + Sync,
    ) -> Result<bool> {
        let tested = dataset::all(&mut self.reads(), dataset, &test);
        tested.map_err(|error| error.of(dataset.path()))
    }

    fn messages(&self, at: u64) -> Result<Vec<Message>> {
        object::messages(&mut self.reads(), at)
    }

    /// The address of what must be at `path`.
    fn existing(&self, path: &str) -> Result<u64> {
        let address = self.address(path).map_err(|error| error.of(path))?;
        address.ok_or_else(|| none(path))
    }

    /// Follows a path from the root.
    fn address(&self, path: &str) -> Result<Option<u64>> {
        let mut at = self.root;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            match self.links(at)?.get(name) {
                None => return Ok(None),
                Some(Some(target)) => at = *target,
                Some(None) => {
                    let name = quoted(name);
                    let what = format!(
                        "expected {name} here, got a soft or external link to it, which is not read"
                    );
                    return Err(Error::at(at, what));
                }
            }
        }
        Ok(Some(at))
    }

    fn links(&self, at: u64) -> Result<Rc<Links>> {
        if let Some(links) = self.cache.borrow().groups.get(&at) {
            return Ok(Rc::clone(links));
        }
        let messages = self.messages(at)?;
        if !group::is_group(&messages) {
            return Err(Error::at(at, "expected a group, got another object"));
        }
        let links = Rc::new(group::links(&mut self.reads(), &messages)?);
        self.cache.borrow_mut().insert(at, Rc::clone(&links));
        Ok(links)
    }

    fn object(&self, path: &str, address: u64) -> Result<Object> {
        if self.cache.borrow().groups.contains_key(&address) {
            return Ok(Object::Group);
        }
        let messages = self.messages(address)?;
        if group::is_group(&messages) {
            return Ok(Object::Group);
        }
        dataset::dataset(&mut self.reads(), path, address, &messages).map(Object::Dataset)
    }
}

fn none(path: &str) -> Error {
    Error::new(quoted(path), "expected a group or dataset, got none")
}
