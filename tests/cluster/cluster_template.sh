#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The reference's folder of configuration files, unchanged, and its health check by its own three command lines.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
. "$TEST_SRCDIR/tests/cluster/cluster.sh"

# Its files are in /tmp itself, as it is in the command lines: one such test at a time on this computer.
exec 8>/tmp/DIARKIS_TEST.lock
flock 8
unset TMPDIR
rm -f /tmp/DIARKIS_PUBLIC_ADDR /tmp/DIARKIS_MESH_ADDR
cp -r "$TEST_SRCDIR/tests/cluster/template/." "$work/template"
cd "$work/template" || exit 1
ln -s "${health[0]}" health-check
# MARS never takes another port than the one it is told, and that of the files may be somebody's on this computer.
export DIARKIS_MARS_PORT=$((20000 + RANDOM % 10000))

# test: template
for name in mars http udp tcp; do
	claim "$name: the folder is good" answers 0 good -- "${diarkisd[@]}" -c $name.conf -t
done
TMPDIR=$work start mars "${diarkisd[@]}" -c mars.conf --set mars.port=$DIARKIS_MARS_PORT || exit 1
for name in http tcp; do
	TMPDIR=$work start $name "${diarkisd[@]}" -c $name.conf || exit 1
	[ $name != http ] || cluster_url=$url
done
start udp "${diarkisd[@]}" -c udp.conf || exit 1
claim "they find each other" cluster_sees 1
claim "players are sent to the UDP server" answers 0 '"serverType":"UDP"' "\"serverPort\":$(address udp udp | cut -d: -f2)" -- \
	curl -sSf "$cluster_url/endpoint/type/UDP/user/alice"
claim "and to the TCP server" answers 0 '"serverType":"TCP"' -- curl -sSf "$cluster_url/endpoint/type/TCP/user/bob"
claim "they talk" timeout 60 "${bot[@]}" room --endpoint "$cluster_url" --bots 8 --room-size 4 --messages 20 --reliable --quiet

# test: seed
claim "the health check from outside" answers 0 well -- bash -c './health-check                `cat /tmp/DIARKIS_PUBLIC_ADDR`                      out'
claim "from inside" answers 0 well -- bash -c './health-check                 `cat /tmp/DIARKIS_MESH_ADDR`                       in'
claim "and with MARS" answers 0 well -- bash -c './health-check                 `cat /tmp/DIARKIS_MESH_ADDR`                       mars'
public=$(address udp udp) mesh=$(address mesh udp)
for name in udp tcp http mars; do
	claim "$name ends well" stop $name
done
# Somebody else's node may write them, too, as soon as ours are gone.
claim "its files are gone" bash -c '! grep -qsxF -e "$0" -e "$1" /tmp/DIARKIS_PUBLIC_ADDR /tmp/DIARKIS_MESH_ADDR' "$public" "$mesh"
finish
