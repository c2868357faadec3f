# Sourced by the scripts that measure Debian's programs: how a row is run, timed and checked.
# Times are the machine's own uptime clock (10 ms steps), so each row should take a second or more where it is slowest.
cd /tmp || exit 1
export PYTHONHASHSEED=0 TMPDIR=/tmp
now() { cut -d' ' -f1 /proc/uptime; }
seconds() { awk "BEGIN{printf \"%.2f\", $1}"; }

# bench NAME COMMAND: prints "BENCH NAME SECONDS" and a digest of what the command says, "CHECK NAME DIGEST".
bench() {
  name=$1; shift
  start=$(now); ( eval "$*" ) >/tmp/out 2>/tmp/err; status=$?; end=$(now)
  echo "BENCH $name $(seconds "$end-$start")"
  if [ $status = 0 ]; then echo "CHECK $name $(sha256sum </tmp/out | cut -c1-16)"
  else echo "FAILED $name with $status: $(tail -n 3 /tmp/err | tr '\n' ' ')"; fi
}

# rate NAME COUNT ALGORITHM: how long COUNT private operations take, from how many openssl does in a second.
rate() {
  if per_second=$(openssl speed -mr -seconds 1 "$3" 2>/tmp/err | sed -n 's/^+F[0-9]*:[0-9]*:[0-9]*:\([0-9.]*\):.*/\1/p')
  then echo "BENCH $1 $(seconds "$2/$per_second")"
  else echo "FAILED $1: $(tail -n 3 /tmp/err | tr '\n' ' ')"; fi
}

# stress STRESSOR COUNT [OPTION…]: so many operations of one of stress-ng's stressors, verified by itself, in WORKERS
# processes (default 1). It calls a run with a stressor that died of a signal a successful one.
stress() {
  stressor=$1; count=$2; shift 2
  stress-ng --"$stressor" "${WORKERS:-1}" --"$stressor"-ops "$count" "$@" \
    --verify --metrics-brief --no-rand-seed --temp-path /tmp >/tmp/log 2>&1
  status=$?
  if [ $status != 0 ] || grep -q unexpected /tmp/log; then cat /tmp/log >&2; return 1; fi
  awk -v name="$stressor" '$2 == "metrc:" && $4 == name && $6 ~ /^[0-9.]*$/ {print "verified", $5}' /tmp/log
}

# method NAME COUNT: one of the methods of stress-ng's CPU stressor.
method() { stress cpu "$2" --cpu-method "$1"; }
