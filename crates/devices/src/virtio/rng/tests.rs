use super::{Entropy, HostEntropy};

#[test]
fn the_hosts_bytes_differ_each_time() {
    let (mut first, mut second) = ([0; 4096], [0; 4096]);
    HostEntropy.fill(&mut first).unwrap();
    HostEntropy.fill(&mut second).unwrap();
    assert_ne!(first, second);
    assert_ne!(first[4088..], [0; 8], "to the end");
    HostEntropy.fill(&mut []).unwrap();
}
