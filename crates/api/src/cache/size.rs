//! How much memory the objects of a kind take, kept up to date with each change so that nobody has to count.

use std::iter::Sum;
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

use super::Object;

/// What the map of objects takes for each: a key and a value, in leaves that may be half empty.
const MAP_ENTRY_BYTES: usize = 2 * (size_of::<Arc<str>>() + size_of::<Arc<Object>>());

/// The objects of a kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// How many there are.
    pub objects: usize,
    /// What they take in memory, in bytes; but for what the allocator rounds up.
    pub bytes: usize,
    /// Their JSON text alone, as it is sent, in bytes.
    pub text_bytes: usize,
}

impl Size {
    /// Of one object.
    pub fn of(object: &Object) -> Size {
        Size { objects: 1, bytes: object.size_bytes() + MAP_ENTRY_BYTES, text_bytes: object.json().len() }
    }
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Size) {
        self.objects += other.objects;
        self.bytes += other.bytes;
        self.text_bytes += other.text_bytes;
    }
}

impl SubAssign for Size {
    fn sub_assign(&mut self, other: Size) {
        self.objects -= other.objects;
        self.bytes -= other.bytes;
        self.text_bytes -= other.text_bytes;
    }
}

impl Sum for Size {
    fn sum<I: Iterator<Item = Size>>(sizes: I) -> Size {
        sizes.fold(Size::default(), |mut all, size| {
            all += size;
            all
        })
    }
}
