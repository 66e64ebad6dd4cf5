# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests of whole clusters share: bots at work while something happens, and what a node thinks of another. Sourced after
# lib.sh by the scripts cluster_*.sh, which are run by ./dev test in a short form and with DK_LONG=1 by ./dev test --long.
# shellcheck disable=SC2154
long=${DK_LONG:-}
stats=("$TEST_BUILDDIR/tools/diarkis-mars-stats")
health=("$TEST_BUILDDIR/tools/diarkis-health-check")

# either LONG SHORT: one of them.
either()
{
	if [ -n "$long" ]; then echo "$1"; else echo "$2"; fi
}

# up N ARGUMENT...: a cluster, or the end of the test.
up()
{
	cluster_up "$@" >"$work/said" 2>&1 || {
		echo "FAIL  the cluster does not come up"
		cat "$work/said"
		exit 1
	}
}

# bots NAME ARGUMENT...: bots in rooms, who talk until bots_end; returns when they do.
bots()
{
	local name=$1

	shift
	timeout 900 "${bot[@]}" room --endpoint "$cluster_url" --seconds 800 "$@" >"$work/$name.figures" 2>"$work/$name.log" </dev/null &
	pid[$name]=$!
	log_has "$name" running
}

# bots_end NAME: they stop talking, and wait for what is under way. Fails when their bounds were not kept.
bots_end()
{
	local rc=0

	kill -INT "${pid[$1]}" 2>/dev/null
	wait "${pid[$1]}" || rc=$?
	unset "pid[$1]"
	[ $rc -eq 0 ] || tail -n 5 "$work/$1.log"
	cat "$work/$1.figures"
	return $rc
}

# seconds S: lets so much time pass, while bots talk.
seconds()
{
	local until=$((${EPOCHREALTIME/./} + $1 * 1000000))

	while [ "${EPOCHREALTIME/./}" -lt "$until" ]; do
		a_moment
	done
}

# sees NAME ADDRESS WORD: that node, asked over the mesh, has a line of that address with that word.
sees()
{
	"${stats[@]}" -w 1 "$(address mesh "$1")" 2>/dev/null | grep -qE "^$2 .*$3"
}

# all_see MS ADDRESS WORD NAME...: each of these nodes does, within so many milliseconds from now on.
all_see()
{
	local ms=$1 at=$2 word=$3 began=${EPOCHREALTIME/./} name took

	shift 3
	for name; do
		until sees "$name" "$at" "$word"; do
			took=$(((${EPOCHREALTIME/./} - began) / 1000))
			[ $took -lt "$ms" ] || {
				echo "$name does not see $at as $word after $took ms:"
				"${stats[@]}" "$(address mesh "$name")"
				return 1
			}
			read -r -t 0.02 <>"$work/never" || true
		done
	done
	took=$(((${EPOCHREALTIME/./} - began) / 1000))
	echo "$took ms"
	[ $took -lt "$ms" ]
}

# killed NAME: kill -9, and its end is not asked for.
killed()
{
	send "$1" KILL
	wait "${pid[$1]}" 2>/dev/null
	unset "pid[$1]"
}
