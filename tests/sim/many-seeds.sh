#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The room over a bad network under many random seeds: tests/sim/many-seeds.sh [LAST] [BUILD]
#
# Runs seeds 1 to LAST (1000), writes each good one down in BUILD/tests/sim/seeds.log, and goes on where it stopped when it is
# started again. Stops at the first bad seed with the command that runs it again. Delete the log to begin anew.
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
last=${1:-1000} build=${2:-build}
log=$build/tests/sim/seeds.log
export DIARKIS_TEST_PLUGINS=$PWD/$build/plugins/.libs
mkdir -p "$(dirname "$log")"
touch "$log"
done=$(grep -c ' ok ' "$log" || true)
[ "$done" -eq 0 ] || echo "going on after seed $done"
while [ "$done" -lt "$last" ]; do
	to=$((done + 10 < last ? done + 10 : last))
	"$build/tests/sim/sim_room" $((done + 1)) "$to" >>"$log" 2>"$log.err" || {
		tail -n 1 "$log"
		cat "$log.err"
		echo "seed $(($(grep -c ' ok ' "$log") + 1)) is bad: $build/tests/sim/sim_room SEED SEED runs it again"
		exit 1
	}
	done=$to
	printf '\r%d of %d seeds' "$done" "$last"
done
echo
echo "$done seeds: every reliable message exactly once and in order"
