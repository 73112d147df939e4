//! One digest per node of everything its SQL is made of, known without compiling: its code and configuration, the macros it
//! can reach, the variables those read, and the ephemeral models inlined into it.
//!
//! What a render happens to call differs between the first and later runs of an incremental model, so reachability is judged
//! by the words in the code: a macro whose name is mentioned counts. That is sometimes too much and never too little, except
//! for names put together at run time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::definitions::{Definitions, MacroDefinition};
use crate::graph::Graph;
use crate::jinja::scan::is_word;
use crate::node::{Node, NodeId};

/// The digests of all nodes that are on no cycle. `inputs` are variables the parse pass read, with their values.
pub(crate) fn code_hashes(
    definitions: &Definitions,
    graph: &Graph,
    inputs: &BTreeMap<NodeId, BTreeMap<String, String>>,
) -> BTreeMap<NodeId, String> {
    let reach = Reach::new(definitions);
    let mut hashes: BTreeMap<NodeId, String> = BTreeMap::new();
    for id in graph.order() {
        let Some(node) = graph.nodes.get(&id) else { continue };
        let mut hash = reach.own_hash(node, inputs.get(&id));
        let inlined = node.depends_on.iter().filter(|parent| graph.nodes.get(*parent).is_some_and(Node::is_ephemeral));
        for parent in inlined.filter_map(|parent| hashes.get(parent)) {
            hash.update(parent.as_bytes());
        }
        hashes.insert(id, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect());
    }
    hashes
}

type Macros<'a> = Vec<&'a Arc<MacroDefinition>>;

struct Reach<'a> {
    definitions: &'a Definitions,
    /// Macros by name, and by what follows a dispatch prefix.
    by_name: HashMap<&'a str, Macros<'a>>,
    /// What each macro mentions, by its id: most nodes reach the same few.
    mentions: HashMap<&'a str, Macros<'a>>,
}

impl<'a> Reach<'a> {
    fn new(definitions: &'a Definitions) -> Self {
        let mut by_name: HashMap<&str, Macros<'_>> = HashMap::new();
        for definition in definitions.macros.iter() {
            by_name.entry(&definition.name).or_default().push(definition);
            if let Some((_, dispatched)) = definition.name.split_once("__") {
                by_name.entry(dispatched).or_default().push(definition);
            }
        }
        let mut reach = Self { definitions, by_name, mentions: HashMap::new() };
        reach.mentions = definitions
            .macros
            .iter()
            .map(|definition| (definition.unique_id.as_str(), reach.mentioned(&definition.text)))
            .collect();
        reach
    }

    fn own_hash(&self, node: &Node, inputs: Option<&BTreeMap<String, String>>) -> Sha256 {
        let mut hash = Sha256::new();
        hash.update(node.raw_code.as_bytes());
        hash.update(node.checksum.as_bytes());
        hash.update(serde_json::Value::Object(node.config.values.clone()).to_string().as_bytes());
        let mut inputs = inputs.cloned().unwrap_or_default();
        self.add_inputs(&node.package, &node.raw_code, &mut inputs);
        for definition in self.macros(&node.raw_code).values() {
            hash.update(format!("\u{0}{}\u{0}{}", definition.unique_id, definition.text).as_bytes());
            self.add_inputs(&node.package, &definition.text, &mut inputs);
        }
        for (name, value) in &inputs {
            hash.update(format!("\u{0}{name}={value}").as_bytes());
        }
        hash
    }

    fn macros(&self, code: &str) -> BTreeMap<&'a str, &'a Arc<MacroDefinition>> {
        let mut reached: BTreeMap<&str, &Arc<MacroDefinition>> = BTreeMap::new();
        let mut waiting = self.mentioned(code);
        while let Some(definition) = waiting.pop() {
            if reached.insert(&definition.unique_id, definition).is_none() {
                waiting.extend(self.mentions.get(definition.unique_id.as_str()).into_iter().flatten());
            }
        }
        reached
    }

    fn mentioned(&self, code: &str) -> Macros<'a> {
        let words: BTreeSet<&str> = words(code).collect();
        words.into_iter().filter_map(|word| self.by_name.get(word)).flatten().copied().collect()
    }

    /// The values of variables read by a literal name.
    fn add_inputs(&self, package: &str, code: &str, inputs: &mut BTreeMap<String, String>) {
        for (at, _) in code.match_indices("var(") {
            let from_environment = code.get(..at).is_some_and(|before| before.ends_with("env_"));
            let Some(name) = code.get(at + 4..).and_then(quoted) else { continue };
            let (kind, value) = if from_environment {
                ("env", self.definitions.env.get(name).cloned())
            } else {
                ("var", self.definitions.variable(package, name).map(ToString::to_string))
            };
            if let Some(value) = value {
                inputs.insert(format!("{kind} {name}"), value);
            }
        }
    }
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|character: char| !u8::try_from(character).is_ok_and(is_word)).filter(|word| !word.is_empty())
}

/// The text of the string literal at the start.
fn quoted(text: &str) -> Option<&str> {
    let text = text.trim_start();
    let quote = text.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    text.get(1..)?.split(quote).next()
}
