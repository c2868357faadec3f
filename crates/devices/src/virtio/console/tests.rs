use std::sync::Arc;
use std::thread;

use super::Channel;

#[test]
fn bytes_go_both_ways_in_order() {
    let channel = Channel::default();
    assert!(channel.push(b"one") && channel.push(b"two"));
    assert_eq!(channel.read(4), (b"onet".to_vec(), false));
    assert_eq!(channel.read(100), (b"wo".to_vec(), false));
    assert_eq!(channel.write(b"back"), 4);
    assert!(channel.has_input());
    assert_eq!(channel.pull(3), b"bac");
    assert_eq!(channel.pull(3), b"k");
    assert!(!channel.has_input());
}

#[test]
fn a_guest_that_nobody_listens_to_waits() {
    let channel = Channel::default();
    let page = [7; 4096];
    let accepted = (0..1000).take_while(|_| channel.push(&page)).count();
    assert_eq!(accepted, 256);
    assert_eq!(channel.read(1), (vec![7], true), "the device is served again");
    assert_eq!(channel.read(usize::MAX).0.len(), (1 << 20) - 1);
    assert!(channel.push(&page));
}

#[test]
fn a_guest_that_does_not_listen_is_waited_for_until_its_end() {
    let channel = Arc::new(Channel::default());
    let writer = Arc::clone(&channel);
    let thread = thread::spawn(move || {
        let mut written = 0;
        loop {
            match writer.write(&[1; 1000]) {
                0 => return written,
                count => written += count,
            }
        }
    });
    let mut pulled = 0;
    while pulled < 200 << 10 {
        pulled += channel.pull(10_000).len();
    }
    channel.close();
    assert!(thread.join().unwrap() >= pulled);
    assert_eq!(channel.read(10).0, b"");
}
