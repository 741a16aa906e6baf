//! mimalloc, asked for an alignment only where it does not give that anyway.
//!
//! The crate `mimalloc` passes on every alignment, which is mimalloc's longer way, for each of the eighty blocks that a request
//! takes.

#![expect(unsafe_code, reason = "an allocator deals in pointers; what is asked of it is asked of mimalloc")]

use libmimalloc_sys as mimalloc;
use std::alloc::{GlobalAlloc, Layout};

/// The allocator of the whole process.
pub(crate) struct Allocator;

/// The alignment of all blocks that are at least as large (mimalloc's `MI_MAX_ALIGN_SIZE`); smaller ones are aligned to their size.
const NATURAL: usize = 16;

const fn is_natural(size: usize, align: usize) -> bool {
    align <= NATURAL && align <= size
}

// SAFETY: every block comes from mimalloc, is of the size and alignment that was asked for, and goes back to it.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: any size may be asked for; an alignment is a power of two by `Layout`.
        let block = unsafe {
            if is_natural(size, align) {
                mimalloc::mi_malloc(size)
            } else {
                mimalloc::mi_malloc_aligned(size, align)
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as above.
        let block = unsafe {
            if is_natural(size, align) {
                mimalloc::mi_zalloc(size)
            } else {
                mimalloc::mi_zalloc_aligned(size, align)
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller vouches that it came from here, and so from mimalloc.
        unsafe { mimalloc::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let align = layout.align();
        // SAFETY: as above, both for the block and for its new size.
        let block = unsafe {
            if is_natural(size, align) {
                mimalloc::mi_realloc(block.cast(), size)
            } else {
                mimalloc::mi_realloc_aligned(block.cast(), size, align)
            }
        };
        block.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_as_asked_before_and_after_they_grow() {
        for align in (0..13).map(|power| 1_usize << power) {
            for size in (1..600).chain([1024, 1032, 4096, 70_000, 3_000_000]) {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: neither size is 0, and the block is given back as what it is at last.
                unsafe {
                    let block = Allocator.alloc_zeroed(layout);
                    assert!(block.addr().is_multiple_of(align), "{size} to {align}");
                    assert!((0..size).all(|at| *block.add(at) == 0));
                    let larger = Allocator.realloc(block, layout, 2 * size + 1);
                    assert!(larger.addr().is_multiple_of(align), "{size} to {align}, grown");
                    Allocator.dealloc(larger, Layout::from_size_align(2 * size + 1, align).unwrap());
                    let block = Allocator.alloc(layout);
                    assert!(block.addr().is_multiple_of(align));
                    Allocator.dealloc(block, layout);
                }
            }
        }
    }
}
