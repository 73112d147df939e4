//! What a whole project defines besides its nodes: packages, variables, macros, documentation blocks, the target.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use headwater_project::Span;

pub(crate) type JsonMap = serde_json::Map<String, serde_json::Value>;

/// The package of our own macros that every project sees without naming it.
pub(crate) const BUILTIN_PACKAGE: &str = "dbt";

/// A group of models.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub name: String,
    pub package: String,
    /// The properties file it is declared in, relative to the project folder, and inside the folder of its kind.
    pub file: PathBuf,
    pub path: PathBuf,
    /// Its entry: owner, description, config.
    pub written: JsonMap,
}

/// A documentation block.
#[derive(Clone, Debug)]
pub(crate) struct DocBlock {
    pub text: String,
    /// Its file, relative to the project folder, and inside the folder of its kind.
    pub file: PathBuf,
    pub path: PathBuf,
}

#[derive(Clone, Debug)]
pub(crate) struct Package {
    /// Its folder, relative to the project.
    pub root: PathBuf,
    pub vars: JsonMap,
    /// `dispatch:` of dbt_project.yml: macro namespace and where to search it.
    pub dispatch: Vec<(String, Vec<String>)>,
    pub on_run_start: Vec<String>,
    pub on_run_end: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MacroDefinition {
    /// `macro.<package>.<name>`, also the name of its template.
    pub unique_id: String,
    pub package: String,
    pub name: String,
    /// The text between and including its tags; part of the code hash of what calls it.
    pub text: Arc<str>,
    pub span: Option<Span>,
    /// Its file, relative to the project folder.
    pub file: Option<PathBuf>,
    /// Its entry in a properties file, and that file.
    pub written: Option<(JsonMap, PathBuf)>,
    /// Whether the body reads Jinja's `varargs` or `kwargs`.
    pub varargs: bool,
    pub kwargs: bool,
}

/// The macros of all packages.
#[derive(Clone, Debug, Default)]
pub(crate) struct MacroSet {
    packages: BTreeMap<String, BTreeMap<String, Arc<MacroDefinition>>>,
}

impl MacroSet {
    /// Returns the macro of that name that was there before, if any; the newcomer is then left out.
    pub(crate) fn insert(&mut self, definition: MacroDefinition) -> Option<Arc<MacroDefinition>> {
        let package = self.packages.entry(definition.package.clone()).or_default();
        if let Some(known) = package.get(&definition.name) {
            return Some(Arc::clone(known));
        }
        package.insert(definition.name.clone(), Arc::new(definition));
        None
    }

    pub(crate) fn in_package(&self, package: &str, name: &str) -> Option<&Arc<MacroDefinition>> {
        self.packages.get(package)?.get(name)
    }

    pub(crate) fn has_package(&self, package: &str) -> bool {
        self.packages.contains_key(package)
    }

    /// Whether ours stand in for the macros of a public package, whose folder is not there.
    pub(crate) fn is_builtin(&self, package: &str) -> bool {
        let ours = |macros: &BTreeMap<String, Arc<MacroDefinition>>| macros.values().any(|known| known.span.is_none());
        package != BUILTIN_PACKAGE && self.packages.get(package).is_some_and(ours)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<MacroDefinition>> {
        self.packages.values().flat_map(BTreeMap::values)
    }
}

/// Where the models go and what the templates see as `target`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub name: String,
    pub schema: String,
    /// Left out of relation names when none.
    pub database: Option<String>,
    /// Chooses the prefix of dispatched macros: `<adapter>__name`, then `default__name`.
    pub adapter: String,
    pub threads: u32,
    /// Everything else of the profile that is no secret, for templates.
    pub more: JsonMap,
    pub profile: String,
}

impl Target {
    /// Prefixes of dispatched macros, the first that there is counts: the adapter, the one it stands on, the default.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &str> {
        let parent = match self.adapter.as_str() {
            "redshift" => Some("postgres"),
            "databricks" => Some("spark"),
            _ => None,
        };
        [Some(self.adapter.as_str()), parent, Some("default")].into_iter().flatten()
    }

    /// What names are quoted with in the SQL of the adapter.
    pub(crate) fn quote(&self) -> char {
        if matches!(self.adapter.as_str(), "bigquery" | "spark" | "databricks") { '`' } else { '"' }
    }
}

impl Default for Target {
    fn default() -> Self {
        Self {
            name: String::from("default"),
            schema: String::from("main"),
            database: None,
            adapter: String::from("datafusion"),
            threads: 1,
            more: JsonMap::new(),
            profile: String::new(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Definitions {
    pub root_package: String,
    pub packages: BTreeMap<String, Package>,
    pub macros: MacroSet,
    pub target: Target,
    pub env: BTreeMap<String, String>,
    /// Variables of the command line, above all others.
    pub vars: JsonMap,
    /// Documentation blocks by `<package>.<name>`.
    pub docs: BTreeMap<String, DocBlock>,
}

impl Definitions {
    /// Definitions with nothing but macros, to explain an error in one of them.
    pub(crate) fn for_macros(macros: &MacroSet) -> Self {
        Self {
            root_package: String::new(),
            packages: BTreeMap::new(),
            macros: macros.clone(),
            target: Target::default(),
            env: BTreeMap::new(),
            vars: JsonMap::new(),
            docs: BTreeMap::new(),
        }
    }

    /// A macro called without a package: the caller's package, the project, our own.
    pub(crate) fn find_macro(&self, from_package: &str, name: &str) -> Option<&Arc<MacroDefinition>> {
        [from_package, self.root_package.as_str(), BUILTIN_PACKAGE]
            .into_iter()
            .find_map(|package| self.macros.in_package(package, name))
    }

    /// The macro `adapter.dispatch` chooses.
    pub(crate) fn dispatch(
        &self,
        from_package: &str,
        name: &str,
        namespace: Option<&str>,
    ) -> Option<&Arc<MacroDefinition>> {
        for package in self.dispatch_order(namespace) {
            for prefix in self.target.prefixes() {
                let full = format!("{prefix}__{name}");
                let found = match &package {
                    Some(package) => self.macros.in_package(package, &full),
                    None => self.find_macro(from_package, &full),
                };
                if found.is_some() {
                    return found;
                }
            }
        }
        None
    }

    fn dispatch_order(&self, namespace: Option<&str>) -> Vec<Option<String>> {
        let Some(namespace) = namespace else { return vec![None] };
        let configured = self.packages.get(&self.root_package).and_then(|package| {
            package.dispatch.iter().find(|(name, _)| name == namespace).map(|(_, order)| order.clone())
        });
        match configured {
            Some(order) => order.into_iter().map(Some).collect(),
            // A project overrides the dispatched macros of dbt and of its packages without asking, as in dbt.
            None => vec![Some(self.root_package.clone()), Some(namespace.to_owned())],
        }
    }

    /// A variable as a template of `package` sees it.
    pub(crate) fn variable(&self, package: &str, name: &str) -> Option<&serde_json::Value> {
        let root = self.packages.get(&self.root_package).map(|package| &package.vars);
        let own = self.packages.get(package).map(|package| &package.vars);
        self.vars
            .get(name)
            .or_else(|| root?.get(package)?.as_object()?.get(name))
            .or_else(|| root?.get(name))
            .or_else(|| own?.get(package)?.as_object()?.get(name))
            .or_else(|| own?.get(name))
    }
}
