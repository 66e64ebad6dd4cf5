#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A test of the simulator under many random seeds: tests/sim/many-seeds.sh [room|cluster|dive] [LAST] [BUILD]
#
#   room      a room over a bad network: every reliable message exactly once and in order (1,000 seeds)
#   cluster   whole clusters under random faults (20,000 seeds)
#   dive      histories of keys under random faults (10,000 seeds)
#
# Runs seeds 1 to LAST, as many at a time as there are processors, writes each good one down in BUILD/tests/sim/seeds-NAME.log, and
# goes on where it stopped when it is started again. Stops at a bad seed with the command that runs it again. Delete the log to
# begin anew.
set -u
cd "$(dirname "$(readlink -f "$0")")/../.." || exit 1
name=room last=''
case ${1-} in
room | cluster | dive) name=$1; shift ;;
esac
case $name in
room) last=${1:-1000} ;;
cluster) last=${1:-20000} ;;
dive) last=${1:-10000} ;;
esac
build=${2:-build} block=10
[ "$name" = room ] || block=50
log=$build/tests/sim/seeds-$name.log
program=$build/tests/sim/sim_$name
[ "$name" != dive ] || program=$build/plugins/dive/tests/sim_dive
export DIARKIS_TEST_PLUGINS=$PWD/$build/plugins/.libs
mkdir -p "$(dirname "$log")"
touch "$log"

# run_block FIRST LAST: its lines go to the log as a whole, so that two blocks never mix.
run_block()
{
	local out rc=0

	out=$("$program" "$1" "$2" 2>"$log.$1.err") || rc=$?
	printf '%s\n' "$out" | grep ' ok ' >>"$log"
	[ $rc -eq 0 ] && { rm -f "$log.$1.err"; return; }
	echo
	cat "$log.$1.err"
	printf '%s\n' "$out" | tail -n 1
	echo "seed $(($1 + $(grep -c ' ok ' <<<"$out"))) is bad: $program SEED SEED runs it again"
	rm -f "$log.$1.err"
	return 1
}

declare -A good=()
while read -r _ seed _; do
	good[$seed]=1
done <"$log"
[ ${#good[@]} -eq 0 ] || echo "${#good[@]} seeds were good before; going on"
running=0 bad=0
for ((first = 1; first <= last && !bad; first = end + 1)); do
	end=$((first + block - 1 < last ? first + block - 1 : last))
	for ((seed = first; seed <= end; seed++)); do
		[ -n "${good[$seed]-}" ] || break
	done
	[ "$seed" -le "$end" ] || continue
	if [ $running -ge "$(nproc)" ]; then
		wait -n || bad=1
		running=$((running - 1))
		printf '\r%d of %d seeds' "$first" "$last"
	fi
	run_block "$seed" "$end" &
	running=$((running + 1))
done
while [ $running -gt 0 ]; do
	wait -n || bad=1
	running=$((running - 1))
done
echo
[ $bad -eq 0 ] || exit 1
echo "$last seeds are good"
awk '
	{ for (i = 2; i <= NF; i++) { if ($(i) == "heard,") heard += $(i - 1); if ($(i) == "doubled,") doubled += $(i - 1) } }
	END { if (heard) printf "%.0f messages heard, %.0f of them a second time, after a move under loss\n", heard, doubled }
' "$log"
