//! Avro's binary encoding, read without trust.

use crate::codec::column::Refusal;
use crate::codec::unread::Unread;

/// Most items of a block that take no bytes at all, such as nulls.
const MOST_EMPTY_ITEMS: u64 = 1 << 16;

pub(super) struct Bytes<'a>(Unread<'a>);

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Unread::new(bytes))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Refusal> {
        self.0.take(length as u64)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, Refusal> {
        match self.0.array::<1>()? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(format!("{other} is no boolean")),
        }
    }

    pub(super) fn long(&mut self) -> Result<i64, Refusal> {
        self.0.signed_varint()
    }

    pub(super) fn float(&mut self) -> Result<f32, Refusal> {
        self.0.array().map(f32::from_le_bytes)
    }

    pub(super) fn double(&mut self) -> Result<f64, Refusal> {
        self.0.array().map(f64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.long()?;
        self.0.take(u64::try_from(length).map_err(|_| format!("a length of {length}"))?)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Refusal> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "text is not UTF-8".to_owned())
    }

    /// The number of items in the next block of an array or map; nothing at its end. What the block claims is held against
    /// the bytes there are, so that a few bytes cannot claim a thousand million items.
    pub(super) fn block(&mut self) -> Result<Option<u64>, Refusal> {
        let count = self.long()?;
        if count < 0 {
            self.long()?;
        }
        let items = count.unsigned_abs();
        if items > (self.0.len() as u64).max(MOST_EMPTY_ITEMS) {
            return Err(format!("a block claims {items} items and the record has {} bytes left", self.0.len()));
        }
        Ok((items > 0).then_some(items))
    }
}

/// A number of two's complement, the greatest byte first.
pub(super) fn signed(bytes: &[u8]) -> Result<i128, Refusal> {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let filler = if negative { 0xFF } else { 0 };
    let (surplus, kept) = bytes.split_at(bytes.len().saturating_sub(16));
    if surplus.iter().any(|byte| *byte != filler) {
        return Err("a decimal has more than 38 digits".to_owned());
    }
    let mut all = [filler; 16];
    for (to, from) in all.iter_mut().rev().zip(kept.iter().rev()) {
        *to = *from;
    }
    Ok(i128::from_be_bytes(all))
}
