//! Drivers and networks that say anything.
use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_driver_is_harmless(
        actions in proptest::collection::vec((0_u8..8, 0_usize..24, any::<u32>(), any::<u64>()), 1..200)
    ) {
        let registers = [
            0x0, 0x10, 0x14, 0x20, 0x38, 0xc0, 0xc8, 0xd0, 0xd8, 0x100, 0x400, 0x2800, 0x2804, 0x2808, 0x2810,
            0x2818, 0x3800, 0x3808, 0x3810, 0x3818, 0x5000, 0x5200, 0x5404, 0x5600,
        ];
        let mut bench = Bench::started();
        for (kind, place, small, wide) in actions {
            match kind {
                0 => bench.write(registers[place], small),
                1 => bench.write(registers[place], small & 0xff),
                2 => drop(bench.read(registers[place])),
                3 | 4 => {
                    let address = if small & 1 == 0 { BUFFERS } else { wide };
                    let bits = 1 << 24 | u64::from(small & 0x6f00_0000) | u64::from(small >> 8 & 0x7ff);
                    let kind = u64::from(small >> 4 & 1) << 20;
                    bench.describe(address, bits | kind | wide & 0xffff_ff00_0000_0000);
                    bench.go();
                }
                5 => {
                    let flags = small as u8;
                    let header = FrameHeader { flags, checksum_start: wide as u16, checksum_offset: (wide >> 16) as u16, ..plain() };
                    bench.arrive(header, &frame_to(OWN, (wide >> 32) as usize % 20_000));
                }
                6 => {
                    bench.port.set_room(place);
                    bench.card.room();
                }
                _ => {
                    let data = wide.to_le_bytes();
                    bench.function.lock().write(Region(place as u16 % 2), u64::from(small) % 0x40, &data[..1 + place % 8]);
                }
            }
        }
        let saved = bench.function.lock().save();
        bench.function.lock().restore(&saved).unwrap();
        prop_assert!(saved == bench.function.lock().save());
        bench.write(0, 1 << 26);
        bench.start();
        bench.port.set_room(usize::MAX);
        bench.port.take_sent();
        bench.describe(BUFFERS, 60 | 1 << 24);
        bench.go();
        prop_assert_eq!(bench.port.take_sent().len(), 1);
    }
}
