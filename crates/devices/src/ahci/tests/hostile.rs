use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
    /// An address: mostly where commands are, sometimes anywhere.
    fn address(&mut self) -> u64 {
        match self.below(8) {
            0 => self.next(),
            1 => self.below(64 << 20),
            2 => (64 << 20) - self.below(0x200),
            _ => LIST + self.below(0x3_0000),
        }
    }
}

const COMMANDS: [u8; 20] = [
    0x06, 0x08, 0x20, 0x25, 0x2f, 0x30, 0x35, 0x3d, 0x47, 0x60, 0x61, 0x60, 0x61, 0x90, 0xa0, 0xa0, 0xa1,
    0xc6, 0xea, 0xec,
];

fn slot(random: &mut Random) -> Slot {
    let length = |random: &mut Random| match random.below(4) {
        0 => random.below(1 << 22) as u32 + 1,
        _ => (random.below(64) as u32 + 1) * 512,
    };
    let pieces = random.below(5);
    Slot {
        command: COMMANDS[random.below(20) as usize],
        features: random.below(20) as u16,
        count: random.next() as u16 >> random.below(16),
        lba: random.next() & 0xffff_ffff_ffff >> random.below(48),
        device: random.next() as u8,
        control: (random.below(8) == 0).then(|| random.next() as u8),
        packet: (random.below(2) == 0)
            .then(|| (0..16).map(|_| random.next() as u8 & random.next() as u8).collect()),
        writes: random.below(2) == 0,
        data: (0..pieces).map(|_| (random.address(), length(random))).collect(),
    }
}

fn act(driver: &Driver, random: &mut Random) {
    let number = random.below(32) as u8;
    match random.below(12) {
        0..4 => driver.queue(number, &slot(random)),
        4 => driver.write(random.below(0x20) * 4, random.next() as u32),
        5 => driver.set(random.below(0x40) * 4, random.next() as u32),
        6 => {
            let bytes = random.next().to_le_bytes();
            let length = random.below(8) as usize + 1;
            driver.ahci.lock().write(Region(5), random.below(0xff8), &bytes[..length]);
        }
        7 => {
            let _ = driver.ram.write(Gpa(random.address()), &random.next().to_le_bytes());
            // Many descriptors.
            driver.poke(LIST + u64::from(number) * 32 + 2, &(random.next() as u16).to_le_bytes());
        }
        8 => {
            driver.stop();
            driver.start();
        }
        9 => {
            driver.write(0x2c, [0, 1, 4][random.below(3) as usize]);
            driver.write(0x2c, 0);
        }
        10 => driver.disk.pump(),
        _ => {
            let mut bytes = [0; 8];
            driver.ahci.lock().read(Region(5), random.below(0xff8), &mut bytes);
            driver.acknowledge();
        }
    }
}

/// Whatever a guest does, nobody panics, and a driver that starts over is served.
#[test]
fn anything_goes() {
    for seed in 1..40_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let driver = if seed % 3 == 0 { Driver::with_cdrom() } else { Driver::with_disk() };
        for _ in 0..400 {
            act(&driver, &mut random);
            if random.below(50) == 0 {
                let saved = driver.ahci.lock().save();
                driver.ahci.lock().restore(&saved).unwrap();
            }
        }
        driver.ahci.lock().write_config(4, &[6, 0]);
        driver.set(0x04, 1);
        driver.disk.pump();
        driver.start();
        driver.succeeds(&Slot::of(0xe7));
    }
}

#[test]
fn a_list_outside_of_memory_is_an_error() {
    let driver = Driver::with_disk();
    for address in [u64::MAX, 64 << 20, (64 << 20) - 1024 + 0x10_0000] {
        driver.write(0x00, address as u32);
        driver.write(0x04, (address >> 32) as u32);
        driver.write(0x38, 1 << 31);
        assert_eq!(driver.acknowledge(), 1 << 29, "{address:#x}");
        driver.stop();
        driver.start();
    }
    // Received frames, too.
    driver.write(0x08, 0x8000_0000);
    let (interrupts, _) = driver.run(&Slot::of(0xe7));
    assert_eq!(interrupts, 1 << 29 | 1);
}
