//! The tokens of a dialect, mended where its grammar does not read what the warehouse reads.
//!
//! Text comes from the tokenizer as it was written, with its escapes: they are another in every dialect.

use datafusion::sql::sqlparser::dialect::Dialect as Grammar;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer, TokenizerError, Word};

use super::Dialect;

/// Tokens of a text. Those that mean nothing are left out.
pub(super) fn read(dialect: Dialect, grammar: &dyn Grammar, sql: &str) -> Result<Vec<TokenWithSpan>, TokenizerError> {
    let read = Tokenizer::new(grammar, sql).with_unescape(false).tokenize_with_location()?;
    let mut tokens: Vec<TokenWithSpan> = Vec::with_capacity(read.len());
    let mut breaks_line = false;
    for token in read {
        if let Token::Whitespace(space) = &token.token {
            breaks_line |= space.to_string().contains('\n');
            continue;
        }
        push(dialect, &mut tokens, hexadecimal(token), breaks_line);
        breaks_line = false;
    }
    for token in &mut tokens {
        settle(dialect, grammar, &mut token.token);
    }
    match dialect {
        Dialect::DuckDb => duckdb(&mut tokens),
        Dialect::Redshift => redshift(&mut tokens),
        Dialect::Spark => spark(&mut tokens),
        _ => {}
    }
    Ok(tokens)
}

/// `0xFF` is a number, and no bytes as `X'FF'` is.
fn hexadecimal(mut token: TokenWithSpan) -> TokenWithSpan {
    let width = token.span.end.column.saturating_sub(token.span.start.column);
    if let Token::HexStringLiteral(digits) = &token.token
        && width == digits.len() as u64 + 2
        && let Ok(number) = u64::from_str_radix(digits, 16)
    {
        token.token = Token::Number(number.to_string(), false);
    }
    token
}

/// Appends a token, or makes it one with the token before it.
fn push(dialect: Dialect, tokens: &mut Vec<TokenWithSpan>, token: TokenWithSpan, breaks_line: bool) {
    let Some(last) = tokens.last_mut() else { return tokens.push(token) };
    let touches = last.span.end == token.span.start;
    let joined = match (&last.token, &token.token) {
        (Token::Word(prefix), Token::SingleQuotedString(text) | Token::DoubleQuotedString(text))
            if touches && prefix.quote_style.is_none() =>
        {
            prefixed(dialect, &prefix.value, text)
        }
        (Token::SingleQuotedString(one), Token::SingleQuotedString(other) | Token::DoubleQuotedString(other))
            if joins_texts(dialect, breaks_line) =>
        {
            Some(Token::SingleQuotedString(format!("{one}{other}")))
        }
        (Token::Number(digits, false), Token::Word(ending)) if touches && ending.quote_style.is_none() => {
            number(dialect, digits, &ending.value)
        }
        (Token::Mul, Token::Mul) if touches && dialect == Dialect::DuckDb => Some(Token::Caret),
        _ => None,
    };
    match joined {
        Some(joined) => {
            last.token = joined;
            last.span = Span::new(last.span.start, token.span.end);
        }
        None => tokens.push(token),
    }
}

/// Text with a letter before it, where the grammar does not know the letter.
fn prefixed(dialect: Dialect, prefix: &str, text: &str) -> Option<Token> {
    match (dialect, prefix) {
        (Dialect::DuckDb, "e" | "E") => Some(Token::SingleQuotedRawStringLiteral(unescaped(text, '\'', Some(dialect)))),
        (Dialect::Spark, "r" | "R") => Some(Token::SingleQuotedRawStringLiteral(text.to_owned())),
        _ => None,
    }
}

/// Whether texts that follow each other are one.
fn joins_texts(dialect: Dialect, breaks_line: bool) -> bool {
    dialect == Dialect::Spark
        || (breaks_line && matches!(dialect, Dialect::Postgres | Dialect::Redshift | Dialect::DuckDb))
}

/// A number with what touches it: digits in groups, or Spark's letters for types, kept behind the digits for [`spark`].
fn number(dialect: Dialect, digits: &str, ending: &str) -> Option<Token> {
    let is_group = |group: &str| group.chars().all(|digit| digit.is_ascii_digit() || digit == '_');
    match dialect {
        Dialect::DuckDb if ending.starts_with('_') && is_group(ending) => {
            Some(Token::Number(format!("{digits}{}", ending.replace('_', "")), false))
        }
        Dialect::Spark if typed_by(ending).is_some() => Some(Token::Number(format!("{digits}{ending}"), false)),
        _ => None,
    }
}

/// The function that makes the type Spark's letters after a number stand for.
fn typed_by(letters: &str) -> Option<&'static str> {
    Some(match letters.to_uppercase().as_str() {
        "D" => "double",
        "F" => "float",
        "L" | "S" | "Y" => "bigint",
        "BD" => "",
        _ => return None,
    })
}

/// What a token stands for by itself: text without its escapes, numbers in digits of ten.
fn settle(dialect: Dialect, grammar: &dyn Grammar, token: &mut Token) {
    let escapes = grammar.supports_string_literal_backslash_escape().then_some(dialect);
    match token {
        Token::SingleQuotedString(text) | Token::NationalStringLiteral(text) => *text = unescaped(text, '\'', escapes),
        Token::DoubleQuotedString(text) => *text = unescaped(text, '"', escapes),
        Token::TripleSingleQuotedString(text) | Token::TripleDoubleQuotedString(text) => {
            *text = unescaped(text, '\0', escapes);
        }
        Token::Word(word) => name(dialect, word),
        _ => {}
    }
}

/// A name as the engine has it. Quoted names that mean what they mean without quotes are in lower case: Snowflake's unquoted names
/// are in upper case, ours in lower case.
fn name(dialect: Dialect, word: &mut Word) {
    let Some(quote) = word.quote_style else { return };
    word.value = unescaped(&word.value, quote, None);
    let is_plain = |character: char| character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_';
    if dialect == Dialect::Snowflake && word.value.chars().all(is_plain) {
        word.value = word.value.to_lowercase();
        word.keyword = Keyword::NoKeyword;
    }
}

/// Text without the escapes of its dialect; without a dialect only its quotes are doubled.
fn unescaped(text: &str, quote: char, dialect: Option<Dialect>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == quote {
            characters.next_if_eq(&quote);
            out.push(quote);
            continue;
        }
        let (Some(dialect), '\\') = (dialect, character) else {
            out.push(character);
            continue;
        };
        let Some(letter) = characters.next() else {
            out.push('\\');
            continue;
        };
        escape(dialect, letter, &mut characters, &mut out);
    }
    out
}

/// What a backslash and a letter stand for.
fn escape(dialect: Dialect, letter: char, rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut coded = |digits: usize, base: u32, first: Option<char>| {
        let mut ahead = rest.clone();
        let code: String = first.into_iter().chain(ahead.by_ref().take(digits)).collect();
        let is_whole = code.len() == digits + usize::from(first.is_some());
        let known = u32::from_str_radix(&code, base).ok().filter(|_| is_whole).and_then(char::from_u32);
        if known.is_some() {
            *rest = ahead;
        }
        known
    };
    let found = match letter {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        'b' => Some('\u{8}'),
        'f' if dialect != Dialect::Spark => Some('\u{c}'),
        'a' if dialect == Dialect::BigQuery => Some('\u{7}'),
        'v' if dialect == Dialect::BigQuery => Some('\u{b}'),
        'Z' if dialect == Dialect::Spark => Some('\u{1a}'),
        'u' => coded(4, 16, None),
        'U' if dialect != Dialect::Snowflake => coded(8, 16, None),
        'x' | 'X' if dialect != Dialect::Spark => coded(2, 16, None),
        '0'..='3' => coded(2, 8, Some(letter)).or((letter == '0').then_some('\0')),
        // Patterns of LIKE keep what they escape.
        '%' | '_' if matches!(dialect, Dialect::Spark | Dialect::Snowflake) => {
            out.push('\\');
            None
        }
        _ => None,
    };
    out.push(found.unwrap_or(letter));
}

fn is_word(token: &TokenWithSpan, wanted: &str) -> bool {
    matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}

fn word(text: &str, span: Span) -> TokenWithSpan {
    TokenWithSpan::new(Token::make_keyword(text), span)
}

/// Whether a token at a place is a word.
fn word_at(tokens: &[TokenWithSpan], at: usize, wanted: &str) -> bool {
    tokens.get(at).is_some_and(|token| is_word(token, wanted))
}

fn token_at(tokens: &[TokenWithSpan], at: usize, wanted: &Token) -> bool {
    tokens.get(at).is_some_and(|token| token.token == *wanted)
}

/// `filter (condition)` has WHERE in it, `f(x ignore nulls)` its words behind, `x in [1, 2]` round brackets.
fn duckdb(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at < tokens.len() {
        let span = tokens.get(at).map_or_else(Span::empty, |token| token.span);
        if word_at(tokens, at, "filter") && token_at(tokens, at + 1, &Token::LParen) {
            let follows_call = at > 0 && token_at(tokens, at - 1, &Token::RParen);
            if follows_call && !word_at(tokens, at + 2, "where") {
                tokens.insert(at + 2, word("WHERE", span));
            }
        } else if (word_at(tokens, at, "ignore") || word_at(tokens, at, "respect"))
            && word_at(tokens, at + 1, "nulls")
            && token_at(tokens, at + 2, &Token::RParen)
        {
            if let Some(piece) = tokens.get_mut(at..at + 3) {
                piece.rotate_right(1);
            }
            at += 2;
        } else if word_at(tokens, at, "in") && token_at(tokens, at + 1, &Token::LBracket) {
            round(tokens, at + 1);
        }
        at += 1;
    }
}

/// Makes the square brackets that open at a place round.
fn round(tokens: &mut [TokenWithSpan], opens: usize) {
    let mut depth = 0_usize;
    for token in tokens.iter_mut().skip(opens) {
        match token.token {
            Token::LBracket => {
                if depth == 0 {
                    token.token = Token::LParen;
                }
                depth += 1;
            }
            Token::RBracket => {
                depth -= 1;
                if depth == 0 {
                    token.token = Token::RParen;
                    return;
                }
            }
            _ => {}
        }
    }
}

/// `APPROXIMATE COUNT(...)` is counted exactly.
fn redshift(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at < tokens.len() {
        if word_at(tokens, at, "approximate") && word_at(tokens, at + 1, "count") {
            tokens.remove(at);
        }
        at += 1;
    }
}

/// Numbers with letters become casts, and a window is spread and sorted in the words of all dialects.
fn spark(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at < tokens.len() {
        let span = tokens.get(at).map_or_else(Span::empty, |token| token.span);
        if let Some(Token::Number(given, _)) = tokens.get(at).map(|token| &token.token)
            && let Some((digits, ending)) = lettered(given)
            && let Some(function) = typed_by(ending)
        {
            let number = TokenWithSpan::new(Token::Number(digits.to_owned(), false), span);
            let pieces = if function.is_empty() {
                vec![number]
            } else {
                let name = TokenWithSpan::new(Token::make_word(function, None), span);
                let (open, close) = (TokenWithSpan::new(Token::LParen, span), TokenWithSpan::new(Token::RParen, span));
                vec![name, open, number, close]
            };
            let length = pieces.len();
            tokens.splice(at..=at, pieces);
            at += length;
            continue;
        }
        if word_at(tokens, at, "over") && token_at(tokens, at + 1, &Token::LParen) {
            window(tokens, at + 2);
        }
        at += 1;
    }
}

/// Digits and the letters of a type behind them.
fn lettered(number: &str) -> Option<(&str, &str)> {
    let digits = number.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let ending = number.get(digits.len()..).filter(|ending| !ending.is_empty())?;
    Some((digits, ending))
}

fn window(tokens: &mut [TokenWithSpan], begins: usize) {
    let mut depth = 1_usize;
    let mut at = begins;
    while let Some(token) = tokens.get(at).filter(|_| depth > 0) {
        match &token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Word(_) if depth == 1 && word_at(tokens, at + 1, "by") => {
                let meant = if is_word(token, "distribute") || is_word(token, "cluster") {
                    Some("PARTITION")
                } else if is_word(token, "sort") {
                    Some("ORDER")
                } else {
                    None
                };
                if let (Some(meant), Some(token)) = (meant, tokens.get_mut(at)) {
                    *token = word(meant, token.span);
                }
            }
            _ => {}
        }
        at += 1;
    }
}
