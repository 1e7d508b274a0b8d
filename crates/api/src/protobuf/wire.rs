//! Protobuf's wire format: tags, varints and lengths, read from bytes that anybody may have sent.

/// What is wrong with the bytes. The caller knows where.
pub(super) type Result<T> = std::result::Result<T, &'static str>;

const TRUNCATED: &str = "the data ends in the middle of a value";
const LENGTH: &str = "a length reaches beyond the data around it";
const OTHER_TYPE: &str = "the field has another type on the wire than in the message";

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// 64 bits, which only floats are.
    Fixed64([u8; 8]),
    /// 32 bits, which no message has.
    Fixed32,
}

impl<'a> Payload<'a> {
    pub(super) fn varint(self) -> Result<u64> {
        match self {
            Payload::Varint(value) => Ok(value),
            _ => Err(OTHER_TYPE),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8]> {
        match self {
            Payload::Bytes(bytes) => Ok(bytes),
            _ => Err(OTHER_TYPE),
        }
    }

    pub(super) fn double(self) -> Result<f64> {
        match self {
            Payload::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            _ => Err(OTHER_TYPE),
        }
    }

    pub(super) fn text(self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "the text is not UTF-8")
    }
}

/// Walks through the fields of a message.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field's number and value; None at the end.
    pub(super) fn field(&mut self) -> Result<Option<(u32, Payload<'a>)>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0).ok_or("a field has no valid number")?;
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(self.take(8)?.try_into().map_err(|_| TRUNCATED)?),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| LENGTH)?;
                Payload::Bytes(self.take(length).map_err(|_| LENGTH)?)
            }
            5 => self.take(4).map(|_| Payload::Fixed32)?,
            _ => return Err("the wire type is not one that is read"),
        };
        Ok(Some((number, payload)))
    }

    /// The next of packed numbers; None at the end.
    pub(super) fn packed(&mut self) -> Result<Option<u64>> {
        if self.rest.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for (index, byte) in self.rest.iter().enumerate().take(10) {
            // The tenth byte has room for one bit.
            if index == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[index + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 { TRUNCATED } else { "a number is longer than 64 bits" })
    }
}

pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_number(number: u32, value: u64, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3, out);
    put_varint(value, out);
}

pub(super) fn put_double(number: u32, value: f64, out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | 1, out);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(u64::from(number) << 3 | 2, out);
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Adds a field of which `inner` writes the content, whose length is known only then.
pub(super) fn put_nested<E>(
    number: u32,
    out: &mut Vec<u8>,
    inner: impl FnOnce(&mut Vec<u8>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    put_varint(u64::from(number) << 3 | 2, out);
    let start = out.len();
    inner(out)?;
    let mut length = Vec::with_capacity(5);
    put_varint((out.len() - start) as u64, &mut length);
    out.splice(start..start, length);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_endless_ones_do_not() {
        for value in [0, 1, 127, 128, 1 << 32, u64::MAX] {
            let mut bytes = Vec::new();
            put_number(3, value, &mut bytes);
            assert_eq!(Reader::new(&bytes).field(), Ok(Some((3, Payload::Varint(value)))));
        }
        for bytes in [&[0x08][..], &[0x08, 0xff], &[0x08; 0], &[0x00, 0x00], &[0x0b]] {
            let read = Reader::new(bytes).field();
            assert_eq!(read.is_err(), !bytes.is_empty(), "{bytes:?}");
        }
        assert!(Reader::new(&[[0x08].as_slice(), &[0xff; 11]].concat()).field().is_err());
        assert_eq!(Reader::new(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]).field(), Err(LENGTH));
    }
}
