//! The durable log in a local folder.
//!
//! ```text
//! <root>/LOCK                                   held by the one writing process; names it
//! <root>/<topic>/topic.json                     the topic's configuration
//! <root>/<topic>/<partition>/<offset>.seg       records from that offset on, up to the next file's offset
//! ```
//!
//! Invariants: a topic exists once its `topic.json` does, which is written last, by rename. Only the last segment of a partition is ever written,
//! and a segment is created only after the one before was synced, so opening checks the last one alone; older ones are
//! checked as they are read. A folder entry is synced before anything in the file is acknowledged. A failed sync poisons the
//! log: the kernel may have dropped the pages and a second sync would report success.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use headwater_project::{Timestamp, fault};

use crate::error::{Error, Result};
use crate::limits::FREE_SPACE_CHECK_BYTES;
use crate::log::group::Group;
use crate::log::partition::{Partition, sync_directory};
use crate::log::{EventLog, ReadOutcome, TopicConfig, TopicDescription};
use crate::record::RecordBuffer;

/// Tells how many bytes are free on the disk that holds a path.
pub type FreeSpace = Arc<dyn Fn(&Path) -> std::io::Result<u64> + Send + Sync>;

#[derive(Clone)]
pub struct LocalLogOptions {
    /// Appends are refused while fewer bytes are free.
    pub min_free_bytes: u64,
    /// An append that leaves more than so many bytes unsynced syncs them itself, so that neither the loss after a crash nor
    /// the time of the next sync grows without bound.
    pub max_unsynced_bytes: u64,
    pub free_space: FreeSpace,
}

impl Default for LocalLogOptions {
    fn default() -> Self {
        Self { min_free_bytes: 1 << 30, max_unsynced_bytes: 64 << 20, free_space: Arc::new(free_space) }
    }
}

impl fmt::Debug for LocalLogOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("LocalLogOptions");
        shown.field("min_free_bytes", &self.min_free_bytes).field("max_unsynced_bytes", &self.max_unsynced_bytes);
        shown.finish_non_exhaustive()
    }
}

fn free_space(path: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[derive(Debug)]
pub struct LocalLog {
    root: PathBuf,
    options: LocalLogOptions,
    topics: RwLock<BTreeMap<String, Arc<Topic>>>,
    poisoned: AtomicBool,
    /// Writers that wait for a sync share it.
    syncs: Group,
    unsynced_bytes: AtomicU64,
    unchecked_bytes: AtomicU64,
    torn_bytes: u64,
    /// Held for as long as the log is open; nothing for a reader.
    lock: Option<File>,
}

#[derive(Debug)]
struct Topic {
    config: TopicConfig,
    partitions: Vec<Arc<Partition>>,
}

impl LocalLog {
    /// Opens for writing and reading; one process at a time.
    pub fn open(root: impl Into<PathBuf>, options: LocalLogOptions) -> Result<Self> {
        let root = root.into();
        std::fs::create_dir_all(&root).map_err(|source| Error::io("create", &root, source))?;
        let lock = take_lock(&root)?;
        let (topics, torn_bytes) =
            open_topics(&root, &mut |topic, number, directory| Partition::open(topic, number, directory))?;
        if torn_bytes > 0 {
            tracing::warn!(torn_bytes, root = %root.display(), "cut off records of the local log that were never acknowledged");
        }
        Ok(Self::assemble(root, options, topics, torn_bytes, Some(lock)))
    }

    /// Opens for reading beside a writer; sees every complete frame, and topics that exist now.
    pub fn open_reader(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        let open = &mut |topic: &str, number, directory| Ok((Partition::open_reader(topic, number, directory)?, 0));
        // A log nobody has written yet has no folder; a reader shall not make one.
        let topics = if root.exists() { open_topics(&root, open)?.0 } else { BTreeMap::new() };
        Ok(Self::assemble(root, LocalLogOptions::default(), topics, 0, None))
    }

    fn assemble(
        root: PathBuf,
        options: LocalLogOptions,
        topics: BTreeMap<String, Arc<Topic>>,
        torn_bytes: u64,
        lock: Option<File>,
    ) -> Self {
        Self {
            root,
            options,
            topics: RwLock::new(topics),
            poisoned: AtomicBool::new(false),
            syncs: Group::default(),
            unsynced_bytes: AtomicU64::new(0),
            // The first append looks at the free space.
            unchecked_bytes: AtomicU64::new(FREE_SPACE_CHECK_BYTES),
            torn_bytes,
            lock,
        }
    }

    /// Bytes that opening cut off because they were never acknowledged.
    pub fn torn_bytes(&self) -> u64 {
        self.torn_bytes
    }

    fn topic(&self, name: &str) -> Result<Arc<Topic>> {
        let topics = self.topics.read().map_err(|_| Error::Internal("a thread panicked while it held the topics"))?;
        topics.get(name).cloned().ok_or_else(|| Error::UnknownTopic { topic: name.to_owned() })
    }

    fn partition(&self, topic: &str, number: i32) -> Result<(Arc<Topic>, Arc<Partition>)> {
        let found = self.topic(topic)?;
        let partition = usize::try_from(number).ok().and_then(|index| found.partitions.get(index)).cloned();
        let partition =
            partition.ok_or_else(|| Error::UnknownPartition { topic: topic.to_owned(), partition: number })?;
        Ok((found, partition))
    }

    fn writable(&self) -> Result<()> {
        if self.lock.is_none() {
            return Err(Error::ReadOnly);
        }
        if self.poisoned.load(Ordering::Acquire) {
            return Err(Error::Poisoned);
        }
        Ok(())
    }

    /// Remembers a failed sync for ever.
    fn watch<T>(&self, result: Result<T>) -> Result<T> {
        if matches!(result, Err(Error::Poisoned)) {
            self.poisoned.store(true, Ordering::Release);
        }
        result
    }

    fn check_free_space(&self, bytes: u64) -> Result<()> {
        if self.unchecked_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes < FREE_SPACE_CHECK_BYTES {
            return Ok(());
        }
        let free = (self.options.free_space)(&self.root).map_err(|source| Error::io("look at", &self.root, source))?;
        if free < self.options.min_free_bytes {
            return Err(Error::LowDisk { free, needed: self.options.min_free_bytes });
        }
        self.unchecked_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn sync_all(&self) -> Result<()> {
        self.unsynced_bytes.store(0, Ordering::Relaxed);
        let topics: Vec<Arc<Topic>> = {
            let topics =
                self.topics.read().map_err(|_| Error::Internal("a thread panicked while it held the topics"))?;
            topics.values().cloned().collect()
        };
        for partition in topics.iter().flat_map(|topic| &topic.partitions) {
            self.watch(partition.sync())?;
        }
        fault::point("log.after_sync_before_reply")?;
        Ok(())
    }
}

impl EventLog for LocalLog {
    fn create_topic(&self, name: &str, config: &TopicConfig) -> Result<()> {
        self.writable()?;
        check_name(name)?;
        let mut topics =
            self.topics.write().map_err(|_| Error::Internal("a thread panicked while it held the topics"))?;
        if let Some(existing) = topics.get(name)
            && existing.config.partitions != config.partitions
        {
            let (existing, requested) = (existing.config.partitions, config.partitions);
            return Err(Error::TopicExists { topic: name.to_owned(), existing, requested });
        }
        if config.partitions < 1 {
            return Err(Error::InvalidTopic { topic: name.to_owned(), reason: "needs at least one partition" });
        }
        let partitions = match topics.get(name) {
            Some(existing) => existing.partitions.clone(),
            None => create_partitions(&self.root, name, config)?,
        };
        write_config(&self.root.join(name), config)?;
        sync_directory(&self.root)?;
        topics.insert(name.to_owned(), Arc::new(Topic { config: config.clone(), partitions }));
        Ok(())
    }

    fn topics(&self) -> Result<Vec<TopicDescription>> {
        let topics = self.topics.read().map_err(|_| Error::Internal("a thread panicked while it held the topics"))?;
        let mut described = Vec::with_capacity(topics.len());
        for (name, topic) in topics.iter() {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                partitions.push(partition.describe()?);
            }
            described.push(TopicDescription { name: name.clone(), partitions });
        }
        Ok(described)
    }

    fn append(&self, topic: &str, partition: i32, records: &RecordBuffer) -> Result<Range<i64>> {
        self.writable()?;
        let (topic, partition) = self.partition(topic, partition)?;
        let bytes = records.bytes() as u64;
        self.check_free_space(bytes)?;
        let offsets = self.watch(partition.append(records, topic.config.segment_bytes))?;
        if self.unsynced_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > self.options.max_unsynced_bytes {
            self.sync_all()?;
        }
        Ok(offsets)
    }

    fn sync(&self) -> Result<()> {
        self.writable()?;
        self.syncs.sync(|| self.sync_all())
    }

    fn read(
        &self,
        topic: &str,
        partition: i32,
        from_offset: i64,
        max_bytes: usize,
        into: &mut RecordBuffer,
    ) -> Result<ReadOutcome> {
        self.partition(topic, partition)?.1.read(from_offset, max_bytes, into)
    }

    fn trim(&self, topic: &str, partition: i32, before_offset: i64, now: Timestamp) -> Result<u64> {
        self.writable()?;
        fault::point("log.after_lake_commit_before_trim")?;
        let (topic, partition) = self.partition(topic, partition)?;
        partition.trim(before_offset, &topic.config, now)
    }
}

fn take_lock(root: &Path) -> Result<File> {
    let path = root.join("LOCK");
    let failed = |source| Error::io("lock", &path, source);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            file.read_to_string(&mut owner).map_err(failed)?;
            return Err(Error::Locked { path: root.to_owned(), owner });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0).and_then(|()| write!(file, "process {}", std::process::id())).map_err(failed)?;
    Ok(file)
}

type OpenPartition<'a> = &'a mut dyn FnMut(&str, i32, PathBuf) -> Result<(Partition, u64)>;

fn open_topics(root: &Path, open: OpenPartition<'_>) -> Result<(BTreeMap<String, Arc<Topic>>, u64)> {
    let failed = |source| Error::io("list", root, source);
    let (mut topics, mut torn_bytes) = (BTreeMap::new(), 0);
    for entry in std::fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (Ok(name), path) = (entry.file_name().into_string(), entry.path()) else { continue };
        let Some(config) = read_config(&path)? else { continue };
        let mut partitions = Vec::new();
        for number in 0..config.partitions {
            let (partition, torn) = open(&name, number, path.join(number.to_string()))?;
            torn_bytes += torn;
            partitions.push(Arc::new(partition));
        }
        topics.insert(name, Arc::new(Topic { config, partitions }));
    }
    Ok((topics, torn_bytes))
}

fn create_partitions(root: &Path, name: &str, config: &TopicConfig) -> Result<Vec<Arc<Partition>>> {
    let folder = root.join(name);
    let mut partitions = Vec::new();
    for number in 0..config.partitions {
        let directory = folder.join(number.to_string());
        std::fs::create_dir_all(&directory).map_err(|source| Error::io("create", &directory, source))?;
        partitions.push(Arc::new(Partition::open(name, number, directory)?.0));
    }
    sync_directory(&folder)?;
    Ok(partitions)
}

fn read_config(folder: &Path) -> Result<Option<TopicConfig>> {
    let path = folder.join("topic.json");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        // Not a topic, or one whose creation was cut short.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(Error::io("read", &path, error)),
    };
    serde_json::from_slice(&text).map(Some).map_err(|source| Error::io("read", &path, source.into()))
}

fn write_config(folder: &Path, config: &TopicConfig) -> Result<()> {
    let (path, draft) = (folder.join("topic.json"), folder.join("topic.json.new"));
    let failed = |source| Error::io("write", &path, source);
    let text = serde_json::to_vec_pretty(config).map_err(|source| failed(source.into()))?;
    let mut file = File::create(&draft).map_err(failed)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&draft, &path).map_err(failed)?;
    sync_directory(folder)
}

fn check_name(topic: &str) -> Result<()> {
    let invalid = |reason| Err(Error::InvalidTopic { topic: topic.to_owned(), reason });
    if topic.is_empty() || topic.len() > 200 {
        return invalid("has 1 to 200 characters");
    }
    if !topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return invalid("consists of letters, digits, `.`, `_` and `-`");
    }
    if topic.starts_with('.') {
        return invalid("does not start with a dot");
    }
    Ok(())
}
