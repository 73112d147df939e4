//! Lists of a table's data files for engines that read Parquet and know nothing of Delta.
//!
//! `_symlink_format_manifest/manifest` beside the data has one URL per line; a table with partition columns has one such
//! file for each partition, in the folder the partition's data files lie in (`day=2024-05-01/manifest`). Each is written as
//! a whole. A partition that went loses its file, so that its rows do not come back. Several partitions change one after
//! the other: a reader may see some of them as of an earlier version.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::error::Result;
use crate::name::TableName;
use crate::table::{Lake, TableVersion};

const FOLDER: &str = "_symlink_format_manifest";
const FILE: &str = "manifest";

/// Which version of a table is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    Latest,
    Version(u64),
}

/// Writes the lists that are not as they should be; how many were written or removed.
pub(super) async fn write(lake: &Lake, name: &TableName, listed: Listed) -> Result<usize> {
    let table = match listed {
        Listed::Latest => lake.require(name).await?,
        Listed::Version(version) => lake.load_at(name, version).await?,
    };
    let root = Path::from_iter(name.path().parts().chain(Path::from(FOLDER).parts()));
    let store = lake.object_store();
    let mut changed = 0;
    let wanted = manifests(&table, lake.storage().url.as_str(), &root)?;
    for (path, text) in &wanted {
        let found = match store.get(path).await {
            Ok(object) => Some(object.bytes().await?),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if found.as_deref() != Some(text.as_bytes()) {
            store.put(path, Bytes::copy_from_slice(text.as_bytes()).into()).await?;
            changed += 1;
        }
    }
    let listed: Vec<Path> = store.list(Some(&root)).map_ok(|object| object.location).try_collect().await?;
    for path in listed.into_iter().filter(|path| path.filename() == Some(FILE) && !wanted.contains_key(path)) {
        store.delete(&path).await?;
        changed += 1;
    }
    Ok(changed)
}

/// The text of each list. A table without partition columns has one, also when it has no files.
fn manifests(table: &TableVersion, lake: &str, root: &Path) -> Result<BTreeMap<Path, String>> {
    let mut texts: BTreeMap<Path, String> = BTreeMap::new();
    if table.partition_columns().is_empty() {
        texts.insert(Path::from_iter(root.parts().chain(Path::from(FILE).parts())), String::new());
    }
    for file in table.files().iter() {
        // The part of the path that names the partition is that of the data file: it reads as the same values.
        let folder = if table.partition_columns().is_empty() { "" } else { folder_of(&file.path) };
        let path = Path::parse(
            [root.as_ref(), folder, FILE].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/"),
        )
        .map_err(object_store::Error::from)?;
        let text = texts.entry(path).or_default();
        text.push_str(&format!("{lake}{}/{}\n", table.name().path(), file.path));
    }
    Ok(texts)
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}
