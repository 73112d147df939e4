//! Sources that are files somewhere, as the engine reads them: the place a project names may be another one here.

use std::collections::BTreeMap;
use std::path::Path;

use headwater_engine::{External, ExternalFormat};
use headwater_lake::TableName;
use headwater_project::{Diagnostic, Diagnostics};
use headwater_transform::{ExternalSource, FileFormat, Node, TransformProject, external_source};

/// Beginnings of locations and what stands for them here, the longest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct LocationMap(Vec<(String, String)>);

impl LocationMap {
    /// Those of the command line go before those of the project file.
    pub(crate) fn new<'a>(
        given: impl IntoIterator<Item = (&'a String, &'a String)>,
        project: &BTreeMap<String, String>,
    ) -> Self {
        let mut all = project.clone();
        all.extend(given.into_iter().map(|(from, to)| (from.clone(), to.clone())));
        let mut pairs: Vec<(String, String)> = all.into_iter().collect();
        pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        Self(pairs)
    }

    /// Where a location is here: an absolute path, or an address as it is.
    fn place(&self, location: &str, root: &Path) -> String {
        let mapped = self.0.iter().find_map(|(from, to)| {
            let rest = location.strip_prefix(from.as_str())?;
            let joins = from.ends_with('/') || rest.is_empty() || rest.starts_with('/');
            joins.then(|| format!("{}/{}", to.trim_end_matches('/'), rest.trim_start_matches('/')))
        });
        let place = mapped.as_deref().unwrap_or(location);
        if place.contains("://") || place.starts_with('@') {
            return place.to_owned();
        }
        let path = root.join(place.trim_start_matches("./"));
        let text = path.to_string_lossy().trim_end_matches('/').to_owned();
        // A folder is read as one only with its slash.
        if path.is_dir() { text + "/" } else { text }
    }
}

/// Every source that is files, by the name its table has.
pub(crate) fn externals(
    transform: &TransformProject,
    locations: &LocationMap,
    root: &Path,
    found: &mut Diagnostics,
) -> BTreeMap<TableName, External> {
    let mut externals = BTreeMap::new();
    for node in transform.ordered() {
        match external_source(node) {
            None => {}
            Some(Ok(source)) => {
                let name = TableName::new(node.relation.schema.clone(), node.relation.identifier.clone());
                externals.insert(name, external(node, source, locations, root));
            }
            Some(Err(reason)) => {
                let mut problem =
                    Diagnostic::warning(format!("the source {} cannot be read in place: {reason}", node.name));
                problem.span = node.span;
                found
                    .push(problem.hint(
                        "Parquet, CSV, JSON lines and Arrow files are; say which with `options: {format: ...}`.",
                    ));
            }
        }
    }
    externals
}

fn external(node: &Node, source: ExternalSource, locations: &LocationMap, root: &Path) -> External {
    let is_partition = |name: &str| source.partitions.iter().any(|(partition, _)| partition.eq_ignore_ascii_case(name));
    let declared = node.columns_in_order().into_iter().filter(|column| !is_partition(&column.name));
    External {
        location: locations.place(&source.location, root),
        format: match source.format {
            FileFormat::Parquet => ExternalFormat::Parquet,
            FileFormat::Arrow => ExternalFormat::Arrow,
            FileFormat::Json => ExternalFormat::Json,
            FileFormat::Csv { delimiter, has_header } => {
                ExternalFormat::Csv { delimiter: u8::try_from(delimiter).unwrap_or(b','), has_header }
            }
        },
        columns: declared.map(|column| (column.name.clone(), column.data_type.clone())).collect(),
        partitions: source.partitions,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_where_the_longest_beginning_says() {
        let project = BTreeMap::from([
            (String::from("gs://shop"), String::from("data/shop")),
            (String::from("gs://shop/orders/"), String::from("s3://other/o")),
            (String::from("@raw.stage"), String::from("/mnt/stage")),
        ]);
        let check = |location: &str, expected: &str| {
            let given = [(String::from("@raw.stage"), String::from("/elsewhere"))];
            let map = LocationMap::new(given.iter().map(|(from, to)| (from, to)), &project);
            assert_eq!(map.place(location, Path::new("/p")), expected);
        };
        check("gs://shop/customers/*.csv", "/p/data/shop/customers/*.csv");
        check("gs://shop/orders/2024/x.parquet", "s3://other/o/2024/x.parquet");
        check("gs://shopping/x.csv", "gs://shopping/x.csv");
        check("@raw.stage/x.json", "/elsewhere/x.json");
        check("./files/x.csv", "/p/files/x.csv");
        check("/abs/x.csv", "/abs/x.csv");
    }
}
