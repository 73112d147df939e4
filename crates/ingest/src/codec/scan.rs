//! Where texts end. Names, codes and numbers are short: their bytes are looked at eight by eight before a search that takes many at
//! once begins, which costs more than they do.

/// Bytes that are looked at in this way.
pub(super) const SHORT: usize = 32;

/// A byte in each place of a word.
pub(super) const fn everywhere(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of the first byte that is less than another, if one of the eight is; what is set above it means nothing.
pub(super) const fn less(word: u64, than: u8) -> u64 {
    word.wrapping_sub(everywhere(than)) & !word & everywhere(0x80)
}

/// Bytes of a word before the one whose highest bit is the first that is set.
pub(super) const fn before(bits: u64) -> usize {
    bits.trailing_zeros() as usize / 8
}

/// The first place of a byte.
pub(super) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    let (short, long) = text.split_at(text.len().min(SHORT));
    let (words, last) = short.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = less(u64::from_le_bytes(*word) ^ everywhere(byte), 1);
        if found != 0 {
            return Some(index * 8 + before(found));
        }
    }
    let found = last.iter().position(|one| *one == byte).map(|place| words.len() * 8 + place);
    found.or_else(|| memchr::memchr(byte, long).map(|place| short.len() + place))
}

/// The first place of a byte from `at` on; `end` if there is none before it. What follows `end` may be looked at.
pub(super) fn find_from(byte: u8, text: &[u8], at: usize, end: usize) -> usize {
    let mut from = at;
    while from < end && from < at + SHORT {
        let Some(words) = text.get(from..).and_then(<[u8]>::first_chunk::<16>) else { break };
        // Two words at once: which of them it is in cannot be guessed, and a wrong guess costs more than the second word.
        let word = u128::from_le_bytes(*words) ^ u128::from_le_bytes([byte; 16]);
        let found = word.wrapping_sub(u128::from_le_bytes([1; 16])) & !word & u128::from_le_bytes([0x80; 16]);
        if found != 0 {
            return end.min(from + found.trailing_zeros() as usize / 8);
        }
        from += 16;
    }
    text.get(from..end).and_then(|rest| memchr::memchr(byte, rest)).map_or(end, |place| from + place)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_byte_is_found_where_it_is_first(text in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b','), 40 => b'+'..=b'-'], 0..90)) {
            let place = text.iter().position(|byte| *byte == b',');
            prop_assert_eq!(find(b',', &text), place);
            for at in 0..=text.len() {
                let end = (at + 17).min(text.len());
                let place = text[at..end].iter().position(|byte| *byte == b',');
                prop_assert_eq!(find_from(b',', &text, at, end), place.map_or(end, |place| at + place));
            }
        }
    }
}
