//! Getting a package into a folder: from beside the project, by git, from an address, from the hub.

use std::path::{Path, PathBuf};
use std::process::Command;

use headwater_project::{Failure, Kind};
use serde_json::Value;

use super::spec::Spec;
use super::{archive, project_name, version};

/// The hub, unless the variable names another.
const HUB: &str = "https://hub.getdbt.com/";
const HUB_VARIABLE: &str = "DBT_PACKAGE_HUB_URL";

/// A package that lies in a folder.
#[derive(Clone, Debug)]
pub(super) struct Fetched {
    pub(super) name: String,
    /// With the exact version that was found.
    pub(super) spec: Spec,
    pub(super) folder: PathBuf,
}

pub(super) struct Fetcher<'a> {
    root: &'a Path,
    work: &'a Path,
    tell: &'a (dyn Fn(&str) + Sync),
}

impl<'a> Fetcher<'a> {
    pub(super) fn new(root: &'a Path, work: &'a Path, tell: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self { root, work, tell }
    }

    /// What a lock names, at the versions it names.
    pub(super) async fn exactly(&self, specs: Vec<Spec>) -> Result<Vec<Fetched>, Failure> {
        let mut found = Vec::with_capacity(specs.len());
        for spec in specs {
            found.extend(self.fetch(&spec).await?);
        }
        Ok(found)
    }

    /// Nothing when the package cannot be had and a part of it is built in.
    pub(super) async fn fetch(&self, spec: &Spec) -> Result<Option<Fetched>, Failure> {
        let found = match spec {
            Spec::Local { folder } => found(spec.clone(), self.root.join(folder)),
            Spec::Git { .. } => tokio::task::block_in_place(|| self.git(spec)),
            Spec::Tarball { address, .. } => self.tarball(spec, address).await,
            Spec::Hub { .. } => self.hub(spec).await,
        };
        match found {
            Err(failure)
                if matches!(spec, Spec::Hub { .. })
                    && headwater_transform::is_built_in_package(&spec.likely_name()) =>
            {
                let why = failure.detail.unwrap_or(failure.message);
                (self.tell)(&format!("Using the part of {} that is built in: {why}", spec.likely_name()));
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    /// A folder of its own for everything that is fetched.
    fn place(&self, what: &str) -> PathBuf {
        self.work.join(format!("{:08x}", crc32c::crc32c(what.as_bytes())))
    }

    fn git(&self, spec: &Spec) -> Result<Fetched, Failure> {
        let Spec::Git { address, revision, subdirectory, written } = spec else {
            return Err(Failure::internal("no package of git"));
        };
        let place = self.place(&spec.key());
        if !place.exists() {
            git(None, &["clone", "--quiet", "--", address, &place.to_string_lossy()])?;
        }
        let wanted = revision.as_ref().map(|one| one.as_str().map_or_else(|| one.to_string(), str::to_owned));
        if let Some(wanted) = &wanted {
            if wanted.starts_with('-') {
                return Err(Failure::user(format!("`{wanted}` is no revision of {address}")));
            }
            let on_server = format!("origin/{wanted}");
            git(Some(&place), &["checkout", "--quiet", "--detach", &on_server])
                .or_else(|_| git(Some(&place), &["checkout", "--quiet", "--detach", wanted]))?;
        }
        if wanted.as_deref().is_none_or(|wanted| matches!(wanted, "HEAD" | "main" | "master")) {
            (self.tell)(&format!("{address} is not pinned: name a tag or commit as its `revision`."));
        }
        let commit = git(Some(&place), &["rev-parse", "HEAD"])?;
        let exact = Spec::Git {
            address: address.clone(),
            revision: Some(Value::from(commit.trim())),
            subdirectory: subdirectory.clone(),
            written: written.clone(),
        };
        found(exact, subdirectory.as_ref().map_or(place.clone(), |inside| place.join(inside)))
    }

    async fn tarball(&self, spec: &Spec, address: &str) -> Result<Fetched, Failure> {
        let place = self.place(address);
        let failed = |reason: String| {
            Failure::new(Kind::External { retry_after: None }, format!("the package {address} could not be fetched"))
                .with_detail(format!("{reason}."))
        };
        if !place.exists() {
            let packed = headwater_connectors::http::download(address).await.map_err(failed)?;
            archive::unpack(&packed, &place).map_err(failed)?;
        }
        found(spec.clone(), only_folder(&place))
    }

    async fn hub(&self, spec: &Spec) -> Result<Fetched, Failure> {
        let Spec::Hub { package, versions, prerelease, written } = spec else {
            return Err(Failure::internal("no package of the hub"));
        };
        let listing = self.listing(package).await?;
        let known = listing.get("versions").and_then(Value::as_object).cloned().unwrap_or_default();
        let newest = version::newest(known.keys().map(String::as_str), versions, *prerelease);
        let Some(chosen) = newest.map(str::to_owned) else {
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            return Err(Failure::user(format!("the hub has no version {} of {package}", versions.join(", ")))
                .with_hint(format!("Its versions are {}.", known.join(", "))));
        };
        let address = known.get(&chosen).and_then(|one| one.get("downloads")?.get("tarball")?.as_str());
        let address = address.ok_or_else(|| Failure::user(format!("the hub has no file for {package} {chosen}")))?;
        let mut fetched = self.tarball(spec, address).await?;
        let (package, prerelease, written) = (package.clone(), *prerelease, written.clone());
        fetched.spec = Spec::Hub { package, versions: vec![chosen], prerelease, written };
        Ok(fetched)
    }

    async fn listing(&self, package: &str) -> Result<Value, Failure> {
        let hub = std::env::var(HUB_VARIABLE).unwrap_or_else(|_| HUB.to_owned());
        let address = format!("{}/api/v1/{package}.json", hub.trim_end_matches('/'));
        let failed = |reason: String| {
            Failure::new(Kind::External { retry_after: None }, format!("the hub could not be asked for {package}"))
                .with_detail(format!("{address}: {reason}."))
                .with_hint(format!(
                    "{HUB_VARIABLE} names another hub; packages may also be put into the package folder."
                ))
        };
        let answer = headwater_connectors::http::download(&address).await.map_err(&failed)?;
        let listing: Value = serde_json::from_slice(&answer).map_err(|error| failed(error.to_string()))?;
        let text = |key: &str| listing.get(key).and_then(Value::as_str);
        if text("redirectnamespace").or(text("redirectname")).is_some() {
            let (namespace, name) =
                (text("redirectnamespace").or(text("namespace")), text("redirectname").or(text("name")));
            let new = format!("{}/{}", namespace.unwrap_or_default(), name.unwrap_or_default());
            (self.tell)(&format!(
                "PackageRedirectDeprecation: the package {package} is now {new}; name that in packages.yml."
            ));
        }
        Ok(listing)
    }
}

fn found(spec: Spec, folder: PathBuf) -> Result<Fetched, Failure> {
    Ok(Fetched { name: project_name(&folder)?, spec, folder })
}

/// Archives hold one folder with everything in it.
fn only_folder(place: &Path) -> PathBuf {
    let entries: Vec<PathBuf> =
        std::fs::read_dir(place).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect();
    match entries.as_slice() {
        [one] if one.is_dir() => one.clone(),
        _ => place.to_path_buf(),
    }
}

/// Runs git and returns what it printed. It never asks for a password.
fn git(folder: Option<&Path>, arguments: &[&str]) -> Result<String, Failure> {
    let mut command = Command::new("git");
    if let Some(folder) = folder {
        command.arg("-C").arg(folder);
    }
    let done = command.args(arguments).env("GIT_TERMINAL_PROMPT", "0").output().map_err(|error| {
        Failure::user("git could not be run")
            .with_detail(format!("{error}."))
            .with_hint("Packages by `git:` need it installed.")
    })?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(Failure::new(Kind::External { retry_after: None }, format!("git {} failed", arguments.first().unwrap_or(&"")))
        .with_detail(said))
}
