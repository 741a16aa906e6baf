//! Over real sockets that take little at once.

use super::*;
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// A connection that takes little at once, and its other end.
async fn connected() -> (Batched, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (here, there) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (here, there) = (here.unwrap(), there.unwrap().0);
    SockRef::from(&here).set_send_buffer_size(32 * 1024).unwrap();
    SockRef::from(&there).set_recv_buffer_size(32 * 1024).unwrap();
    (Batched::new(here), there)
}

/// As on a worker.
async fn with_writer() {
    tokio::spawn(write_for_all());
    yield_now().await;
}

fn has_come(there: &TcpStream) -> String {
    let mut buffer = [0; 64];
    match there.try_read(&mut buffer) {
        Ok(length) => String::from_utf8_lossy(&buffer[..length]).into_owned(),
        Err(_) => String::new(),
    }
}

async fn all_of(there: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    timeout(Duration::from_secs(10), there.read_to_end(&mut all)).await.unwrap().unwrap();
    all
}

#[tokio::test]
async fn all_that_are_ready_have_their_turn_before_anything_is_sent() {
    with_writer().await;
    let (mut one, there) = connected().await;
    let (mut two, other) = connected().await;
    let first = tokio::spawn(async move {
        one.write_all(b"a").await.unwrap();
        one.write_all(b"b").await.unwrap();
        one
    });
    let second = tokio::spawn(async move {
        // The first one has written.
        assert_eq!(has_come(&there), "");
        two.write_all(b"c").await.unwrap();
        (two, there)
    });
    let (one, (two, there)) = (first.await.unwrap(), second.await.unwrap());
    for (there, sent) in [(there, "ab"), (other, "c")] {
        there.readable().await.unwrap();
        assert_eq!(has_come(&there), sent);
    }
    drop((one, two));
}

#[tokio::test]
async fn where_nobody_writes_for_all_it_is_sent_at_once() {
    let (mut here, there) = connected().await;
    here.write_all(b"a").await.unwrap();
    there.readable().await.unwrap();
    assert_eq!(has_come(&there), "a");
}

#[tokio::test]
async fn what_is_held_back_is_sent_before_the_end() {
    with_writer().await;
    let (mut here, mut there) = connected().await;
    here.write_all(b"last").await.unwrap();
    here.shutdown().await.unwrap();
    assert_eq!(all_of(&mut there).await, b"last");
    let (mut here, mut there) = connected().await;
    here.write_all(b"dropped").await.unwrap();
    drop(here);
    assert_eq!(all_of(&mut there).await, b"dropped");
}

#[tokio::test]
async fn a_failure_is_told_to_the_next_write() {
    with_writer().await;
    let (mut here, there) = connected().await;
    drop(there);
    // The first one is sent to somebody who has gone, and is answered by that.
    let told = async {
        while here.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), told).await.unwrap();
}

/// The other end resets the connection.
async fn reset(there: TcpStream) {
    SockRef::from(&there).set_linger(Some(Duration::ZERO)).unwrap();
    drop(there);
    sleep(Duration::from_millis(20)).await;
}

/// Fills the connection until the system takes no more, and this one neither: gives the bytes that it took.
async fn filled(here: &mut Batched) -> usize {
    let mut taken = 0;
    while let Ok(written) = timeout(Duration::from_millis(100), here.write(&[b'x'; 4096])).await {
        taken += written.unwrap();
        assert!(here.outlet.held().bytes.len() <= MOST);
        yield_now().await;
    }
    taken
}

#[tokio::test]
async fn a_connection_that_broke_has_not_ended_well_and_whoever_only_reads_hears_of_it() {
    with_writer().await;
    let (mut here, there) = connected().await;
    here.write_all(b"more").await.unwrap();
    SockRef::from(&there).set_linger(Some(Duration::ZERO)).unwrap();
    drop(there);
    let read = timeout(Duration::from_secs(10), here.read(&mut [0; 8])).await.unwrap();
    assert!(read.is_err(), "{read:?}");
    // It is written to after it was reset, and read after that.
    let (mut here, there) = connected().await;
    reset(there).await;
    here.write_all(b"more").await.unwrap();
    yield_now().await;
    yield_now().await;
    let read = timeout(Duration::from_secs(10), here.read(&mut [0; 8])).await.unwrap();
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn the_end_of_a_connection_that_was_reset_is_no_failure() {
    with_writer().await;
    let (mut here, there) = connected().await;
    reset(there).await;
    assert!(here.read(&mut [0; 8]).await.is_err());
    here.shutdown().await.unwrap();
}

#[tokio::test]
async fn who_waits_for_something_else_hears_of_a_failure_too() {
    with_writer().await;
    let (mut here, there) = connected().await;
    reset(there).await;
    here.write_all(b"more").await.unwrap();
    // Not woken by anything but the failure.
    let told = poll_fn(|cx| match Pin::new(&mut here).poll_flush(cx) {
        Poll::Ready(Err(_)) => Poll::Ready(()),
        _ => Poll::Pending,
    });
    timeout(Duration::from_secs(10), told).await.unwrap();
}

#[expect(clippy::disallowed_methods, reason = "the runtime is to stand still meanwhile")]
#[tokio::test]
async fn what_is_left_is_sent_where_the_system_has_room_again() {
    with_writer().await;
    let (mut here, mut there) = connected().await;
    let taken = filled(&mut here).await;
    let sent = taken - here.outlet.held().bytes.len();
    let mut read = 0;
    while read < 64 * 1024 {
        read += there.read(&mut [0; 1024]).await.unwrap();
    }
    // Nobody else has a turn while the system gets room, which it need not have told.
    std::thread::sleep(Duration::from_millis(20));
    drop(here);
    let read = read + all_of(&mut there).await.len();
    assert!((sent + 1..=taken).contains(&read), "{read} read, {sent} of {taken} sent before");
}

#[tokio::test]
async fn who_reads_nothing_makes_the_writer_wait() {
    with_writer().await;
    let (mut here, mut there) = connected().await;
    let taken = filled(&mut here).await;
    let reading = tokio::spawn(async move { all_of(&mut there).await.len() });
    here.write_all(b"the end").await.unwrap();
    here.shutdown().await.unwrap();
    assert_eq!(reading.await.unwrap(), taken + 7);
}

#[tokio::test]
async fn what_the_other_side_does_not_take_is_not_waited_for() {
    with_writer().await;
    let (mut here, there) = connected().await;
    filled(&mut here).await;
    let outlet = Arc::downgrade(&here.outlet);
    drop(here);
    let gone = async {
        while outlet.strong_count() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), gone).await.unwrap();
    drop(there);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// Whatever is written, all of it arrives in its order, whenever it is read.
    #[test]
    fn all_bytes_arrive_in_order(writes in prop::collection::vec((1usize..40_000, 0u8..4), 1..40), pause in 0u64..3) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sent: Vec<Vec<u8>> = writes.iter().enumerate().map(|(number, (length, _))| vec![number as u8; *length]).collect();
        let read = runtime.block_on(async {
            with_writer().await;
            let (mut here, mut there) = connected().await;
            let reading = tokio::spawn(async move {
                let (mut all, mut some) = (Vec::new(), vec![0; 30_000]);
                loop {
                    sleep(Duration::from_millis(pause)).await;
                    let length = there.read(&mut some).await.unwrap();
                    all.extend_from_slice(&some[..length]);
                    if length == 0 {
                        return all;
                    }
                }
            });
            for (bytes, (_, turns)) in sent.iter().zip(&writes) {
                here.write_all(bytes).await.unwrap();
                for _ in 0..*turns {
                    yield_now().await;
                }
            }
            here.shutdown().await.unwrap();
            timeout(Duration::from_secs(20), reading).await.unwrap().unwrap()
        });
        prop_assert!(read == sent.concat(), "{} of {} bytes", read.len(), sent.concat().len());
    }
}
