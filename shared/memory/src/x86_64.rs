//! By sixteen bytes. Where the last piece is shorter, the last sixteen are taken, some of them twice.

#![expect(unsafe_code, reason = "copies are made of pointers; each function says what they must point to")]
#![cfg_attr(
    all(not(test), not(target_env = "musl")),
    expect(dead_code, reason = "used where they are exported, and tested everywhere")
)]

use core::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_storeu_si128};

/// Bytes of a register.
const WIDE: usize = 16;
/// Bytes that a loop moves at once.
const BLOCK: usize = 4 * WIDE;

type Block = [__m128i; 4];

/// Moves `length` bytes; both sides may overlap.
///
/// # Safety
/// `from` must be readable, and `to` writable, for so many bytes.
#[inline]
pub(crate) unsafe fn move_bytes(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: every piece lies within the length. What is moved at once is read before anything is written.
    unsafe {
        match length {
            0 => {}
            1 => *to = *from,
            2..4 => move_ends::<u16>(to, from, length),
            4..8 => move_ends::<u32>(to, from, length),
            8..16 => move_ends::<u64>(to, from, length),
            16..=32 => {
                let (first, last) = (wide(from), wide(from.add(length - WIDE)));
                put(to, first);
                put(to.add(length - WIDE), last);
            }
            33..=64 => {
                let end = length - 2 * WIDE;
                let pieces =
                    [wide(from), wide(from.add(WIDE)), wide(from.add(end)), wide(from.add(end + WIDE))];
                put(to, pieces[0]);
                put(to.add(WIDE), pieces[1]);
                put(to.add(end), pieces[2]);
                put(to.add(end + WIDE), pieces[3]);
            }
            65..=128 => {
                let (first, last) = (block(from), block(from.add(length - BLOCK)));
                put_block(to, first);
                put_block(to.add(length - BLOCK), last);
            }
            // Nothing that is still to be read lies below `to`, or the other way round.
            _ if to.addr().wrapping_sub(from.addr()) >= length => forward(to, from, length),
            _ => backward(to, from, length),
        }
    }
}

/// The order of two texts by their bytes.
///
/// # Safety
/// Both must be readable for so many bytes.
#[inline]
pub(crate) unsafe fn compare(one: *const u8, other: *const u8, length: usize) -> i32 {
    if length < WIDE {
        // SAFETY: as the caller says.
        return unsafe { compare_short(one, other, length) };
    }
    let mut at = 0;
    loop {
        // SAFETY: `at` is at most sixteen before the end.
        let equal = unsafe { _mm_movemask_epi8(_mm_cmpeq_epi8(wide(one.add(at)), wide(other.add(at)))) };
        if equal != 0xffff {
            let at = at + (!equal).trailing_zeros() as usize;
            // SAFETY: one of the sixteen.
            return unsafe { i32::from(*one.add(at)) - i32::from(*other.add(at)) };
        }
        if at == length - WIDE {
            return 0;
        }
        at = (at + WIDE).min(length - WIDE);
    }
}

/// Moves more than two blocks from the first to the last.
///
/// # Safety
/// As of [`move_bytes`]; no byte that is yet to be read may lie in what is already written.
unsafe fn forward(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: every piece lies within the length.
    unsafe {
        let last = block(from.add(length - BLOCK));
        let mut at = 0;
        while at + BLOCK < length {
            put_block(to.add(at), block(from.add(at)));
            at += BLOCK;
        }
        put_block(to.add(length - BLOCK), last);
    }
}

/// Moves more than two blocks from the last to the first.
///
/// # Safety
/// As of [`forward`].
unsafe fn backward(to: *mut u8, from: *const u8, length: usize) {
    // SAFETY: every piece lies within the length.
    unsafe {
        let first = block(from);
        let mut end = length;
        while end > BLOCK {
            end -= BLOCK;
            put_block(to.add(end), block(from.add(end)));
        }
        put_block(to, first);
    }
}

/// Moves between one and two times as many bytes as a `T` has.
///
/// # Safety
/// As of [`move_bytes`].
#[inline]
unsafe fn move_ends<T: Copy>(to: *mut u8, from: *const u8, length: usize) {
    let end = length - size_of::<T>();
    // SAFETY: both pieces lie within the length.
    unsafe {
        let (first, last) = (from.cast::<T>().read_unaligned(), from.add(end).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(first);
        to.add(end).cast::<T>().write_unaligned(last);
    }
}

/// Compares less than sixteen bytes: as numbers whose first byte counts most.
///
/// # Safety
/// As of [`compare`].
#[inline]
unsafe fn compare_short(one: *const u8, other: *const u8, length: usize) -> i32 {
    // SAFETY: every piece lies within the length.
    unsafe {
        let eight = |at: usize| {
            let read = |side: *const u8| u64::from_be(side.add(at).cast::<u64>().read_unaligned());
            (read(one), read(other))
        };
        let four = |at: usize| {
            let read = |side: *const u8| u64::from(u32::from_be(side.add(at).cast::<u32>().read_unaligned()));
            (read(one), read(other))
        };
        let ((a, b), (c, d)) = match length {
            8.. => (eight(0), eight(length - 8)),
            4..8 => (four(0), four(length - 4)),
            _ => {
                let mut at = 0;
                while at < length && *one.add(at) == *other.add(at) {
                    at += 1;
                }
                return if at == length { 0 } else { i32::from(*one.add(at)) - i32::from(*other.add(at)) };
            }
        };
        a.cmp(&b).then(c.cmp(&d)) as i32
    }
}

/// # Safety
/// Sixteen bytes must be readable.
#[inline]
unsafe fn wide(from: *const u8) -> __m128i {
    // SAFETY: as the caller says; the load need not be aligned.
    unsafe { _mm_loadu_si128(from.cast()) }
}

/// # Safety
/// Sixteen bytes must be writable.
#[inline]
unsafe fn put(to: *mut u8, bytes: __m128i) {
    // SAFETY: as the caller says; the store need not be aligned.
    unsafe { _mm_storeu_si128(to.cast(), bytes) }
}

/// # Safety
/// A block must be readable.
#[inline]
unsafe fn block(from: *const u8) -> Block {
    // SAFETY: as the caller says.
    unsafe { [wide(from), wide(from.add(WIDE)), wide(from.add(2 * WIDE)), wide(from.add(3 * WIDE))] }
}

/// # Safety
/// A block must be writable.
#[inline]
unsafe fn put_block(to: *mut u8, bytes: Block) {
    // SAFETY: as the caller says.
    unsafe {
        put(to, bytes[0]);
        put(to.add(WIDE), bytes[1]);
        put(to.add(2 * WIDE), bytes[2]);
        put(to.add(3 * WIDE), bytes[3]);
    }
}

#[cfg(test)]
mod tests;
