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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_byte_is_found_where_it_is_first(text in prop::collection::vec(prop_oneof![8 => any::<u8>(), 1 => Just(b','), 40 => b'+'..=b'-'], 0..90)) {
            prop_assert_eq!(find(b',', &text), text.iter().position(|byte| *byte == b','));
        }
    }
}
