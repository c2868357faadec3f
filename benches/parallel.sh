#!/bin/sh
# Work for two CPUs: each row does the same on one as on two. SCALE multiplies it (default 1).
SCALE=${SCALE:-1}
. /work/measure.sh
head -c 3000000 /usr/lib/gcc/x86_64-linux-gnu/12/cc1 >corpus; head -c 8000000 /usr/bin/stress-ng >blob
python3 -c 'import collections, hashlib, json, random, re'; gcc --version >/dev/null
# both COMMAND FILE: twice at once, as two processes.
both() { ( eval "$1" ) >a & ( eval "$1" ) >b & wait; cat a b; }
digests() { i=0; while [ $i -lt $((40*SCALE)) ]; do openssl dgst -sha256 blob || return; i=$((i+1)); done; }
export WORKERS=2
bench two-xz      "i=0; while [ \$i -lt $((SCALE)) ]; do both '/usr/bin/xz -6 -T1 -c corpus'; i=\$((i+1)); done"
bench two-python  "both 'python3 /work/numbers.py $SCALE'"
bench two-openssl "both digests"
bench stress-cpu  "method int64 $((1200*SCALE))"
bench stress-fft  "method fft $((1200*SCALE))"
bench make-j2     "make -s -j2 -f /work/Makefile PARTS=$((48*SCALE)) clean && make -s -j2 -f /work/Makefile PARTS=$((48*SCALE)) all && ./all"
