# SPDX-License-Identifier: Apache-2.0
# What is kept in a room, by the command line client and a real node, over UDP and TCP: properties, states, objects.
set -eu
build=$TEST_BUILDDIR
work=$(mktemp -d)
node=
cleanup()
{
	[ -z "$node" ] || kill "$node" 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

cat >"$work/node.conf" <<CONF
plugins = {
	http = { address = "127.0.0.1"; port = 0; };
	endpoint = { };
	udp = { address = "127.0.0.1"; port = 0; };
	tcp = { address = "127.0.0.1"; port = 0; };
	user = { };
	room = { state_interval_ms = 17; };
};
CONF
mkfifo "$work/out"
TMPDIR=$work "$build/diarkisd/diarkisd" -c "$work/node.conf" -p "$build/plugins/.libs" >"$work/out" 2>"$work/log" &
node=$!
read -r -t 20 ready <"$work/out" || { cat "$work/log"; exit 1; }
url=http://$(sed -E 's/.*http=([^ ]*).*/\1/' <<<"$ready")

# expect WHAT RC COMMAND...: the exit status is RC and the output contains each line of standard input.
expect()
{
	local what=$1 want=$2 rc=0 line
	shift 2
	timeout 60 "$build/tools/diarkis-cli" -e "$url" "$@" >"$work/got" 2>&1 </dev/null || rc=$?
	[ "$rc" -eq "$want" ] || { echo "$what: exit status $rc, expected $want"; cat "$work/got"; exit 1; }
	while read -r line; do
		grep -qF -- "$line" "$work/got" || { echo "$what: \"$line\" is missing in:"; cat "$work/got"; exit 1; }
	done
}

for type in UDP TCP; do
	expect "properties over $type" 0 -t $type -u me room create 4 then call room.update_props team,map @room true red,hill \
		then call room.get_props map @room then call room.incr_prop 3 score @room true then call room.incr_prop -5 score @room false <<-OUT
		push room.props: names=team,map room=
		answer room.update_props ok
		answer room.get_props ok: names=map values=hill
		push room.incr_prop: name=score
		answer room.incr_prop ok: value=3
		answer room.incr_prop ok: value=-2
	OUT
	expect "states over $type" 0 -t $type -u me room create 4 then call room.state_incr true true @room n 7 then call room.state_sync @room \
		then wait 0.3 <<-OUT
		answer room.state_incr ok: value=7
		answer room.state_sync ok
		push room.states: hex:016e080000000000000007
	OUT
	expect "objects over $type" 0 -t $type -u me room create 4 then call room.object_update 2 true @room ball hex:00010001783ff0000000000000 \
		then call room.object_sync @room <<-OUT
		push room.object: mode=2 name=ball fields=00010001783ff0000000000000
		answer room.object_update ok: hex:00010001783ff0000000000000
		answer room.object_sync ok
	OUT
	expect "refusals over $type" 1 -t $type -u me room create 4 then call room.object_update 9 true @room ball hex:0000 <<-OUT
		answer room.object_update bad: expected mode 1, 2 or 3
	OUT
done
