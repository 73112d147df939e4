//! Which values of a column under construction are there.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::NullBuffer;

/// Nothing but a count until the first value is missing: most columns miss none.
#[derive(Debug, Default)]
pub(super) struct Validity {
    len: usize,
    bits: Option<BooleanBufferBuilder>,
}

impl Validity {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn append(&mut self, present: bool) {
        if let Some(bits) = &mut self.bits {
            bits.append(present);
        } else if !present {
            let mut bits = BooleanBufferBuilder::new(2 * self.len + 1);
            bits.append_n(self.len, true);
            bits.append(false);
            self.bits = Some(bits);
        }
        self.len += 1;
    }

    /// So many values that are there.
    pub(super) fn append_present(&mut self, count: usize) {
        if let Some(bits) = &mut self.bits {
            bits.append_n(count, true);
        }
        self.len += count;
    }

    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        if let Some(bits) = &mut self.bits {
            bits.truncate(self.len);
        }
    }

    /// The nulls, if there are any; nothing is left behind.
    pub(super) fn finish(&mut self) -> Option<NullBuffer> {
        self.len = 0;
        let nulls = NullBuffer::new(self.bits.take()?.finish());
        Some(nulls).filter(|nulls| nulls.null_count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(present: &[bool], truncated: usize, more: &[bool], nulls: Option<&[bool]>) {
        let mut validity = Validity::default();
        present.iter().for_each(|one| validity.append(*one));
        validity.truncate(truncated);
        more.iter().for_each(|one| validity.append(*one));
        assert_eq!(validity.len(), truncated + more.len());
        let found = validity.finish().map(|nulls| nulls.iter().collect::<Vec<_>>());
        assert_eq!(found.as_deref(), nulls, "{present:?} cut to {truncated}, then {more:?}");
        assert_eq!(validity.len(), 0);
    }

    #[test]
    fn only_a_missing_value_makes_nulls_and_truncated_ones_are_forgotten() {
        check(&[true, true], 2, &[], None);
        check(&[true, false, true], 3, &[], Some(&[true, false, true]));
        check(&[true, false], 1, &[true], None);
        check(&[true, true, true], 2, &[false, true], Some(&[true, true, false, true]));
        check(&[false, false, true], 1, &[true, false], Some(&[false, true, false]));
    }
}
