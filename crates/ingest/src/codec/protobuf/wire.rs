//! Protobuf's binary encoding, read without trust.

use crate::codec::column::Refusal;
use crate::codec::unread::Unread;

/// Deepest nesting of groups that are passed over.
const MAX_GROUPS: usize = 64;

/// A value as it is on the wire. Strings, bytes, messages, packed numbers and groups are all bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Raw<'a> {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

impl Raw<'_> {
    /// What it is called where it is not what a field holds.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Varint(_) => "a varint",
            Self::Fixed32(_) => "four bytes",
            Self::Fixed64(_) => "eight bytes",
            Self::Bytes(_) => "bytes after their length",
        }
    }
}

/// The fields of a message, one after the other.
pub(super) struct Wire<'a>(Unread<'a>);

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Unread::new(bytes))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Number and value of the next field; nothing at the end of the message.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Raw<'a>)>, Refusal> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let (number, kind) = self.tag()?;
        let value = match kind {
            3 => Raw::Bytes(self.group(number)?),
            4 => return Err(format!("a group {number} ends that did not begin")),
            kind => self.value(kind)?,
        };
        Ok(Some((number, value)))
    }

    fn tag(&mut self) -> Result<(u32, u8), Refusal> {
        let tag = self.varint()?;
        match u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number)) {
            Some(number) => Ok((number, (tag & 7) as u8)),
            None => Err(format!("{} is no number of a field", tag >> 3)),
        }
    }

    fn value(&mut self, kind: u8) -> Result<Raw<'a>, Refusal> {
        Ok(match kind {
            0 => Raw::Varint(self.varint()?),
            1 => Raw::Fixed64(self.fixed64()?),
            2 => Raw::Bytes(self.bytes()?),
            5 => Raw::Fixed32(self.fixed32()?),
            other => return Err(format!("{other} is no type of the wire")),
        })
    }

    /// What is between the beginning of a group and its end.
    fn group(&mut self, number: u32) -> Result<&'a [u8], Refusal> {
        let whole = self.rest();
        let mut open = vec![number];
        loop {
            let before = self.0.len();
            let (number, kind) = self.tag()?;
            match kind {
                3 if open.len() >= MAX_GROUPS => return Err(format!("groups nested deeper than {MAX_GROUPS} levels")),
                3 => open.push(number),
                4 if open.pop() != Some(number) => return Err(format!("a group {number} ends that did not begin")),
                4 if open.is_empty() => return Ok(whole.get(..whole.len() - before).unwrap_or_default()),
                4 => {}
                kind => {
                    self.value(kind)?;
                }
            }
        }
    }

    pub(super) fn varint(&mut self) -> Result<u64, Refusal> {
        self.0.varint()
    }

    pub(super) fn signed_varint(&mut self) -> Result<i64, Refusal> {
        self.0.signed_varint()
    }

    pub(super) fn fixed32(&mut self) -> Result<u32, Refusal> {
        self.0.array().map(u32::from_le_bytes)
    }

    pub(super) fn fixed64(&mut self) -> Result<u64, Refusal> {
        self.0.array().map(u64::from_le_bytes)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Refusal> {
        let length = self.varint()?;
        self.0.take(length)
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0.rest()
    }
}

/// The last value of one field of a small message, passing over all others.
pub(super) fn last_of(bytes: &[u8], wanted: u32) -> Result<Option<Raw<'_>>, Refusal> {
    let (mut wire, mut found) = (Wire::new(bytes), None);
    while let Some((number, value)) = wire.field()? {
        if number == wanted {
            found = Some(value);
        }
    }
    Ok(found)
}
