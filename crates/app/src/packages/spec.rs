//! One package as it is asked for.

use std::path::Path;

use headwater_project::Failure;
use headwater_project::tree::Tree;
use serde_json::{Map, Value, json};

/// Where a package is and which version of it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Spec {
    Local {
        folder: String,
    },
    Git {
        address: String,
        revision: Option<Value>,
        subdirectory: Option<String>,
        written: Map<String, Value>,
    },
    Tarball {
        address: String,
        name: String,
        written: Map<String, Value>,
    },
    /// `versions` are all to be met.
    Hub {
        package: String,
        versions: Vec<String>,
        prerelease: bool,
        written: Map<String, Value>,
    },
}

impl std::fmt::Display for Spec {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local { folder } => write!(formatter, "local {folder}"),
            Self::Git { address, revision, .. } => {
                let revision = revision.as_ref().map_or_else(|| String::from("HEAD"), text);
                write!(formatter, "revision {revision} of {address}")
            }
            Self::Tarball { address, .. } => formatter.write_str(address),
            Self::Hub { package, versions, .. } => write!(formatter, "version {} of {package}", versions.join(", ")),
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

impl Spec {
    pub(super) fn read(item: &Tree) -> Result<Self, Failure> {
        let written = item.to_json().as_object().cloned().unwrap_or_default();
        let given = |key: &str| written.get(key).filter(|value| !value.is_null());
        let string = |key: &str| given(key).map(text);
        let problem = |message: String| Failure::user(message).with_hint("See the packages of packages.yml.");
        if let Some(text) = written.values().filter_map(Value::as_str).find(|text| text.contains("{{")) {
            return Err(problem(format!("templates in packages.yml are not read: {text}")));
        }
        if let Some(folder) = string("local") {
            return Ok(Self::Local { folder });
        }
        if let Some(address) = string("git") {
            let (revision, subdirectory) = (given("revision").cloned(), string("subdirectory"));
            return Ok(Self::Git { address, revision, subdirectory, written });
        }
        if let Some(address) = string("tarball") {
            let missing = || problem(format!("the tarball {address} has no `name`"));
            return Ok(Self::Tarball { name: string("name").ok_or_else(missing)?, address, written });
        }
        let Some(package) = string("package") else {
            let kinds = "an entry of packages.yml is none of `package`, `git`, `tarball` and `local`";
            return Err(problem(kinds.to_owned()));
        };
        let versions = match given("version") {
            Some(Value::Array(items)) => items.iter().map(text).collect(),
            Some(version) => vec![text(version)],
            None => return Err(problem(format!("the package {package} has no `version`"))),
        };
        let prerelease = given("install_prerelease").or_else(|| given("install-prerelease"));
        let prerelease = prerelease.and_then(Value::as_bool).unwrap_or(false);
        Ok(Self::Hub { package, versions, prerelease, written })
    }

    /// The same for every version of a package.
    pub(super) fn key(&self) -> String {
        match self {
            Self::Local { folder } => format!("local {folder}"),
            Self::Git { address, subdirectory, .. } => {
                format!("git {} {}", address.trim_end_matches(".git"), subdirectory.as_deref().unwrap_or_default())
            }
            Self::Tarball { address, .. } => format!("tarball {address}"),
            Self::Hub { package, .. } => format!("package {package}"),
        }
    }

    /// What its folder is probably called.
    pub(super) fn likely_name(&self) -> String {
        let source = match self {
            Self::Local { folder } => folder,
            Self::Git { address, .. } => address,
            Self::Tarball { name, .. } => name,
            Self::Hub { package, .. } => package,
        };
        source.trim_end_matches(".git").rsplit('/').next().unwrap_or_default().replace('-', "_")
    }

    /// Both wishes for one package.
    pub(super) fn with(&self, other: &Self) -> Result<Self, Failure> {
        match (self, other) {
            (
                Self::Hub { package, versions, prerelease, written },
                Self::Hub { versions: more, prerelease: also, .. },
            ) => {
                let mut versions = versions.clone();
                versions.extend(more.iter().filter(|one| !self.wants(one)).cloned());
                let (package, prerelease) = (package.clone(), *prerelease || *also);
                Ok(Self::Hub { package, versions, prerelease, written: written.clone() })
            }
            (Self::Git { revision: Some(one), .. }, Self::Git { revision: Some(other), address, .. })
                if one != other =>
            {
                Err(Failure::user(format!(
                    "two revisions of {address} are asked for: {} and {}",
                    text(one),
                    text(other)
                ))
                .with_hint("Let one of the two decide."))
            }
            (Self::Git { revision: None, .. }, other) => Ok(other.clone()),
            _ => Ok(self.clone()),
        }
    }

    fn wants(&self, version: &str) -> bool {
        matches!(self, Self::Hub { versions, .. } if versions.iter().any(|known| known == version))
    }

    /// A local package of a package is found from there.
    pub(super) fn seen_from(self, folder: &Path) -> Self {
        match self {
            Self::Local { folder: own } => Self::Local { folder: folder.join(own).to_string_lossy().into_owned() },
            other => other,
        }
    }

    /// What dbt makes the digest of a lock from.
    pub(super) fn hashed(&self) -> Value {
        match self {
            Self::Local { folder } => json!({ "local": folder, "unrendered": { "local": folder } }),
            Self::Git { address, revision, subdirectory, written } => {
                let unpinned = written.get("warn-unpinned").or_else(|| written.get("warn_unpinned"));
                json!({
                    "git": address, "revision": revision, "subdirectory": subdirectory, "unrendered": written,
                    "warn-unpinned": unpinned,
                })
            }
            Self::Tarball { address, name, written } => {
                json!({ "name": name, "tarball": address, "unrendered": written })
            }
            Self::Hub { package, prerelease, written, .. } => json!({
                "install_prerelease": prerelease, "package": package, "unrendered": written,
                "version": written.get("version"),
            }),
        }
    }
}
