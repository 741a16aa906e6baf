//! Pages of memory: a server of many connections uses a little of each of many buffers.

/// Asks the system for small pages (4 KiB) only. An allocator that gets pages of 2 MiB is quicker by nothing that can be measured here,
/// and a buffer of which a few hundred bytes are in use takes up all of its room.
pub fn prefer_small() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "the system goes on giving large pages");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn the_system_is_asked() {
        assert!(!rustix::thread::transparent_huge_pages_are_disabled().unwrap());
        super::prefer_small();
        assert!(rustix::thread::transparent_huge_pages_are_disabled().unwrap());
    }
}
