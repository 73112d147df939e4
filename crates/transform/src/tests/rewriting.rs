//! The way from a template's offsets back to the file, whatever the rewriting inserted.

use headwater_project::FileId;
use proptest::prelude::*;

use crate::jinja::scan::blocks;
use crate::jinja::source::TemplateSource;

#[test]
fn literals_are_wrapped_and_indexes_are_not() {
    for (input, expected) in [
        ("{{ [1] }}", "{{ __list([1]) }}"),
        ("{{ x[1] }}", "{{ x[1] }}"),
        ("{{ f()[1][2] }}", "{{ f()[1][2] }}"),
        ("{{ {'a': [x[0]]} }}", "{{ __dict({'a': __list([x[0]])}) }}"),
        ("{% if x in ['a'] %}", "{% if x in __list(['a']) %}"),
        ("{{ '[1]' }} [2]", "{{ '[1]' }} [2]"),
        ("{# [1] #}{% raw %}{{ [1] }}{% endraw %}", "{# [1] #}{% raw %}{{ [1] }}{% endraw %}"),
        ("{{ [1][0] }}", "{{ __list([1])[0] }}"),
        ("{{ unclosed [", "{{ unclosed ["),
    ] {
        assert_eq!(TemplateSource::of_file(FileId(0), input).text, expected, "{input}");
    }
}

#[test]
fn a_block_ends_with_its_own_end() {
    let text = "{% macro a(x) %}{% macro inner() %}{% endmacro %}{% endmacro %}{%- test b(model) -%}t{%- endtest -%}{% macro c() %}";
    let (found, unclosed) = blocks(text, &["macro", "test"]);
    let names: Vec<(&str, &str)> = found.iter().map(|block| (block.keyword.as_str(), block.name.as_str())).collect();
    assert_eq!(names, [("macro", "a"), ("test", "b")]);
    assert_eq!(unclosed.iter().map(|open| open.name.as_str()).collect::<Vec<_>>(), ["c"]);
}

proptest! {
    #[test]
    fn every_copied_character_maps_back_to_itself(text in "([a-z \n'\"]|\\{\\{|\\}\\}|\\{%|%\\}|\\[|\\]|\\{|\\}|é|\\(|\\))*") {
        let source = TemplateSource::of_file(FileId(0), &text);
        let unwrapped = source.text.replace("__list(", "").replace("__dict(", "");
        prop_assert!(unwrapped.len() >= text.len());
        for (at, character) in text.char_indices() {
            let copies = source.text.char_indices().filter(|&(offset, copy)| copy == character && source.file_offset(offset) == at);
            prop_assert!(copies.count() >= 1, "{character:?} at {at} is lost in {:?}", source.text);
        }
    }
}
