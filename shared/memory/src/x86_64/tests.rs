//! Every length and every offset, against the slices of the standard library.

extern crate std;

use super::{compare, move_bytes};
use std::vec::Vec;

/// Longer than all that is moved at once, and two rounds of the loop.
const LONGEST: usize = 300;

fn counted(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + at / 256) as u8).collect()
}

#[test]
fn moves_every_length_wherever_it_lies() {
    for length in 0..LONGEST {
        for offset in 0..17 {
            let from = counted(length + offset);
            let mut to = std::vec![0xa5; length + 40];
            let mut expected = to.clone();
            expected[offset + 3..offset + 3 + length].copy_from_slice(&from[offset..]);
            // SAFETY: both have so many bytes behind these places.
            unsafe { move_bytes(to.as_mut_ptr().add(offset + 3), from.as_ptr().add(offset), length) };
            assert_eq!(to, expected, "{length} bytes from {offset}");
        }
    }
}

#[test]
fn moves_what_overlaps_in_both_directions() {
    for length in 0..LONGEST {
        for shift in [1, 2, 7, 8, 15, 16, 17, 31, 63, 64, 65, 100, 128, 129, 200] {
            for (to, from) in [(shift, 0), (0, shift), (shift, shift)] {
                let mut bytes = counted(length + shift);
                let mut expected = bytes.clone();
                expected.copy_within(from..from + length, to);
                let start = bytes.as_mut_ptr();
                // SAFETY: both places lie so many bytes before the end.
                unsafe { move_bytes(start.add(to), start.add(from), length) };
                assert_eq!(bytes, expected, "{length} bytes from {from} to {to}");
            }
        }
    }
}

#[test]
fn moves_megabytes() {
    let from = counted(3 << 20);
    let mut to = std::vec![0; from.len()];
    // SAFETY: both have as many bytes.
    unsafe { move_bytes(to.as_mut_ptr(), from.as_ptr(), from.len()) };
    assert!(to == from);
}

#[test]
fn orders_as_slices_are_ordered() {
    for length in 0..LONGEST {
        let one = counted(length + 1);
        // SAFETY: both have so many bytes, also one further on.
        let order = |one: &[u8], other: &[u8]| unsafe { compare(one.as_ptr(), other.as_ptr(), length) };
        assert_eq!(order(&one, &one), 0, "{length}");
        for at in 0..length {
            for byte in [0, 127, 128, 255] {
                let mut other = one.clone();
                other[at] = byte;
                let wanted = one[..length].cmp(&other[..length]) as i32;
                assert_eq!(order(&one, &other).signum(), wanted, "{length} bytes that differ at {at}");
                assert_eq!(order(&one[1..], &one[1..]), 0);
            }
        }
    }
}
