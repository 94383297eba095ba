//! A bucket of an S3-compatible object store as a place.

use std::{fs::File, io::Read as _, path::Path as FilePath, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::{
    Error, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, RetryConfig, WriteMultipart,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use tokio::runtime::Handle;

use crate::{
    SnapshotError,
    error::{at, go_on},
    objects::{CHUNK_BYTES, Object},
};

/// Up to here a file is put in one request. S3 takes parts from 5 MiB on, 10,000 of a file at most.
const ONE_REQUEST_MAX_BYTES: u64 = 16 << 20;
const PART_BYTES: usize = 16 << 20;
/// Parts on their way at a time.
const PARTS_AT_ONCE: usize = 4;
/// How often a request is made again. Then whoever gave the command is told, and may give it again.
const RETRIES_MAX: usize = 6;
const RETRY_MAX: Duration = Duration::from_secs(60);

/// A prefix of a bucket.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    store: Arc<AmazonS3>,
    prefix: Path,
    url: String,
    runtime: Handle,
}

impl Bucket {
    /// `rest` is what stands behind `s3://`. Credentials, endpoint and region come from the AWS_* variables of an environment.
    pub(crate) fn open(
        rest: &str,
        environment: impl Iterator<Item = (String, String)>,
        runtime: Handle,
    ) -> Result<Self, SnapshotError> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(SnapshotError::Invalid(format!("s3://{rest} names no bucket: give s3://BUCKET/PREFIX")));
        }
        let invalid = |why: String| SnapshotError::Invalid(format!("s3://{rest}: {why}"));
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|why| invalid(why.to_string()))?;
        let mut builder = AmazonS3Builder::new();
        for (name, value) in environment.filter(|(name, _)| name.starts_with("AWS_")) {
            // Others have variables of theirs that begin so.
            if let Ok(key) = name.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        let retries = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_MAX, ..RetryConfig::default() };
        let store = builder.with_bucket_name(bucket).with_retry(retries).build().map_err(|why| {
            invalid(format!("{why}; the AWS_* environment variables say where and as whom (see `--help`)"))
        })?;
        let url = format!("s3://{rest}").trim_end_matches('/').to_owned();
        Ok(Self { store: Arc::new(store), prefix, url, runtime })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn path(&self, key: &str) -> Path {
        key.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), |path, part| path.join(part))
    }

    fn failed<'a>(&'a self, what: &'a str, key: &'a str) -> impl FnOnce(Error) -> SnapshotError + 'a {
        move |error| SnapshotError::Unavailable {
            place: self.url.clone(),
            what: format!("{what} {key}"),
            detail: error.to_string(),
        }
    }

    pub(crate) fn put(
        &self,
        key: &str,
        file: &FilePath,
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), SnapshotError> {
        let mut from = File::open(file).map_err(at(file))?;
        let bytes = from.metadata().map_err(at(file))?.len();
        if bytes <= ONE_REQUEST_MAX_BYTES {
            let mut content = Vec::new();
            from.read_to_end(&mut content).map_err(at(file))?;
            let path = self.path(key);
            let put = self.store.put(&path, content.into());
            self.runtime.block_on(put).map_err(self.failed("putting", key))?;
            return go_on(told(bytes));
        }
        let upload = self.runtime.block_on(self.store.put_multipart(&self.path(key)));
        let mut upload = WriteMultipart::new_with_chunk_size(upload.map_err(self.failed("putting", key))?, PART_BYTES);
        match self.parts(&mut upload, key, (&mut from, file), told) {
            Ok(()) => {
                self.runtime.block_on(upload.finish()).map_err(self.failed("putting", key))?;
                Ok(())
            }
            Err(error) => {
                // What is not taken back is for the bucket's rules to delete; the first error is the one to tell.
                let _ = self.runtime.block_on(upload.abort());
                Err(error)
            }
        }
    }

    fn parts(
        &self,
        upload: &mut WriteMultipart,
        key: &str,
        (from, file): (&mut File, &FilePath),
        told: &mut dyn FnMut(u64) -> bool,
    ) -> Result<(), SnapshotError> {
        // Parts are sent by tasks of the runtime.
        let _entered = self.runtime.enter();
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let read = from.read(&mut buffer).map_err(at(file))?;
            if read == 0 {
                return Ok(());
            }
            self.runtime.block_on(upload.wait_for_capacity(PARTS_AT_ONCE)).map_err(self.failed("putting", key))?;
            upload.write(&buffer[..read]);
            go_on(told(read as u64))?;
        }
    }

    /// Makes an object, unless there is one of that name (`If-None-Match`). Answers whether it was made.
    pub(crate) fn create(&self, key: &str, bytes: &[u8]) -> Result<bool, SnapshotError> {
        let options = PutOptions::from(PutMode::Create);
        let path = self.path(key);
        let put = self.store.put_opts(&path, bytes.to_vec().into(), options);
        match self.runtime.block_on(put) {
            Ok(_) => Ok(true),
            Err(error @ Error::AlreadyExists { .. }) => {
                // Also what a server answers while another one is making it, which may fail yet.
                match self.runtime.block_on(self.store.head(&path)) {
                    Ok(_) => Ok(false),
                    Err(_) => Err(self.failed("creating", key)(error)),
                }
            }
            Err(error) => Err(self.failed("creating", key)(error)),
        }
    }

    /// Reads an object, chunk by chunk; `false` where there is none.
    pub(crate) fn read(
        &self,
        key: &str,
        each: &mut dyn FnMut(&[u8]) -> Result<(), SnapshotError>,
    ) -> Result<bool, SnapshotError> {
        let found = match self.runtime.block_on(self.store.get(&self.path(key))) {
            Err(Error::NotFound { .. }) => return Ok(false),
            found => found.map_err(self.failed("getting", key))?,
        };
        let mut stream = found.into_stream();
        while let Some(chunk) = self.runtime.block_on(stream.next()) {
            each(&chunk.map_err(self.failed("getting", key))?)?;
        }
        Ok(true)
    }

    /// All objects below a prefix.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<Object>, SnapshotError> {
        let below = self.path(prefix);
        let root = self.path("");
        let listed = self.runtime.block_on(self.store.list(Some(&below)).try_collect::<Vec<_>>());
        let listed = listed.map_err(self.failed("listing", prefix))?;
        let key = |path: &Path| {
            let parts: Vec<String> = path.prefix_match(&root)?.map(|part| part.as_ref().to_owned()).collect();
            Some(parts.join("/"))
        };
        let objects = listed.into_iter().filter_map(|meta| {
            Some(Object { key: key(&meta.location)?, bytes: meta.size, modified: meta.last_modified.into() })
        });
        Ok(objects.collect())
    }

    /// Deletes an object, if there is one.
    pub(crate) fn delete(&self, key: &str) -> Result<(), SnapshotError> {
        match self.runtime.block_on(self.store.delete(&self.path(key))) {
            Err(Error::NotFound { .. }) => Ok(()),
            deleted => deleted.map_err(self.failed("deleting", key)),
        }
    }
}
