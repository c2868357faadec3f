//! Superblocks of file systems that are only named.
use gasang_inspect::FileSystem;

use super::disk::disk;

/// What a disk with these bytes has.
fn identify(parts: &[(usize, &[u8])]) -> FileSystem {
    let mut bytes = vec![0; 256 << 10];
    for (at, part) in parts {
        bytes[*at..at + part.len()].copy_from_slice(part);
    }
    let survey = gasang_inspect::survey(&disk(bytes)).unwrap();
    assert_eq!((survey.scheme, survey.partitions.len()), (None, 1), "{survey:?}");
    survey.partitions[0].file_system.clone().unwrap()
}

#[test]
fn superblocks_are_told_apart() {
    let uuid: Vec<u8> = (0x10..0x20).collect();
    let written = "10111213-1415-1617-1819-1a1b1c1d1e1f";
    let letters = b"abcdefghijklmnopqrstuvwxyz012345";
    let serial = &0x1234_abcd_u32.to_le_bytes();
    let exfat_numbers: (usize, &[u8]) = (88, &[8, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0]);
    let exfat_label = b"\x83\x03S\0D\x001\0\0\0";
    type Row<'a> = (&'a str, &'a [(usize, &'a [u8])], Option<&'a str>, Option<&'a str>);
    let rows: [Row<'_>; 7] = [
        ("xfs", &[(0, b"XFSB"), (32, &uuid), (108, b"data")], Some("data"), Some(written)),
        (
            "btrfs",
            &[(0x10040, b"_BHRfS_M"), (0x10020, &uuid), (0x1012b, b"data")],
            Some("data"),
            Some(written),
        ),
        ("swap", &[(4086, b"SWAPSPACE2"), (1036, &uuid), (1052, b"data")], Some("data"), Some(written)),
        ("luks", &[(0, b"LUKS\xba\xbe\0\x02"), (24, b"data"), (168, b"1-2")], Some("data"), Some("1-2")),
        ("luks", &[(0, b"LUKS\xba\xbe\0\x01"), (24, b"aes"), (168, b"1-2")], None, Some("1-2")),
        (
            "lvm2",
            &[(512, b"LABELONE"), (532, &[32]), (536, b"LVM2 001"), (544, letters)],
            None,
            Some("abcdef-ghij-klmn-opqr-stuv-wxyz-012345"),
        ),
        (
            "exfat",
            &[(3, b"EXFAT   "), exfat_numbers, (100, serial), (108, &[9, 1]), (10 * 512, exfat_label)],
            Some("SD1"),
            Some("1234-ABCD"),
        ),
    ];
    for (kind, parts, label, uuid) in rows {
        let found = identify(parts);
        assert_eq!((found.kind.name(), found.label.as_deref(), found.uuid.as_deref()), (kind, label, uuid));
        assert!(!found.kind.is_readable());
    }
}
