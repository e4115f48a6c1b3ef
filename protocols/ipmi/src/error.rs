//! One error for everything that can be wrong with bytes from the other side. Decoders return it and never panic.

/// Why bytes could not be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The packet ended before the named field.
    #[error("{what}: ends too early")]
    TooShort {
        /// The record or field that was being read.
        what: &'static str,
    },
    /// A field holds a value the specification does not allow here.
    #[error("{what}: unexpected value {value:#x}")]
    Value {
        /// The field.
        what: &'static str,
        /// What it held.
        value: u32,
    },
    /// A checksum does not fit its data.
    #[error("{what}: wrong checksum")]
    Checksum {
        /// The record the checksum covers.
        what: &'static str,
    },
    /// A keyed integrity check failed: forged, damaged, or the other side holds another key.
    #[error("{what}: integrity check failed")]
    Integrity {
        /// The packet the check covers.
        what: &'static str,
    },
}

/// Reads fields one after the other; every read is bounds-checked.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { bytes, what }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) =
            self.bytes.split_at_checked(count).ok_or(DecodeError::TooShort { what: self.what })?;
        self.bytes = tail;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.bytes
    }
}
