//! The tables a tile's template names, without rendering it: a graph is drawn of projects that do not compile, too.

use headwater_transform::{Node, ResourceType, TransformProject};

use crate::instance::Instance;

/// A `ref('model')`, or a `source('source', 'table')`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Model(String),
    Source(String, String),
}

impl Reference {
    pub(crate) fn node_id(&self, instance: &Instance) -> Option<String> {
        self.find(&instance.project().transform).map(|node| node.id.to_string())
    }

    pub(crate) fn find<'a>(&self, transform: &'a TransformProject) -> Option<&'a Node> {
        let mut nodes = transform.ordered();
        match self {
            Self::Model(name) => nodes.find(|node| node.name == *name && node.resource_type.is_referable()),
            Self::Source(source, table) => nodes.find(|node| {
                node.resource_type == ResourceType::Source
                    && node.name == *table
                    && node.id.as_str().contains(&format!(".{source}."))
            }),
        }
    }
}

/// Calls inside `{{ }}` and `{% %}` with their quoted arguments.
pub(crate) fn references(template: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for (open, close) in [("{{", "}}"), ("{%", "%}")] {
        for part in template.split(open).skip(1) {
            calls(part.split(close).next().unwrap_or_default(), &mut found);
        }
    }
    found
}

fn calls(code: &str, found: &mut Vec<Reference>) {
    for (name, take) in [("ref", as_model as fn(&[String]) -> Option<Reference>), ("source", as_source)] {
        for (at, _) in code.match_indices(name) {
            let before = code.get(..at).and_then(|text| text.chars().next_back());
            let is_word =
                before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == '.');
            let rest = code.get(at + name.len()..).unwrap_or_default().trim_start();
            if let (false, Some(arguments)) = (is_word, rest.strip_prefix('(')) {
                found.extend(take(&quoted(arguments.split(')').next().unwrap_or_default())));
            }
        }
    }
}

/// The package of `ref('package', 'model')` comes first.
fn as_model(arguments: &[String]) -> Option<Reference> {
    arguments.last().map(|name| Reference::Model(name.clone()))
}

fn as_source(arguments: &[String]) -> Option<Reference> {
    match arguments {
        [source, table] => Some(Reference::Source(source.clone(), table.clone())),
        _ => None,
    }
}

fn quoted(arguments: &str) -> Vec<String> {
    let texts = arguments.split(',').map(|argument| argument.trim().trim_matches(['\'', '"']).to_owned());
    texts.filter(|text| !text.is_empty() && !text.contains('=')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: &[Reference]) {
        assert_eq!(references(template), expected, "{template}");
    }

    #[test]
    fn calls_in_templates_are_found_and_nothing_else() {
        let model = |name: &str| Reference::Model(name.into());
        check("select * from {{ ref('a') }} join {{ref(\"p\", \"b\")}}", &[model("a"), model("b")]);
        check("{{ source('s', 't') }}", &[Reference::Source("s".into(), "t".into())]);
        check("select 'ref(x)' from t", &[]);
        check("{{ my_ref('a') }} {{ builtins.ref('b') }}", &[]);
    }
}
