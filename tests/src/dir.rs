//! Directories that go with the test.

use std::path::Path;

use tempfile::TempDir;

/// A new directory, in memory where the system has such a place: most tests here are about rows and not about disks.
///
/// # Panics
/// If there is none to be had.
#[must_use]
pub fn temporary() -> TempDir {
    let in_memory = Path::new("/dev/shm");
    let made = if in_memory.is_dir() { tempfile::tempdir_in(in_memory) } else { tempfile::tempdir() };
    made.expect("a temporary directory")
}
