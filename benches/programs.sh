#!/bin/sh
# Debian's programs, each row checked against what the host makes of it. SCALE multiplies the work (default 1).
SCALE=${SCALE:-1}
. /work/measure.sh
repeat() { i=0; while [ $i -lt $((SCALE)) ]; do "$@" || return; i=$((i+1)); done; }
# Debian's xz by its path: this shell would run its own.
# What is compressed: machine code and text.
head -c 1500000 /usr/lib/gcc/x86_64-linux-gnu/12/cc1 >corpus; cat /usr/include/linux/*.h | head -c 500000 >>corpus
/usr/bin/xz -6 -c corpus >corpus.xz; zstd -q -19 -c corpus >corpus.zst
head -c 8000000 /usr/bin/stress-ng >blob
openssl genrsa -out rsa.pem 2048 2>/dev/null; openssl rsa -in rsa.pem -pubout -out rsa.pub 2>/dev/null
# Compiles Python's and Perl's libraries, where that is done once.
python3 -c 'import collections, hashlib, json, random, re'; gcc --version >/dev/null
sign() { openssl dgst -sha256 -sign rsa.pem -out blob.sig measured && openssl dgst -sha256 -verify rsa.pub -signature blob.sig measured; }
signs() { head -c 1000 blob >measured; i=0; while [ $i -lt $((20*SCALE)) ]; do sign || return; i=$((i+1)); done; }
compile() { printf '#include "EXTERN.h"\n#include "perl.h"\n' | gcc -O2 -fkeep-inline-functions -I/usr/lib/x86_64-linux-gnu/perl/5.36.0/CORE -x c -c -o perl.o - && cat perl.o; }
bench python-numbers "python3 /work/numbers.py $SCALE"
bench python-text    "python3 /work/text.py $SCALE"
bench perl-numbers   "perl /work/numbers.pl $SCALE"
bench perl-text      "perl /work/text.pl $SCALE"
bench sqlite         "repeat sqlite3 :memory: <&- '.read /work/rows.sql'"
bench xz             "repeat /usr/bin/xz -6 -T1 -c corpus"
bench xz-d           "i=0; while [ \$i -lt $((12*SCALE)) ]; do /usr/bin/xz -d -c corpus.xz; i=\$((i+1)); done"
bench zstd           "i=0; while [ \$i -lt $((4*SCALE)) ]; do zstd -q -9 --single-thread -c corpus; i=\$((i+1)); done"
bench zstd-d         "i=0; while [ \$i -lt $((40*SCALE)) ]; do zstd -q -d -c corpus.zst; i=\$((i+1)); done"
bench gcc            "repeat compile"
bench make           "make -s -f /work/Makefile PARTS=$((4*SCALE)) clean all && ./all"
bench openssl-sha256 "i=0; while [ \$i -lt $((10*SCALE)) ]; do openssl dgst -sha256 blob; i=\$((i+1)); done"
bench openssl-sha512 "i=0; while [ \$i -lt $((10*SCALE)) ]; do openssl dgst -sha512 blob; i=\$((i+1)); done"
bench openssl-aes    "i=0; while [ \$i -lt $((10*SCALE)) ]; do openssl enc -aes-256-cbc -K 00010203 -iv 04 -in blob; i=\$((i+1)); done"
bench openssl-chacha "i=0; while [ \$i -lt $((10*SCALE)) ]; do openssl enc -chacha20 -K 00010203 -iv 04 -in blob; i=\$((i+1)); done"
bench openssl-sign   "signs"
rate openssl-rsa2048 $((200*SCALE)) rsa2048
rate openssl-ecdsa   $((5000*SCALE)) ecdsap256
rate openssl-x25519  $((4000*SCALE)) ecdhx25519
bench cpu-all         "method all $((400*SCALE))"
bench cpu-int64       "method int64 $((600*SCALE))"
bench cpu-int128      "method int128 $((600*SCALE))"
bench cpu-div64       "method div64 $((3000*SCALE))"
bench cpu-bitops      "method bitops $((600*SCALE))"
bench cpu-crc16       "method crc16 $((800*SCALE))"
bench cpu-queens      "method queens $((600*SCALE))"
bench cpu-prime       "method prime $((600*SCALE))"
bench cpu-fibonacci   "method fibonacci $((600*SCALE))"
bench cpu-jmp         "method jmp $((600*SCALE))"
bench cpu-rand48      "method rand48 $((600*SCALE))"
bench cpu-float       "method float $((200*SCALE))"
bench cpu-double      "method double $((200*SCALE))"
bench cpu-longdouble  "method longdouble $((100*SCALE))"
bench cpu-cdouble     "method cdouble $((100*SCALE))"
bench cpu-decimal64   "method decimal64 $((200*SCALE))"
bench cpu-float128    "method float128 $((200*SCALE))"
bench cpu-matrixprod  "method matrixprod $((200*SCALE))"
bench cpu-fft         "method fft $((200*SCALE))"
bench cpu-trig        "method trig $((200*SCALE))"
bench cpu-hyperbolic  "method hyperbolic $((200*SCALE))"
bench cpu-explog      "method explog $((200*SCALE))"
bench cpu-gamma       "method gamma $((200*SCALE))"
bench cpu-sqrt        "method sqrt $((200*SCALE))"
bench qsort           "stress qsort $((2*SCALE))"
bench vecmath         "stress vecmath $((200*SCALE))"
bench hash            "stress hash $((300*SCALE))"
bench matrix          "stress matrix $((400*SCALE))"
