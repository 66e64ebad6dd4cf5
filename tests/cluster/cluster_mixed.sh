#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All modules at once, on three nodes: 2,000 players sit in rooms, groups and sessions, write to each other and count together, while
# one node is drained and restarted and another one is killed. No message is lost but those under way when the node died, which are
# counted apart; counters are exact. Before that, players come and go, and no node grows with them.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

diarkisd+=(-p "$TEST_BUILDDIR/examples/.libs")
mkdir "$work/conf"
cp "$cluster_conf/mesh.inc" "$cluster_conf/mars.conf" "$TEST_SRCDIR/tests/cluster/mixed/"*.conf "$work/conf/"
cluster_conf=$work/conf

# With AddressSanitizer nodes take several times the processor and keep what was freed: fewer players then, and memory says nothing.
players=2000 asan=''
if grep -q -- '--enable-asan' "$TEST_BUILDDIR/config.status"; then
	players=300 asan=yes
fi

# mixed NAME JSON: a run by that scenario file; returns when it is under way.
mixed()
{
	local name=$1

	printf '%s\n' "$2" >"$work/$name.json"
	: >"$work/$name.log"
	timeout 900 "${bot[@]}" scenario "$work/$name.json" --endpoint "$cluster_url" --json >"$work/$name.figures" 2>"$work/$name.log" </dev/null &
	pid[$name]=$!
	log_has "$name" counted
}

# all_find_each_other: the modules are ready when nodes have found out which of them keeps what.
all_find_each_other()
{
	local until=$((SECONDS + 30))

	until timeout 60 "${bot[@]}" dm --endpoint "$cluster_url" --bots 8 --messages 1 --reliable --quiet --prefix first-; do
		[ $SECONDS -lt $until ] || return 1
		a_moment
	done
}

kib() # NAME: what is resident of that node
{
	local pages

	read -r _ pages _ <"/proc/${pid[$1]}/statm"
	echo $((pages * $(getconf PAGESIZE) / 1024))
}

# figure NAME KEY: the first number of that name in the figures.
figure()
{
	grep -oE "\"$2\": [0-9]+" "$work/$1.figures" | head -n 1 | grep -oE '[0-9]+$'
}

# test: memory
# What a visitor leaves behind longest is its session, for 30 seconds.
warm=$(either 60 35) measured=$(either 420 20)
up 3
claim "all modules are ready" all_find_each_other
mixed visits '{"howmany": 60, "duration": 900, "reliable": true, "rate": 1, "members": 6, "visitors": 150, "stay": 200, "max_lost": 0,
	"scenarios": ["room", "group", "session", "dm", "dive"]}'
seconds "$warm"
declare -A before=() after=()
for name in http udp1 udp2 udp3; do before[$name]=$(kib $name); done
began=$SECONDS
seconds "$measured"
for name in http udp1 udp2 udp3; do after[$name]=$(kib $name); done
took=$((SECONDS - began)) total=$((SECONDS - began + warm))
claim "every visit was good, and no message was lost meanwhile" bots_end visits
connections=$(($(figure visits begun) * took / total))

# grew NAME KIB: by less than that.
grew()
{
	echo "$1: ${before[$1]} KiB, after about $connections connections to the cluster ${after[$1]} KiB"
	[ $((after[$1] - before[$1])) -lt "$2" ]
}
# A MiB for 100,000 connections can be told from the noise of an allocator only after many of them: the short form sees to it that
# there is no more than that noise.
[ -z "$asan" ] || echo "The growth of nodes is not looked at: AddressSanitizer keeps what was freed."
for name in http udp1 udp2 udp3; do
	[ -z "$asan" ] || break
	claim "$name does not grow with those who come and go" grew $name "$(either $((connections * 1024 / 100000)) 1024)"
	grew $name 0 || true
done

# test: disturbed
calm='"max_lost_calm": 0, "max_rooms_lost": 0, "max_disconnected": 0, "max_doubled": 0'
# Of a group messages may come twice to members whose node died. The sessions of a dead node are lost, and their members told. A
# direct message whose sender was told that it failed is none of the lost ones, but lost_told.
mixed load '{"howmany": '"$players"', "duration": 900, "reliable": true, "rate": '"$(either 0.5 0.25)"', "members": 6, "visitors": 10, "drain": 25,
	"scenarios": [{"name": "room", '"$calm"'}, {"name": "group", "max_lost_calm": 0, "max_doubled_calm": 0},
	{"name": "session", "max_lost_calm": 0, "max_doubled": 0}, {"name": "dm", '"$calm"'}, {"name": "dive"},
	{"name": "notifier", "max_lost_calm": 0, "max_doubled_calm": 0}]}'
began=$SECONDS lasts=$(either 600 60) kills=() notices=0

# Notices are given on udp2, the node that is never stopped.
notice()
{
	notices=$((notices + 1))
	"$TEST_BUILDDIR/tools/diarkisctl" call "$(address mesh udp2)" notifier.notify "load-$notices" "" 600000 true "notice $notices"
}

one_round()
{
	seconds 3
	claim "a notice before a node is drained" notice
	claim "udp3 is drained and ends well" within 10 stop udp3
	claim "it begins anew" cluster_node udp3 udp --set mesh.port=0 --set udp.port=0
	claim "and is found" cluster_sees 3
	claim "one while it comes back" notice
	seconds 5
	claim "and one just before another node is killed" notice
	kills+=($((${EPOCHREALTIME/./} / 1000)))
	killed udp1
	seconds 8
	claim "another one begins in place of udp1, which was killed" cluster_node udp1 udp --set mesh.port=0 --set udp.port=0
	claim "and is found" cluster_sees 3
	seconds 5
}
one_round
while [ -n "$long" ] && [ $((SECONDS - began)) -lt $((lasts - 60)) ]; do
	one_round
done
[ $((SECONDS - began)) -ge "$lasts" ] || seconds $((lasts - (SECONDS - began)))
claim "nothing was lost but what was under way when a node died; counters are exact; nobody was disconnected" bots_end load

# at_kills: bots missed their node only around the kills.
at_kills()
{
	local from to kill ok

	while read -r from to; do
		ok=''
		for kill in "${kills[@]}"; do
			[ "$from" -lt $((kill - 4000)) ] || [ "$to" -gt $((kill + 8000)) ] || ok=yes
		done
		echo "from $from to $to; kills at ${kills[*]}"
		[ -n "$ok" ] || return 1
	done < <(grep -oE '"from_unix_ms": [0-9]+, "to_unix_ms": [0-9]+' "$work/load.figures" | sed -E 's/[^0-9]+/ /g')
}
claim "bots missed their nodes at the kills, and at no other time" at_kills
claim "all notices were heard" test "$(figure load notices)" -eq $notices
grep -oE '"kind": "[a-z]+"|"(notices|heard|least|sent|lost|lost_calm|lost_told|duplicated|duplicated_calm|told|unknown|counted)": [0-9]+' "$work/load.figures" | tr '\n' ' ' | sed 's/"kind"/\n&/g'
echo
claim "all end well" cluster_end
finish
