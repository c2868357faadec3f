use super::{Pair, Register::*};

/// As Linux's `init_8259A` does: vectors 0x30 and 0x38, everything unmasked.
fn initialised(icw4: u8) -> Pair {
    let mut pic = Pair::default();
    for (register, value) in [
        (MasterCommand, 0x11),
        (MasterData, 0x30),
        (MasterData, 4),
        (MasterData, icw4),
        (SlaveCommand, 0x11),
        (SlaveData, 0x38),
        (SlaveData, 2),
        (SlaveData, 1),
    ] {
        pic.write(register, value);
    }
    pic
}

fn in_service(pic: &mut Pair) -> (u8, u8) {
    pic.write(MasterCommand, 0x0b);
    pic.write(SlaveCommand, 0x0b);
    (pic.read(MasterCommand), pic.read(SlaveCommand))
}

#[test]
fn masks_read_back_as_linux_probes_them() {
    let mut pic = Pair::default();
    for probe in [0xff, 0xef, 0xfb, 0x00] {
        pic.write(SlaveData, 0xff);
        pic.write(MasterData, probe);
        assert_eq!(pic.read(MasterData), probe);
        assert_eq!(pic.read(SlaveData), 0xff);
    }
}

#[test]
fn an_edge_is_served_once_and_ended() {
    let mut pic = initialised(1);
    assert!(!pic.output());
    pic.set_input(4, true);
    assert!(pic.output());
    assert_eq!(pic.acknowledge(), 0x34);
    assert!(!pic.output());
    assert_eq!(in_service(&mut pic), (0x10, 0));
    pic.write(MasterCommand, 0x20);
    assert!(!pic.output(), "the line is still high, but there was no new edge");
    pic.set_input(4, false);
    pic.set_input(4, true);
    assert!(pic.output());
}

#[test]
fn a_masked_request_waits() {
    let mut pic = initialised(1);
    pic.write(MasterData, 0x10);
    pic.set_input(4, true);
    assert!(!pic.output());
    pic.write(MasterData, 0);
    assert_eq!(pic.acknowledge(), 0x34);
}

#[test]
fn the_slave_goes_through_the_cascade() {
    let mut pic = initialised(1);
    pic.set_input(12, true);
    pic.set_input(8, true);
    assert_eq!(pic.acknowledge(), 0x38);
    assert_eq!(in_service(&mut pic), (4, 1));
    assert!(!pic.output(), "12 is less urgent than 8");
    pic.write(SlaveCommand, 0x20);
    pic.write(MasterCommand, 0x62);
    assert_eq!(pic.acknowledge(), 0x3c);
    assert_eq!(in_service(&mut pic), (4, 0x10));
}

#[test]
fn level_triggered_inputs_ask_until_they_fall() {
    let mut pic = initialised(1);
    pic.write(SlaveElcr, 0xff);
    assert_eq!(pic.read(SlaveElcr), 0xde, "8 and 13 are always edge triggered");
    pic.set_input(9, true);
    assert_eq!(pic.acknowledge(), 0x39);
    pic.write(SlaveCommand, 0x20);
    pic.write(MasterCommand, 0x20);
    assert!(pic.output());
    pic.set_input(9, false);
    assert!(!pic.output());
}

#[test]
fn what_went_away_is_spurious_level_7() {
    let mut pic = initialised(1);
    assert_eq!(pic.acknowledge(), 0x37);
    assert_eq!(in_service(&mut pic), (0, 0), "nothing to end");
    pic.write(SlaveElcr, 2);
    pic.set_input(9, true);
    pic.write(SlaveData, 0xff);
    assert!(!pic.output());
}

#[test]
fn nesting_serves_only_the_more_urgent() {
    let mut pic = initialised(1);
    pic.set_input(5, true);
    assert_eq!(pic.acknowledge(), 0x35);
    pic.set_input(6, true);
    assert!(!pic.output());
    pic.set_input(1, true);
    assert_eq!(pic.acknowledge(), 0x31);
    pic.write(MasterCommand, 0x65);
    assert!(!pic.output(), "1 is still in service");
    pic.write(MasterCommand, 0x20);
    assert_eq!(pic.acknowledge(), 0x36);
}

#[test]
fn special_mask_lets_the_less_urgent_in() {
    let mut pic = initialised(1);
    pic.set_input(3, true);
    pic.acknowledge();
    pic.set_input(6, true);
    assert!(!pic.output());
    pic.write(MasterData, 0x08);
    pic.write(MasterCommand, 0x68);
    assert_eq!(pic.acknowledge(), 0x36);
    pic.write(MasterCommand, 0x48);
    assert!(!pic.output());
}

#[test]
fn rotation_moves_the_served_level_to_the_end() {
    let mut pic = initialised(1);
    pic.set_input(3, true);
    assert_eq!(pic.acknowledge(), 0x33);
    pic.write(MasterCommand, 0xa0);
    pic.set_input(3, false);
    pic.set_input(3, true);
    pic.set_input(4, true);
    assert_eq!(pic.acknowledge(), 0x34);
    pic.write(MasterCommand, 0x64);
    pic.write(MasterCommand, 0xc2);
    assert_eq!(pic.acknowledge(), 0x33, "level 3 is first after 2 became last");
}

#[test]
fn automatic_eoi_leaves_nothing_in_service() {
    let mut pic = initialised(3);
    pic.set_input(4, true);
    assert_eq!(pic.acknowledge(), 0x34);
    assert_eq!(in_service(&mut pic).0, 0);
    pic.write(MasterCommand, 0x80);
    pic.set_input(4, false);
    pic.set_input(4, true);
    pic.acknowledge();
    pic.set_input(4, false);
    pic.set_input(4, true);
    pic.set_input(0, true);
    pic.set_input(5, true);
    assert_eq!(pic.acknowledge(), 0x35, "after 4 comes 5");
}

#[test]
fn polling_acknowledges() {
    let mut pic = initialised(1);
    pic.write(MasterCommand, 0x0c);
    assert_eq!(pic.read(MasterCommand), 0);
    pic.set_input(6, true);
    pic.write(MasterCommand, 0x0c);
    assert_eq!(pic.read(MasterCommand), 0x86);
    assert_eq!(in_service(&mut pic).0, 0x40);
    pic.set_input(10, true);
    pic.write(SlaveCommand, 0x0c);
    assert_eq!(pic.read(SlaveData), 0x82);
    assert_eq!(pic.read(SlaveData), 0, "back to the mask");
}
