#!/bin/sh
# Puts the root directory $1 of a new guest into the partition of $2/disk.raw, of $3 KiB, and its kernel and initrd beside it.
set -eu
root=$1
out=$2
kib=$3

cp "$root"/boot/vmlinuz-* "$out/vmlinuz"
cp "$root"/boot/initrd.img-* "$out/initrd.img"
# Without what is mounted inside.
view=$(mktemp -d)
mount --bind "$root" "$view"
status=0
mke2fs -q -F -t ext4 -L gasang-root -m 1 -E offset=1048576 -d "$view" "$out/disk.raw" "${kib}k" || status=$?
umount "$view"
rmdir "$view"
exit "$status"
