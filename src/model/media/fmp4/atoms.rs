//! Boxes of ISO base media files as borrowed slices, and the numbers in them.

use crate::model::media::Damage;

const CONTAINER: &str = "fMP4";

/// A box; the word is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Atom<'a> {
    pub kind: [u8; 4],
    /// Where it begins in what was read.
    pub at: usize,
    /// With its header.
    pub whole: &'a [u8],
    pub body: &'a [u8],
}

impl<'a> Atom<'a> {
    /// The boxes in it.
    pub fn atoms(&self) -> Atoms<'a> {
        Atoms::within(self.body)
    }

    /// The first box of a kind in it.
    pub fn child(&self, kind: [u8; 4]) -> Result<Option<Atom<'a>>, Damage> {
        for atom in self.atoms() {
            let atom = atom?;
            if atom.kind == kind {
                return Ok(Some(atom));
            }
        }
        Ok(None)
    }

    /// Version and flags, and the fields after them.
    pub fn fields(&self) -> Result<(u8, u32, Fields<'a>), Damage> {
        let mut fields = Fields(self.body);
        let (version, flags) = (fields.u8()?, fields.u24()?);
        Ok((version, flags, fields))
    }
}

/// The boxes of a file or of a box, in order.
#[derive(Clone, Debug)]
pub(super) struct Atoms<'a> {
    bytes: &'a [u8],
    at: usize,
    outermost: bool,
}

impl<'a> Atoms<'a> {
    /// Of a file: what ends too early was cut off on its way.
    pub fn of_file(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, outermost: true }
    }

    /// Of a box: what ends too early was written wrongly.
    pub fn within(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, outermost: false }
    }

    fn too_short(&self) -> Damage {
        if self.outermost {
            Damage::Truncated(self.bytes.len())
        } else {
            Damage::Malformed("a box is larger than the one that it is in")
        }
    }

    fn read(&mut self, rest: &'a [u8]) -> Result<Atom<'a>, Damage> {
        // No page of text or transport stream has a known kind of box there.
        if self.outermost && self.at == 0 && !rest.get(4..8).is_some_and(begins_a_file) {
            return Err(Damage::NotMedia(CONTAINER));
        }
        let mut fields = Fields(rest);
        let header = fields.u32().and_then(|size| Ok((size, fields.kind()?)));
        let (size, kind) = header.map_err(|_| self.too_short())?;
        let size = match size {
            // The rest of the file.
            0 if self.outermost => rest.len(),
            1 => {
                let size = fields.u64().map_err(|_| self.too_short())?;
                usize::try_from(size).unwrap_or(usize::MAX)
            }
            size => usize::try_from(size).unwrap_or(usize::MAX),
        };
        let header = rest.len() - fields.0.len();
        if size < header {
            return Err(Damage::Malformed("a box is smaller than its header"));
        }
        let whole = rest.get(..size).ok_or_else(|| self.too_short())?;
        let body = whole.get(header..).unwrap_or_default();
        let at = self.at;
        self.at += size;
        Ok(Atom { kind, at, whole, body })
    }
}

impl<'a> Iterator for Atoms<'a> {
    type Item = Result<Atom<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.bytes.get(self.at..)?;
        // QuickTime ends lists of boxes with four zeros.
        let ended = !self.outermost && rest.len() < 8 && rest.iter().all(|byte| *byte == 0);
        if rest.is_empty() || ended {
            return None;
        }
        let atom = self.read(rest);
        if atom.is_err() {
            self.at = usize::MAX;
        }
        Some(atom)
    }
}

/// What an init segment or a segment may begin with.
fn begins_a_file(kind: &[u8]) -> bool {
    let kinds: [&[u8; 4]; 12] = [
        b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"sidx", b"ssix", b"emsg", b"prft", b"free",
        b"skip", b"uuid",
    ];
    kinds.iter().any(|known| known.as_slice() == kind)
}

/// What is left of a row of numbers, big-endian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (taken, rest) =
            self.0.split_at_checked(count).ok_or(Damage::Malformed("a box ends in a field"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub fn u8(&mut self) -> Result<u8, Damage> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub fn u16(&mut self) -> Result<u16, Damage> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub fn u24(&mut self) -> Result<u32, Damage> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_be_bytes([0, a, b, c]))
    }

    pub fn u32(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> Result<i32, Damage> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub fn kind(&mut self) -> Result<[u8; 4], Damage> {
        self.array()
    }

    /// A number of four bytes in version 0, of eight after it.
    pub fn u32_or_u64(&mut self, version: u8) -> Result<u64, Damage> {
        if version == 0 { Ok(u64::from(self.u32()?)) } else { self.u64() }
    }
}
