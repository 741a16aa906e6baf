//! `memcpy`, `memmove`, `memcmp` and `bcmp` for static binaries on x86-64.
//!
//! A request is copied and compared in some three hundred small pieces. What musl brings for that copies by `rep movsq`, which takes longer to
//! begin than such a piece takes to copy, and compares byte by byte: together a tenth of a router's time. These move and
//! compare sixteen bytes at once, with what every x86-64 processor has (SSE2). In builds with another C library, and on other processors,
//! nothing is replaced.
//!
//! A binary gets them by `use tidegate_memory as _;`: the linker takes the first definition that it finds.

#![no_std]
// Else the compiler makes calls of these functions out of their own loops.
#![no_builtins]

#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(all(target_arch = "x86_64", target_env = "musl"))]
mod exported;
