//! Numbers as text and back, by patterns such as `FM9,999.00`.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, StringBuilder};
use arrow::datatypes::{DataType, Decimal128Type};
use datafusion::common::{Result, exec_datafusion_err, plan_err};

use super::arguments::{Arguments, converted, converted_or_null, text_at};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // (number, pattern)
    Function { name: "number_text", arity: (2, 2), returns: returns::text, body: written },
    // (text, pattern): a number with as many places as the type of the third argument.
    Function { name: "number_of_text", arity: (3, 3), returns: third, body: |given| read(given, true) },
    Function { name: "try_number_of_text", arity: (3, 3), returns: third, body: |given| read(given, false) },
];

fn third(types: &[DataType]) -> Result<DataType> {
    match types.get(2) {
        Some(decimal @ DataType::Decimal128(..)) => Ok(decimal.clone()),
        other => plan_err!("{other:?} is no decimal"),
    }
}

/// A pattern taken apart.
#[derive(Default)]
struct Pattern {
    /// Without blanks for what is not there.
    tight: bool,
    /// Before the first digit: `$` and its like.
    currency: bool,
    /// From the first to the last place before the point: whether it is always shown, and whether a comma is before it.
    whole: Vec<(bool, bool)>,
    fraction: Vec<bool>,
    has_point: bool,
    /// The sign stands behind the number.
    sign_last: bool,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self> {
        let unknown = || exec_datafusion_err!("the pattern `{text}` of a number is not understood");
        let upper = text.to_uppercase();
        let mut pattern = Self::default();
        let mut rest = upper.as_str();
        if let Some(after) = rest.strip_prefix("FM") {
            (pattern.tight, rest) = (true, after);
        }
        let mut comma = false;
        for letter in rest.chars() {
            match letter {
                '9' | '0' if pattern.has_point => pattern.fraction.push(letter == '0'),
                '9' | '0' => pattern.whole.push((letter == '0', std::mem::take(&mut comma))),
                ',' | 'G' if !pattern.has_point => comma = true,
                '.' | 'D' if !pattern.has_point => pattern.has_point = true,
                '$' | 'L' if pattern.whole.is_empty() => pattern.currency = true,
                'S' if !pattern.whole.is_empty() => pattern.sign_last = true,
                _ => return Err(unknown()),
            }
        }
        if pattern.whole.is_empty() && pattern.fraction.is_empty() { Err(unknown()) } else { Ok(pattern) }
    }

    /// A number given in units of its last place.
    fn write(&self, number: i128) -> String {
        let digits = format!("{:0>width$}", number.unsigned_abs(), width = self.fraction.len() + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.fraction.len());
        let whole = whole.trim_start_matches('0');
        let mut shown = String::new();
        let missing = self.whole.len().saturating_sub(whole.len());
        if whole.len() > self.whole.len() {
            // What does not fit is not shown in part.
            shown.push_str(&"#".repeat(self.whole.len()));
        } else {
            let mut has_begun = false;
            for (index, (always, comma)) in self.whole.iter().enumerate() {
                let digit = index.checked_sub(missing).and_then(|at| whole.get(at..=at));
                if *comma && has_begun {
                    shown.push(',');
                }
                has_begun |= digit.is_some() || *always;
                if has_begun {
                    shown.push_str(digit.unwrap_or("0"));
                }
            }
        }
        if self.has_point {
            let least = self.fraction.iter().rposition(|always| *always).map_or(0, |at| at + 1);
            let kept = if self.tight { fraction.trim_end_matches('0').len().max(least) } else { fraction.len() };
            shown.push('.');
            shown.push_str(fraction.get(..kept).unwrap_or(fraction));
        }
        self.dressed(&shown, number < 0)
    }

    /// With its sign, and with blanks in front unless it is tight.
    fn dressed(&self, digits: &str, is_negative: bool) -> String {
        let currency = if self.currency { "$" } else { "" };
        let sign = if is_negative { "-" } else { "" };
        if self.sign_last {
            return format!("{currency}{digits}{}", if is_negative { "-" } else { "+" });
        }
        let commas = self.whole.iter().filter(|(_, comma)| *comma).count();
        let width = self.whole.len() + commas + self.fraction.len() + usize::from(self.has_point) + 1 + currency.len();
        let shown = format!("{sign}{currency}{digits}");
        if self.tight { shown } else { format!("{shown:>width$}") }
    }
}

fn written(arguments: &Arguments) -> Result<ArrayRef> {
    let patterns = arguments.text(1)?;
    let pattern = text_at(&patterns, 0).map(Pattern::parse).transpose()?;
    let mut texts = StringBuilder::new();
    let Some(pattern) = pattern else {
        return Ok(arrow::array::new_null_array(&DataType::Utf8, arguments.rows));
    };
    let scale =
        i8::try_from(pattern.fraction.len()).map_err(|_| exec_datafusion_err!("a pattern of too many digits"))?;
    let numbers = converted(arguments.array(0)?, &DataType::Decimal128(38, scale))?;
    for number in numbers.as_primitive::<Decimal128Type>() {
        texts.append_option(number.map(|number| pattern.write(number)));
    }
    Ok(Arc::new(texts.finish()))
}

/// Digits, sign and point of a text that is written as its pattern says; commas and currency left out.
fn plain(text: &str) -> String {
    let digits: String = text.chars().filter(|letter| letter.is_ascii_digit() || *letter == '.').collect();
    let is_negative = text.trim().starts_with('-') || text.trim().ends_with('-');
    if is_negative { format!("-{digits}") } else { digits }
}

fn read(arguments: &Arguments, strict: bool) -> Result<ArrayRef> {
    let (texts, patterns) = (arguments.text(0)?, arguments.text(1)?);
    if let Some(pattern) = text_at(&patterns, 0) {
        Pattern::parse(pattern)?;
    }
    let is_number = |text: &str| {
        text.chars().any(|letter| letter.is_ascii_digit())
            && text.chars().all(|letter| letter.is_ascii_digit() || matches!(letter, ' ' | ',' | '.' | '-' | '+' | '$'))
    };
    let mut found = StringBuilder::new();
    for text in &texts {
        match text {
            Some(text) if is_number(text) => found.append_value(plain(text)),
            Some(text) if strict => return Err(exec_datafusion_err!("`{text}` is no number")),
            _ => found.append_null(),
        }
    }
    let found: ArrayRef = Arc::new(found.finish());
    let numbers =
        if strict { converted(&found, &arguments.returns)? } else { converted_or_null(&found, &arguments.returns)? };
    Ok(Arc::new(numbers.as_primitive::<Decimal128Type>().clone() as Decimal128Array))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: i128, pattern: &str, expected: &str) {
        assert_eq!(Pattern::parse(pattern).unwrap().write(number), expected, "{number} as {pattern}");
    }

    #[test]
    fn numbers_are_written_as_patterns_say() {
        check(123_456_789, "FM9,999,999.00", "1,234,567.89");
        check(-5, "FM000", "-005");
        check(50, "FM0.99", "0.5");
        check(12, "0000", " 0012");
        check(1485, "9,999", " 1,485");
        check(123_450, "FM$9,999.00", "$1,234.50");
        check(12_345, "99", " ##");
        assert!(Pattern::parse("YYYY").is_err());
    }
}
