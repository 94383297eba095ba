//! The state of a partition at its oldest snapshot, for whoever folds the log on from there record by record.

use std::{fs, path::Path};

use receipt_codec::row::identity::Identity;
use receipt_store::{Store, StoreError};

use crate::{
    error::ProjectorError,
    seed::{Begun, Bootstrap, NotBegun, Prefer},
};

impl Bootstrap<'_> {
    /// Fetches the oldest snapshot of a partition that the log continues from, hands its store on, and deletes what it has
    /// fetched. `told` is told of bytes as they are fetched, and says whether to continue.
    ///
    /// # Errors
    /// [`NotBegun`]: there is no such snapshot, or it can't be fetched or read.
    pub fn with_oldest<T>(
        &self,
        identity: &Identity,
        told: &mut dyn FnMut(u64) -> bool,
        read: impl FnOnce(&Store, &Begun) -> Result<T, StoreError>,
    ) -> Result<T, NotBegun> {
        let begun = self.begin(identity, Prefer::Oldest, None, &|_| Ok(()), told);
        let answer = begun.and_then(|begun| {
            let scratch = self.dir.join(identity.partition.to_string());
            let store = Store::open_read_only(&scratch, self.resources, identity).map_err(ProjectorError::from)?;
            Ok(read(&store, &begun).map_err(ProjectorError::from)?)
        });
        if !matches!(answer, Err(NotBegun::Failed(ProjectorError::Stopped))) {
            remove(&self.dir.join(identity.partition.to_string()))?;
        }
        answer
    }
}

fn remove(dir: &Path) -> Result<(), ProjectorError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| ProjectorError::Directory { dir: dir.to_owned(), source }),
    }
}
