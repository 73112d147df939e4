//! PostgreSQL's text of an array as a JSON list.

/// Writes an element, nothing for NULL.
type WriteElement<'a> = dyn FnMut(Option<&str>, &mut Vec<u8>) -> Option<()> + 'a;

/// Appends `{a,"b c",NULL}` as a list whose elements `element` writes; lists in lists stay that. Nothing for what is no array.
pub(super) fn write(text: &str, out: &mut Vec<u8>, element: &mut WriteElement<'_>) -> Option<()> {
    // Bounds other than from one come first: `[2:3]={a,b}`.
    let mut rest = match text.strip_prefix('[') {
        Some(bounds) => bounds.split_once('=')?.1,
        None => text,
    };
    let (mut depth, mut is_first) = (0_usize, true);
    loop {
        let next = rest.chars().next()?;
        if !is_first && !matches!(next, ',' | '}') {
            out.push(b',');
        }
        match next {
            '{' => {
                out.push(b'[');
                (depth, is_first) = (depth + 1, true);
                rest = rest.get(1..)?;
                continue;
            }
            '}' => {
                out.push(b']');
                depth = depth.checked_sub(1)?;
                rest = rest.get(1..)?;
                if depth == 0 {
                    return rest.is_empty().then_some(());
                }
            }
            ',' => rest = rest.get(1..)?,
            '"' => {
                let (value, after) = quoted(rest.get(1..)?)?;
                element(Some(&value), out)?;
                rest = after;
            }
            _ => {
                let (value, after) = rest.split_at_checked(rest.find([',', '}'])?)?;
                element((value != "NULL").then_some(value), out)?;
                rest = after;
            }
        }
        if depth == 0 {
            return None;
        }
        is_first = false;
    }
}

/// A value up to its closing quote, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    loop {
        match letters.next()? {
            (_, '\\') => value.push(letters.next()?.1),
            (at, '"') => return Some((value, text.get(at + 1..)?)),
            (_, letter) => value.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Option<String> {
        let mut out = Vec::new();
        let mut element = |value: Option<&str>, out: &mut Vec<u8>| serde_json::to_writer(out, &value).ok();
        write(text, &mut out, &mut element)?;
        String::from_utf8(out).ok()
    }

    #[test]
    fn arrays_become_lists() {
        let cases = [
            ("{}", Some("[]")),
            ("{a}", Some(r#"["a"]"#)),
            (r#"{1,NULL,"NULL",""}"#, Some(r#"["1",null,"NULL",""]"#)),
            (r#"{"a, b","\"q\\",ü}"#, Some(r#"["a, b","\"q\\","ü"]"#)),
            ("{{1,2},{3,4}}", Some(r#"[["1","2"],["3","4"]]"#)),
            ("[2:3]={x,y}", Some(r#"["x","y"]"#)),
            ("", None),
            ("a", None),
            ("{a", None),
            ("{a}b", None),
            (r#"{"a}"#, None),
        ];
        for (text, expected) in cases {
            assert_eq!(json(text).as_deref(), expected, "{text}");
        }
    }
}
