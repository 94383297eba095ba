//! A partition's store is exchanged for one that was folded aside, so that whenever it is interrupted a complete store
//! is where the next start looks for it.
//!
//! The steps, and what a crash after each leaves in the stores' directory:
//!
//! | step | `N` | `N.new` | `N.old` | a start | a second rebuild |
//! |---|---|---|---|---|---|
//! | aside is moved to `N.new` | live | new | | goes on with the live one, deletes `N.new` | has it taken back aside |
//! | `N` is moved to `N.old` | | new | live | moves `N.new` to `N`, deletes `N.old` | likewise |
//! | `N.new` is moved to `N` | new | | live | deletes `N.old` | likewise |
//! | `N.old` is deleted | new | | | | |

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::error::ProjectorError;

/// The places of a partition's stores.
struct Places {
    dir: PathBuf,
    live: PathBuf,
    new: PathBuf,
    old: PathBuf,
}

impl Places {
    fn of(stores: &Path, partition: u32) -> Self {
        let place = |suffix: &str| stores.join(format!("{partition}{suffix}"));
        Self { dir: stores.to_owned(), live: place(""), new: place(".new"), old: place(".old") }
    }

    /// `N` is moved to `N.old`.
    fn retire(&self) -> Result<(), ProjectorError> {
        // Of an earlier swap that was interrupted at its end.
        delete(&self.old)?;
        if self.live.exists() { rename(&self.live, &self.old) } else { Ok(()) }
    }

    /// `N.new` is moved to `N`.
    fn install(&self) -> Result<(), ProjectorError> {
        rename(&self.new, &self.live)?;
        sync(&self.dir)
    }
}

/// Puts a complete store, which nobody has open, where the partition's live one is, and deletes that one. On the same
/// file system.
///
/// # Errors
/// If a directory can't be moved or deleted.
pub fn make_live(stores: &Path, partition: u32, aside: &Path) -> Result<(), ProjectorError> {
    exchange(stores, partition, aside)?;
    delete(&Places::of(stores, partition).old)
}

/// As [`make_live`], but leaves the old one for [`settle`] to delete, which takes a while.
pub(crate) fn exchange(stores: &Path, partition: u32, aside: &Path) -> Result<(), ProjectorError> {
    let places = Places::of(stores, partition);
    fs::create_dir_all(stores).map_err(failed(stores))?;
    // Of an earlier swap; what is aside now is newer.
    delete(&places.new)?;
    rename(aside, &places.new)?;
    sync(stores)?;
    places.retire()?;
    places.install()
}

/// Takes a store back aside that [`make_live`] had only begun to make live, to go on with it.
///
/// # Errors
/// If a directory can't be moved.
pub fn take_back(stores: &Path, partition: u32, aside: &Path) -> Result<(), ProjectorError> {
    let places = Places::of(stores, partition);
    if places.live.exists() && places.new.exists() && !aside.exists() {
        rename(&places.new, aside)?;
    }
    Ok(())
}

/// Ends a swap that was interrupted while no store was live. Does nothing otherwise, but for deleting what is left over.
///
/// # Errors
/// If a directory can't be moved or deleted.
pub fn settle(stores: &Path, partition: u32) -> Result<(), ProjectorError> {
    let places = Places::of(stores, partition);
    if !places.live.exists() && places.new.exists() {
        places.install()?;
    }
    if places.live.exists() {
        delete(&places.new)?;
        delete(&places.old)?;
    }
    Ok(())
}

/// Deletes a partition's store, which nobody has open; interrupted, it is whole or it is gone.
///
/// # Errors
/// If a directory can't be moved or deleted.
pub fn discard(stores: &Path, partition: u32) -> Result<(), ProjectorError> {
    let places = Places::of(stores, partition);
    places.retire()?;
    delete(&places.old)
}

fn failed(dir: &Path) -> impl FnOnce(io::Error) -> ProjectorError + '_ {
    |source| ProjectorError::Directory { dir: dir.to_owned(), source }
}

fn rename(from: &Path, to: &Path) -> Result<(), ProjectorError> {
    fs::rename(from, to).map_err(failed(from))
}

fn delete(dir: &Path) -> Result<(), ProjectorError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed(dir)),
    }
}

/// So that what was moved stays so after a power cut.
fn sync(dir: &Path) -> Result<(), ProjectorError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Stores of one file that says which it is: a live one, and one that was folded aside.
    fn stores() -> (TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (stores, aside) = (dir.path().join("receipts"), dir.path().join("aside"));
        for (path, text) in [(stores.join("3"), "live"), (aside.clone(), "new")] {
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("which"), text).unwrap();
        }
        (dir, stores, aside)
    }

    fn live(stores: &Path) -> String {
        fs::read_to_string(stores.join("3/which")).unwrap()
    }

    fn alone(stores: &Path) -> bool {
        fs::read_dir(stores).unwrap().count() == 1
    }

    #[test]
    fn a_swap_leaves_the_new_one_alone() {
        let (_dir, stores, aside) = stores();
        make_live(&stores, 3, &aside).unwrap();
        assert_eq!((live(&stores).as_str(), alone(&stores), aside.exists()), ("new", true, false));
        settle(&stores, 3).unwrap();
        assert_eq!(live(&stores), "new");
    }

    #[test]
    fn where_there_was_none_the_new_one_is_live() {
        let (_dir, stores, aside) = stores();
        fs::remove_dir_all(&stores).unwrap();
        make_live(&stores, 3, &aside).unwrap();
        assert_eq!(live(&stores), "new");
    }

    /// Takes so many steps of a swap.
    fn interrupted(steps: usize, stores: &Path, aside: &Path) {
        let places = Places::of(stores, 3);
        let all: [&dyn Fn() -> Result<(), ProjectorError>; 3] =
            [&|| rename(aside, &places.new), &|| places.retire(), &|| places.install()];
        all.iter().take(steps).for_each(|step| step().unwrap());
    }

    #[test]
    fn a_start_after_a_crash_at_each_step_finds_a_complete_store() {
        for (steps, expected) in [(0, "live"), (1, "live"), (2, "new"), (3, "new")] {
            let (_dir, stores, aside) = stores();
            interrupted(steps, &stores, &aside);
            settle(&stores, 3).unwrap();
            assert_eq!((live(&stores).as_str(), alone(&stores)), (expected, true), "after {steps} steps");
        }
    }

    #[test]
    fn a_second_swap_after_a_crash_at_each_step_ends_with_the_newest() {
        for steps in 0..=3 {
            let (dir, stores, aside) = stores();
            interrupted(steps, &stores, &aside);
            settle(&stores, 3).unwrap();
            let again = dir.path().join("again");
            fs::create_dir_all(&again).unwrap();
            fs::write(again.join("which"), "newest").unwrap();
            make_live(&stores, 3, &again).unwrap();
            assert_eq!((live(&stores).as_str(), alone(&stores)), ("newest", true), "after {steps} steps");
        }
    }

    #[test]
    fn what_was_only_moved_in_is_gone_on_with() {
        let (_dir, stores, aside) = stores();
        take_back(&stores, 3, &aside).unwrap();
        interrupted(1, &stores, &aside);
        take_back(&stores, 3, &aside).unwrap();
        assert_eq!((live(&stores).as_str(), alone(&stores)), ("live", true));
        assert_eq!(fs::read_to_string(aside.join("which")).unwrap(), "new");
    }

    #[test]
    fn what_is_discarded_is_gone() {
        let (_dir, stores, _) = stores();
        discard(&stores, 3).unwrap();
        discard(&stores, 3).unwrap();
        assert_eq!(fs::read_dir(&stores).unwrap().count(), 0);
    }

    /// A crash while a store is deleted leaves a part of it.
    #[test]
    fn what_an_earlier_swap_left_over_does_not_hinder() {
        let (_dir, stores, aside) = stores();
        fs::create_dir_all(stores.join("3.old")).unwrap();
        fs::create_dir_all(stores.join("3.new")).unwrap();
        make_live(&stores, 3, &aside).unwrap();
        assert_eq!((live(&stores).as_str(), alone(&stores)), ("new", true));
    }
}
