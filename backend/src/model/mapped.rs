//! Files of weights mapped into memory: with the launching of kernels the one place in this crate with unsafe code.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// The bytes of a file of weights.
#[derive(Debug)]
pub(crate) enum Mapped {
    /// Mapped from disk.
    File(Mmap),
    /// Compiled in.
    Static(&'static [u8]),
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::File(map) => map,
            Self::Static(bytes) => bytes,
        }
    }
}

/// Maps a file for reading.
#[expect(unsafe_code, reason = "weights are larger than what one wants to read twice; no other way to map")]
pub(crate) fn map(path: &Path) -> std::io::Result<Mapped> {
    let file = File::open(path)?;
    // SAFETY: the mapping is private and only read. A model file that is cut short by somebody else while it
    // is being loaded raises SIGBUS, as for every program that maps its weights; afterwards it is not touched.
    unsafe { Mmap::map(&file) }.map(Mapped::File)
}
