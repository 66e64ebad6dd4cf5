#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Notices, as an operator gives them and as players hear them: each once, also who comes later, until they end or are deleted.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"

# task NAME LINE...: a task of the node, by a file and a signal, and what came of it.
task()
{
	local before

	before=$(grep -c "task $1: " "$work/node.log")
	printf '%s\n' "${@:1:$#-1}" >"$work/DIARKIS_SIGUSR1"
	printf '%s' "${!#}" >>"$work/DIARKIS_SIGUSR1"
	send node USR1 || return 1
	while [ "$(grep -c "task $1: " "$work/node.log")" -eq "$before" ]; do
		a_moment
	done
	grep "task $1: " "$work/node.log" | tail -n 1 | grep -F "task $1: ok"
}

# hear FIGURES OPTION...: bots that come now hear what that says. Their heartbeats are five a second.
hear()
{
	local figures=$1

	shift
	answers 0 "$figures" -- "${bot[@]}" notifier --endpoint "$url" --bots 20 --seconds 2 --echo 200 --json --quiet --max-doubled 0 \
		--max-lost 0 "$@"
}

# test: one node
export TMPDIR=$work
start_default node
claim "a notice, by a task" task notifier.notify one "" 60000 false "a maintenance"
claim "one that is to come for sure" task notifier.notify two "" 60000 true "and an event"
not()
{
	! "$@"
}
claim "its id is not taken twice" not task notifier.notify two "" 60000 true "something else"
claim "over UDP who comes later hears both, once" hear '"notices": 2, "reliable": 1, "heard": 40, "least": 2, "lost": 0, "lost_calm": 0, "faint": 0, "duplicated": 0'
claim "over TCP, too" hear '"notices": 2, "reliable": 2, "heard": 40, "least": 2, "lost": 0, "lost_calm": 0, "faint": 0, "duplicated": 0' --type TCP
claim "fewer than there should be are an error" answers 1 "is 2, under the bound of 3." -- \
	"${bot[@]}" notifier --endpoint "$url" --bots 2 --seconds 1 --echo 200 --quiet --min-notices 3
claim "one is deleted" task notifier.remove one
claim "and heard no more" hear '"notices": 1, "reliable": 1, "heard": 20' --min-notices 1
claim "beside rooms and all else" answers 0 '{"kind": "notifier", "notices": 1, "reliable": 1, "heard": 8' -- "${bot[@]}" mixed --endpoint "$url" \
	--with room,notifier --bots 8 --room-size 4 --rate 5 --seconds 1 --echo 200 --reliable --json --quiet
claim "the node ends well" stop node
finish
