#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# MARS is killed under load: players do not notice. A node that starts meanwhile finds the others by one it knows; a MARS that
# starts anew, empty, has the whole table soon.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

# table N MS: MARS has N nodes within so many milliseconds.
table()
{
	local until=$((${EPOCHREALTIME/./} + $2 * 1000)) said

	until said=$("${stats[@]}" -w 0.5 2>&1) && [[ $said == *"$1 nodes"* ]]; do
		[ "${EPOCHREALTIME/./}" -lt $until ] || { echo "$said"; return 1; }
		a_moment
	done
}

# test: gone
up 3
bots load --bots 300 --room-size 10 --rate 10 --reliable --expect-lossless --max-lost 0 --max-doubled 0 --max-rooms-lost 0 --max-disconnected 0
seconds 1
killed mars
seconds "$(either 50 3)"
claim "a node that starts meanwhile finds the others by one of them" \
	cluster_node udp4 udp --set mesh.port=0 --set udp.port=0 --set "mars.peers=$(address mesh udp1)"
claim "and is found" cluster_sees 4
claim "the probe of MARS says what is missing" answers 1 "has not heard MARS" -- "${health[@]}" "$(address mesh udp1)" mars
claim "the nodes themselves are well" answers 0 well -- "${health[@]}" "$(address mesh udp1)" in
seconds "$(either 8 1)"
cluster_node mars mars --set mesh.port=0 --set mars.port="$DIARKIS_MARS_PORT" || exit 1
claim "two seconds after it begins anew MARS knows all" table 6 2000
seconds 1
claim "no message was lost or doubled, nobody disconnected" bots_end load
claim "all end well" cluster_end
finish
