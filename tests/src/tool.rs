//! What tests need that Cargo does not bring; `make test` installs it outside the checkout.

use std::{env, fs, path::PathBuf};

use crate::document::repository;

/// Something that was installed from a list in the repository.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Names what it is; a copy of it is kept beside what was installed.
    pub list: &'static str,
    /// Its folder, below the folder of all tools.
    pub folder: &'static str,
    /// Which target of the Makefile installs it.
    pub target: &'static str,
}

/// Kafka's jars, and protobuf's for Java.
pub const KAFKA: Tool = Tool { list: "tests/kafka/pom.xml", folder: "kafka-4.3.1", target: "kafka-libs" };

/// A server of an S3-compatible object store.
pub const OBJECT_STORE: Tool =
    Tool { list: "tests/object-store/version", folder: "object-store", target: "object-store" };

impl Tool {
    /// Where it has been installed.
    ///
    /// # Panics
    /// If it has not, or if it is another version.
    #[must_use]
    pub fn installed(&self) -> PathBuf {
        let cache = env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| PathBuf::from(env::var_os("HOME").expect("HOME")).join(".cache"));
        let installed = cache.join("receiptd/tools").join(self.folder);
        let list = repository().join(self.list);
        let copy = installed.join(list.file_name().expect("a name"));
        let wanted = fs::read(&list).expect("a list of what is needed");
        assert!(
            fs::read(copy).is_ok_and(|found| found == wanted),
            "what {} names is missing, or another version: run `make {}`",
            self.list,
            self.target
        );
        installed
    }
}
