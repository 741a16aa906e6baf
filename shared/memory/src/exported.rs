//! The names by which C, and the compiler's own code, know them (ISO C 7.26; `bcmp` is what compilers call where only equality counts).

#![expect(unsafe_code, reason = "C hands over pointers and a length, and vouches for them")]

use crate::x86_64::{compare, move_bytes};
use core::ffi::c_int;

/// Copies bytes that do not overlap.
///
/// # Safety
/// Both sides must have `length` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: as the caller says.
    unsafe { move_bytes(to, from, length) };
    to
}

/// Copies bytes that may overlap.
///
/// # Safety
/// Both sides must have `length` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    // SAFETY: as the caller says.
    unsafe { move_bytes(to, from, length) };
    to
}

/// The order of two texts by their bytes: below, at or above 0.
///
/// # Safety
/// Both sides must have `length` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, length: usize) -> c_int {
    // SAFETY: as the caller says.
    unsafe { compare(one, other, length) }
}

/// 0 where two texts are equal.
///
/// # Safety
/// Both sides must have `length` bytes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, length: usize) -> c_int {
    // SAFETY: as the caller says.
    unsafe { compare(one, other, length) }
}
