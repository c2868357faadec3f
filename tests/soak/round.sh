# Runs in the guest of `cargo xtask soak`, with MINUTES and CPUS set: rounds of mixed work until the time is up.
# Each piece prints "SOAK <round> <piece> <digest of its output>"; the digest must be the same in every round.
cd /tmp || exit 1
export PYTHONHASHSEED=0
uptime_s() { cut -d. -f1 /proc/uptime; }
end=$(($(uptime_s) + MINUTES * 60))

# All memory is touched once, so that the process outside does not grow for this reason.
free_kib=$(awk '/MemAvailable/ {print $2}' /proc/meminfo)
dd if=/dev/zero of=fill bs=1024k count=$((free_kib / 1024 - 120)) 2>/dev/null; rm fill
for program in forks timers signals churn jit; do
  gcc -O1 -pthread -o $program /work/$program.c || { echo "SOAK 0 $program FAILED to compile"; exit 1; }
done

piece() {
  name=$1; shift
  if "$@" >out.$name 2>err.$name; then echo "SOAK $round $name $(sha256sum <out.$name | cut -c1-16)"
  else echo "SOAK $round $name FAILED with $?: $(tail -n 2 out.$name err.$name | tr '\n' ' ')"; fi
}
compile() { gcc -O2 -S -o - /work/churn.c /work/jit.c | sha256sum; }
pack() { head -c 400000 /usr/bin/perl | xz_ -3 -T1 -c >packed.$1 && xz_ -dc packed.$1 | cmp - perl.part && sha256sum <packed.$1; }
xz_() { /usr/bin/xz "$@"; }
head -c 400000 /usr/bin/perl >perl.part
machine() { piece churn ./churn; piece jit ./jit; piece signals ./signals; piece forks ./forks; }
programs() { piece compile compile; piece threads python3 -B /work/threads.py; piece pack pack a; piece timers ./timers; }

round=0
while [ "$(uptime_s)" -lt $end ]; do
  round=$((round + 1))
  if [ "$CPUS" -gt 1 ]; then machine & programs; wait; else machine; programs; fi
  echo "SOAK $round round $(echo done | sha256sum | cut -c1-16)"
done
echo "SOAK $round end"
