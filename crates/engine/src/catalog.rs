//! Which version of which table a session sees.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_lake::{Lake, LakeTable, Recent, TableName, TableVersion};

use crate::error::Result;

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Relation {
    Table(Arc<LakeTable>),
    View { sql: String },
}

/// What was published under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishedRelation {
    /// This version of the table, whatever was committed since.
    Version(u64),
    View {
        sql: String,
    },
}

/// Tables in the cache.
const CACHED_TABLES: usize = 512;
/// Versions of one table: the published one, the one a run is about to publish, and one that a page still asks for.
const CACHED_VERSIONS: usize = 3;

/// Table versions read so far. A version never changes, so an entry is never wrong; tables least recently used go first, and
/// of a table the versions read first.
#[derive(Debug)]
pub struct TableCache(Mutex<Recent<TableName, Vec<Arc<LakeTable>>>>);

impl Default for TableCache {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CACHED_TABLES)))
    }
}

impl TableCache {
    fn tables(&self) -> MutexGuard<'_, Recent<TableName, Vec<Arc<LakeTable>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, name: &TableName, version: u64) -> Option<Arc<LakeTable>> {
        self.tables().get(name)?.into_iter().find(|known| known.table().version() == version)
    }

    fn put(&self, table: &Arc<LakeTable>) {
        let mut tables = self.tables();
        let name = table.table().name();
        let mut versions = tables.get(name).unwrap_or_default();
        versions.retain(|known| known.table().version() != table.table().version());
        if versions.len() == CACHED_VERSIONS {
            versions.remove(0);
        }
        versions.push(Arc::clone(table));
        tables.put(name.clone(), 1, versions);
    }
}

/// The tables one session sees: published names at their published version, others at the newest, and each name at the same
/// version for the session's whole life.
#[derive(Debug)]
pub struct Catalog {
    lake: Lake,
    cache: Arc<TableCache>,
    published: BTreeMap<TableName, PublishedRelation>,
    /// Names that exist only once they were published.
    built: BTreeSet<TableName>,
    pinned: Mutex<HashMap<TableName, Option<Relation>>>,
    /// Tables statements made for the session alone.
    temporaries: Mutex<Vec<TableName>>,
    /// Held while a statement changes a table.
    writing: tokio::sync::Mutex<()>,
}

impl Catalog {
    pub fn new(
        lake: Lake,
        cache: Arc<TableCache>,
        published: BTreeMap<TableName, PublishedRelation>,
        built: BTreeSet<TableName>,
    ) -> Self {
        Self {
            lake,
            cache,
            published,
            built,
            pinned: Mutex::new(HashMap::new()),
            temporaries: Mutex::default(),
            writing: tokio::sync::Mutex::new(()),
        }
    }

    /// The relation of a name; `None` when there is none.
    pub async fn relation(&self, name: &TableName) -> Result<Option<Relation>> {
        if let Some(known) = self.pins().get(name) {
            return Ok(known.clone());
        }
        let relation = self.find(name).await?;
        // Two tasks may have looked at once: the first answer stands.
        Ok(self.pins().entry(name.clone()).or_insert(relation).clone())
    }

    fn pins(&self) -> std::sync::MutexGuard<'_, HashMap<TableName, Option<Relation>>> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn find(&self, name: &TableName) -> Result<Option<Relation>> {
        match self.published.get(name) {
            Some(PublishedRelation::View { sql }) => Ok(Some(Relation::View { sql: sql.clone() })),
            Some(PublishedRelation::Version(version)) => Ok(Some(Relation::Table(self.at(name, *version).await?))),
            None if self.built.contains(name) => Ok(None),
            None => Ok(self.newest(name).await?.map(Relation::Table)),
        }
    }

    /// A table at one version, from the cache when it was read before.
    pub async fn at(&self, name: &TableName, version: u64) -> Result<Arc<LakeTable>> {
        if let Some(table) = self.cache.get(name, version) {
            return Ok(table);
        }
        Ok(self.remember(self.lake.load_at(name, version).await?))
    }

    /// Keeps a version that was read or made.
    pub(crate) fn remember(&self, table: TableVersion) -> Arc<LakeTable> {
        let table = Arc::new(LakeTable::new(table));
        self.cache.put(&table);
        table
    }

    async fn newest(&self, name: &TableName) -> Result<Option<Arc<LakeTable>>> {
        let Some(table) = self.lake.load(name).await? else { return Ok(None) };
        if let Some(known) = self.cache.get(name, table.version()) {
            return Ok(Some(known));
        }
        Ok(Some(self.remember(table)))
    }

    /// From now on the name stands for this relation in this session: what a run built is what its later steps read.
    pub fn pin(&self, name: TableName, relation: Relation) {
        self.pins().insert(name, Some(relation));
    }

    /// From now on the session sees nothing under this name.
    pub(crate) fn forget(&self, name: TableName) {
        self.pins().insert(name, None);
    }

    /// Whether the name is one that builds publish.
    pub fn is_managed(&self, name: &TableName) -> bool {
        self.built.contains(name) || self.published.contains_key(name)
    }

    /// What the session itself put under a name, or found there.
    pub fn pinned(&self, name: &TableName) -> Option<Relation> {
        self.pins().get(name).cloned().flatten()
    }

    pub(crate) async fn writing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.writing.lock().await
    }

    pub(crate) fn note_temporary(&self, name: TableName) {
        self.temporaries.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }

    pub(crate) fn take_temporaries(&self) -> Vec<TableName> {
        std::mem::take(&mut *self.temporaries.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Names of everything that can be read.
    pub async fn names(&self) -> Result<Vec<TableName>> {
        let mut names = self.lake.tables().await?;
        names.retain(|name| !self.built.contains(name));
        names.extend(self.published.keys().cloned());
        let pins = self.pins();
        names.retain(|name| !matches!(pins.get(name), Some(None)));
        names.extend(pins.iter().filter(|(_, relation)| relation.is_some()).map(|(name, _)| name.clone()));
        drop(pins);
        names.sort();
        names.dedup();
        Ok(names)
    }
}
