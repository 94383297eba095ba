//! Objects of a place, by keys of names with slashes between.

use std::{
    env, fmt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use tokio::runtime::Handle;

use crate::{SnapshotError, bucket::Bucket, folder::Folder};

/// What is read or written at a time.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// An object that is there.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) bytes: u64,
    pub(crate) modified: SystemTime,
}

/// Where snapshots are kept: a folder, or a bucket of an object store.
#[derive(Debug, Clone)]
pub struct Place(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Folder(Folder),
    Bucket(Bucket),
}

impl Place {
    /// The place of a path or URL: a folder, `file:///...`, or `s3://bucket/prefix`, of which the AWS_* environment
    /// variables say where it is and as whom to go there. Looks at nothing yet. `runtime` is for requests; whatever is
    /// done with a place waits for them, so it must not be called from async code.
    ///
    /// # Errors
    /// [`SnapshotError::Invalid`].
    pub fn open(text: &str, runtime: Handle) -> Result<Self, SnapshotError> {
        let variables =
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::open_within(text, variables, runtime)
    }

    /// As [`Place::open`], with these environment variables.
    ///
    /// # Errors
    /// As [`Place::open`].
    pub fn open_within(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
        runtime: Handle,
    ) -> Result<Self, SnapshotError> {
        let folder = |path: &str| Kind::Folder(Folder(PathBuf::from(path)));
        match text.split_once("://") {
            None if text.is_empty() => Err(SnapshotError::Invalid("give a folder or a URL of snapshots".to_owned())),
            None => Ok(Self(folder(text))),
            Some(("file", path)) if path.starts_with('/') => Ok(Self(folder(path))),
            Some(("s3", rest)) => Bucket::open(rest, environment, runtime).map(|bucket| Self(Kind::Bucket(bucket))),
            Some(_) => Err(SnapshotError::Invalid(format!(
                "{text} is no place for snapshots: give a folder, file:///FOLDER or s3://BUCKET/PREFIX"
            ))),
        }
    }

    /// Refuses a folder that does not exist, for whoever reads snapshots: an empty answer about a name that was mistyped
    /// would look like an answer. An object store has no folders, and its answers are what it has.
    ///
    /// # Errors
    /// [`SnapshotError::NoFolder`].
    pub fn check_exists(&self) -> Result<(), SnapshotError> {
        match &self.0 {
            Kind::Folder(folder) if !folder.0.is_dir() => Err(SnapshotError::NoFolder { folder: folder.0.clone() }),
            _ => Ok(()),
        }
    }

    pub(crate) fn put(&self, key: &str, file: &Path, told: &mut dyn FnMut(u64) -> bool) -> Result<(), SnapshotError> {
        match &self.0 {
            Kind::Folder(folder) => folder.put(key, file, told),
            Kind::Bucket(bucket) => bucket.put(key, file, told),
        }
    }

    pub(crate) fn create(&self, key: &str, bytes: &[u8]) -> Result<bool, SnapshotError> {
        match &self.0 {
            Kind::Folder(folder) => folder.create(key, bytes),
            Kind::Bucket(bucket) => bucket.create(key, bytes),
        }
    }

    pub(crate) fn read(
        &self,
        key: &str,
        each: &mut dyn FnMut(&[u8]) -> Result<(), SnapshotError>,
    ) -> Result<bool, SnapshotError> {
        match &self.0 {
            Kind::Folder(folder) => folder.read(key, each),
            Kind::Bucket(bucket) => bucket.read(key, each),
        }
    }

    /// A small object; `None` where there is none.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
        let mut bytes = Vec::new();
        let found = self.read(key, &mut |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(found.then_some(bytes))
    }

    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<Object>, SnapshotError> {
        match &self.0 {
            Kind::Folder(folder) => folder.list(prefix),
            Kind::Bucket(bucket) => bucket.list(prefix),
        }
    }

    pub(crate) fn delete(&self, key: &str) -> Result<(), SnapshotError> {
        match &self.0 {
            Kind::Folder(folder) => folder.delete(key),
            Kind::Bucket(bucket) => bucket.delete(key),
        }
    }

    /// Whether an object of the right name may have another content, as disks have no checksums.
    pub(crate) fn is_folder(&self) -> bool {
        matches!(self.0, Kind::Folder(_))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Folder(folder) => folder.0.display().fmt(f),
            Kind::Bucket(bucket) => f.write_str(bucket.url()),
        }
    }
}
