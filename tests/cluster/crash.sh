#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A plugin that crashes is named, also when it has used up the stack, and the process ends by its signal; one that holds the loop
# is named, too, and the node lives on.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
ulimit -c 0
export TMPDIR=$work
printf 'plugins = { crash = { file = "%s"; }; };\n' "$TEST_BUILDDIR/tests/fixtures/.libs/crash.so" >"$work/crash.conf"

# died NAME: of signal 11, which bash tells as 139.
died()
{
	local rc=0

	wait "${pid[$1]}" || rc=$?
	unset "pid[$1]"
	[ "$rc" -eq 139 ] || { echo "$1 ended with $rc"; cat "$work/$1.log"; return 1; }
}

start held "${diarkisd[@]}" -c "$work/crash.conf"
printf 'crash.hold\n2100\n' >"$work/DIARKIS_SIGUSR1"
send held USR1
claim "who holds the loop for two seconds is named" log_has held "held the loop for 2"
claim "and the node runs on, to a good end" stop held

for way in now deep; do
	start "$way" "${diarkisd[@]}" -c "$work/crash.conf"
	printf 'crash.%s\n' $way >"$work/DIARKIS_SIGUSR1"
	send "$way" USR1
	claim "crash.$way: the node dies of its signal" died "$way"
	claim "crash.$way: the plugin is named" grep -qF "diarkisd: crashed while this plugin's code ran: crash" "$work/$way.log"
done

# A node that is killed: the bot says so and fails, whether a message was on its way just then or not. Over TCP it knows at once.
start_default lost
"${bot[@]}" room --endpoint "$url" --type TCP --bots 8 --room-size 4 --messages 1000000 --rate 100 --reliable \
	>"$work/bot.out" 2>"$work/bot.log" </dev/null &
pid[bot]=$!
claim "the bots talk" log_has bot running
send lost KILL
wait "${pid[lost]}" 2>/dev/null # killed: its exit code says nothing
unset "pid[lost]"
rc=0
wait "${pid[bot]}" || rc=$?
unset "pid[bot]"
claim "a node that dies costs the bots their connections, and the exit code says so" test $rc -eq 1
claim "so does its report" grep -qE '^disconnected +8' "$work/bot.out"
finish
