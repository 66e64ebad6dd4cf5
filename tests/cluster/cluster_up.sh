#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A cluster of MARS, an HTTP node and three realtime nodes: it comes up, sends players to all of them, shows itself, and goes down.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

# spread N: of that many players some are sent to each of the three nodes.
spread()
{
	local i name answers

	answers=$(for ((i = 0; i < $1; i++)); do curl -sSf "$cluster_url/endpoint/type/UDP/user/someone$i"; done)
	for name in udp1 udp2 udp3; do
		[[ $answers == *"\"serverPort\":$(address udp $name | cut -d: -f2)"[,}]* ]] || { echo "nobody is sent to $name"; return 1; }
	done
}

# file_says NAME FILE PLUGIN: the node wrote its address there.
file_says()
{
	local said

	said=$(cat "$work/$1.tmp/$2") && [ "$said" = "$(address "$3" "$1")" ] || { echo "$2 of $1 says: $said"; return 1; }
}

gone()
{
	[ ! -e "$work/$1.tmp/$2" ]
}

# test: up
up 3
claim "players are sent to all three" spread 40
claim "the HTTP node counts them" answers 0 '"onlineCnt":3' '"takenCnt":0' -- curl -sSf "$cluster_url/state/noderole/UDP"
claim "there is nobody of another type, and a sentence says so" answers 0 '"error":"' "503" -- \
	curl -s -w ' %{http_code}' "$cluster_url/endpoint/type/NONE/user/alice"
claim "players of one room come from all nodes, and lose nothing" \
	timeout 60 "${bot[@]}" room --endpoint "$cluster_url" --bots 60 --room-size 10 --rate 20 --messages 40 --reliable --quiet
claim "so do two clients at the keyboard" answers 0 "push room.broadcast: hello" -- \
	"${cli[@]}" -e "$cluster_url" room create 2 then room broadcast hello then expect 1 then room leave

# test: files
for name in mars http udp1; do
	claim "$name tells its address in the mesh by a file" file_says $name DIARKIS_MESH_ADDR mesh
done
claim "udp1 tells its public one, too" file_says udp1 DIARKIS_PUBLIC_ADDR udp

# test: mars_stats
for name in mars http udp2; do
	claim "$name knows all five" answers 0 "$(address mesh udp1)" "$(address mesh udp3)" "UDP=127.0.0.1:" "5 nodes" -- \
		"${stats[@]}" "$(address mesh $name)"
done
claim "without an address MARS is asked" answers 0 "5 nodes" -- "${stats[@]}"
claim "as JSON" answers 0 '"nodes": [' '"health": "ALIVE"' '"state": "ONLINE"' -- "${stats[@]}" --json
claim "--help" answers 0 "Usage: diarkis-mars-stats" "Exit status:" -- "${stats[@]}" --help
claim "two addresses are a wrong usage" answers 2 "--help" -- "${stats[@]}" a b
(umask 077; echo 0123 >"$work/short.key"; od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$work/other.key")
claim "a key that is none ends with 78" answers 78 "64 hexadecimal digits" -- "${stats[@]}" -k "$work/short.key"
claim "without the key nobody answers" answers 1 "nothing came back" -- env -u DIARKIS_CLUSTER_KEY_FILE "${stats[@]}" -w 0.5
claim "nor with another one" answers 1 "nothing came back" -- "${stats[@]}" -w 0.5 -k "$work/other.key"
claim "nor in the name of another cluster" answers 1 "nothing came back" -- "${stats[@]}" -w 0.5 -c other

# test: down
udp3=$(address mesh udp3)
claim "a node that is told to stops well" within 9 stop udp3
claim "at once the others know that it left" all_see 1000 "$udp3" "LEFT" mars http udp1 udp2
claim "and the HTTP node sends nobody there" cluster_sees 2
claim "its files are gone" gone udp3 DIARKIS_MESH_ADDR
claim "all others stop well, too" within 12 cluster_end
finish
