//! From the parser's events to a [`Tree`].

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

use super::{Entry, Node, Tree, scalar};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::span::{FileId, Span};

/// Deepest nesting that is read.
pub const MAX_DEPTH: usize = 64;
/// Most values one file may hold once its aliases are expanded.
pub const MAX_NODES: usize = 1_000_000;

pub(super) fn parse(file: FileId, text: &str, is_dbt: bool) -> (Tree, Diagnostics) {
    let offsets = Offsets::new(text);
    let mut reader = Reader {
        parser: Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text)),
        file,
        is_dbt,
        offsets,
        anchors: HashMap::new(),
        nodes: 0,
        diagnostics: Diagnostics::default(),
    };
    let tree = reader.document().unwrap_or_else(|stop| {
        reader.diagnostics.push(*stop);
        reader.empty()
    });
    (tree, reader.diagnostics)
}

/// The parser counts characters; spans count bytes.
struct Offsets {
    /// Byte offset of every character, only where the text is not plain ASCII.
    by_character: Option<Vec<u32>>,
    bom: u32,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let bom = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let by_character = (!body.is_ascii())
            .then(|| body.char_indices().map(|(at, _)| to_u32(at)).chain([to_u32(body.len())]).collect());
        Self { by_character, bom }
    }

    fn byte(&self, character: usize) -> u32 {
        self.bom
            + match &self.by_character {
                Some(offsets) => offsets.get(character).or(offsets.last()).copied().unwrap_or(0),
                None => to_u32(character),
            }
    }
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

type Step<T> = Result<T, Box<Diagnostic>>;

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    file: FileId,
    /// Whether the file is read as dbt reads it.
    is_dbt: bool,
    offsets: Offsets,
    anchors: HashMap<usize, Tree>,
    nodes: usize,
    diagnostics: Diagnostics,
}

impl<'a> Reader<'a> {
    fn empty(&self) -> Tree {
        Tree { node: Node::Mapping(Vec::new()), span: Span { file: self.file, start: 0, end: 0 }, plain: false }
    }

    fn next(&mut self) -> Step<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = Span {
                    file: self.file,
                    start: self.offsets.byte(span.start.index()),
                    end: self.offsets.byte(span.end.index()),
                };
                Ok((event, span))
            }
            Some(Err(error)) => Err(Box::new(self.syntax_error(&error))),
            None => Ok((Event::StreamEnd, self.empty().span)),
        }
    }

    fn syntax_error(&self, error: &ScanError) -> Diagnostic {
        let start = self.offsets.byte(error.marker().index());
        Diagnostic::error("the file is not valid YAML")
            .detail(capitalised(error.info()))
            .hint("Check indentation and quotes at this place; text with ': ' or ' #' in it needs quotes.")
            .at(Span { file: self.file, start, end: start })
    }

    fn document(&mut self) -> Step<Tree> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(self.empty()),
                other => {
                    let tree = self.value(other, span, 0)?;
                    self.refuse_second_document()?;
                    return Ok(if tree.node == Node::Null { self.empty() } else { tree });
                }
            }
        }
    }

    fn refuse_second_document(&mut self) -> Step<()> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::DocumentStart(_) => {
                    self.diagnostics.push(
                        Diagnostic::error("a second YAML document starts here")
                            .hint("Put each document in a file of its own.")
                            .at(span),
                    );
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    fn value(&mut self, event: Event<'a>, span: Span, depth: usize) -> Step<Tree> {
        if depth > MAX_DEPTH {
            return Err(Box::new(Diagnostic::error(format!("values are nested more than {MAX_DEPTH} deep")).at(span)));
        }
        self.count(1, span)?;
        let (tree, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let node = match plain {
                    true if self.is_dbt => scalar::resolve_for_dbt(&text),
                    true => scalar::resolve_plain(&text),
                    false => Node::String(text.into_owned()),
                };
                (Tree { node, span, plain }, anchor)
            }
            Event::SequenceStart(anchor, _) => (self.sequence(span, depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(span, depth)?, anchor),
            Event::Alias(anchor) => return self.alias(anchor, span),
            _ => (Tree { node: Node::Null, span, plain: true }, 0),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        Ok(tree)
    }

    fn count(&mut self, nodes: usize, span: Span) -> Step<()> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Box::new(
                Diagnostic::error(format!("the file holds more than {MAX_NODES} values once aliases are expanded"))
                    .at(span),
            ));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Step<Tree> {
        let Some(target) = self.anchors.get(&anchor).cloned() else {
            return Err(Box::new(
                Diagnostic::error("an alias refers to a value that is not finished yet")
                    .detail("A value cannot contain itself.")
                    .at(span),
            ));
        };
        self.count(weight(&target), span)?;
        Ok(target)
    }

    fn sequence(&mut self, start: Span, depth: usize) -> Step<Tree> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                let span = Span { end: span.end, ..start };
                return Ok(Tree { node: Node::Sequence(items), span, plain: false });
            }
            items.push(self.value(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, start: Span, depth: usize) -> Step<Tree> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        loop {
            let (event, key_span) = self.next()?;
            if event == Event::MappingEnd {
                for entry in merged {
                    if !entries.iter().any(|own| own.key == entry.key) {
                        entries.push(entry);
                    }
                }
                let span = Span { end: key_span.end, ..start };
                return Ok(Tree { node: Node::Mapping(entries), span, plain: false });
            }
            let key = self.key(event, key_span, depth)?;
            let (event, span) = self.next()?;
            let value = self.value(event, span, depth + 1)?;
            if key == "<<" {
                merge_into(&mut merged, &value);
            } else if let Some(known) = entries.iter_mut().find(|entry| entry.key == key && self.is_dbt) {
                self.diagnostics.push(
                    Diagnostic::warning(format!("key `{key}` appears twice"))
                        .event("DuplicateYAMLKeysDeprecation")
                        .detail("The later one holds.")
                        .hint("Remove or rename one of them.")
                        .at(key_span),
                );
                *known = Entry { key, key_span, value };
            } else if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                let first = first.key_span.start;
                self.diagnostics.push(
                    Diagnostic::error(format!("key `{key}` appears twice"))
                        .detail(format!("It stands first at byte {first} of this file; only one of the two can hold."))
                        .hint("Remove or rename one of them.")
                        .at(key_span),
                );
            } else {
                entries.push(Entry { key, key_span, value });
            }
        }
    }

    fn key(&mut self, event: Event<'a>, span: Span, depth: usize) -> Step<String> {
        match event {
            Event::Scalar(text, ..) => Ok(text.into_owned()),
            other => {
                self.value(other, span, depth + 1)?;
                self.diagnostics.push(Diagnostic::error("a key must be text").at(span));
                Ok(String::new())
            }
        }
    }
}

fn merge_into(merged: &mut Vec<Entry>, value: &Tree) {
    for entry in value.entries().iter().chain(value.items().iter().flat_map(Tree::entries)) {
        if !merged.iter().any(|own| own.key == entry.key) {
            merged.push(entry.clone());
        }
    }
}

fn weight(tree: &Tree) -> usize {
    1 + tree.items().iter().map(weight).sum::<usize>()
        + tree.entries().iter().map(|entry| weight(&entry.value)).sum::<usize>()
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + characters.as_str() + if text.ends_with('.') { "" } else { "." }
    })
}
