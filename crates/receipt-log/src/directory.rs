//! Directories that are there after a power cut.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Makes a directory and those above it, each synced into its parent: a power cut must not take what is in it with the name.
///
/// # Errors
/// If one of them cannot be made or synced.
pub fn create_dir_durably(dir: &Path) -> io::Result<()> {
    let parent = match dir.parent() {
        None => return Ok(()),
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    };
    if dir.is_dir() {
        return Ok(());
    }
    create_dir_durably(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(parent)?.sync_all()
}
