#!/bin/sh
# Puts the root directory $1 of a new guest into the partition of disk.raw, of $2 KiB, and its kernel and initrd beside it,
# in files that are there: here, whoever makes the guest may write to them but make none.
set -eu
root=$1
kib=$2

cat "$root"/boot/vmlinuz-* > vmlinuz
cat "$root"/boot/initrd.img-* > initrd.img
# Without what is mounted inside.
view=$(mktemp -d)
mount --bind "$root" "$view"
status=0
mke2fs -q -F -t ext4 -L gasang-root -m 1 -E offset=1048576 -d "$view" disk.raw "${kib}k" || status=$?
umount "$view"
rmdir "$view"
exit "$status"
