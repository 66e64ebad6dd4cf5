# SPDX-License-Identifier: Apache-2.0
# A real node, real clients: bots in rooms over UDP and TCP, reliable and not, two processes in one room, an idle crowd, and the
# command line client. What is asserted is what arrived, never how fast.
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

# Ports: the kernel's choice, told by the ready line.
cat >"$work/node.conf" <<CONF
plugins = {
	http = { address = "127.0.0.1"; port = 0; };
	endpoint = { };
	udp = { address = "127.0.0.1"; port = 0; };
	tcp = { address = "127.0.0.1"; port = 0; };
	user = { };
	room = { state_interval_ms = 20; };
	group = { };
	session = { };
	dm = { storageTargetNodeType = ""; };
	dive = { };
	tally = { };
};
CONF
mkfifo "$work/out"
TMPDIR=$work "$build/diarkisd/diarkisd" -c "$work/node.conf" -p "$build/plugins/.libs" -p "$build/examples/.libs" >"$work/out" 2>"$work/log" &
node=$!
read -r -t 20 ready <"$work/out" || { cat "$work/log"; exit 1; }
url=http://$(sed -E 's/.*http=([^ ]*).*/\1/' <<<"$ready")
bot="timeout 60 $build/tools/diarkis-bot"
cli="timeout 60 $build/tools/diarkis-cli -e $url"

# expect WHAT RC COMMAND...: the exit status is RC and the output contains each line of standard input.
expect()
{
	local what=$1 want=$2 rc=0 line
	shift 2
	"$@" >"$work/got" 2>&1 </dev/null || rc=$?
	[ "$rc" -eq "$want" ] || { echo "$what: exit status $rc, expected $want"; cat "$work/got"; exit 1; }
	while read -r line; do
		grep -qF -- "$line" "$work/got" || { echo "$what: \"$line\" is missing in:"; cat "$work/got"; exit 1; }
	done
}

for type in UDP TCP; do
	for how in "" --reliable; do
		expect "rooms over $type $how" 0 $bot room --endpoint "$url" --type $type --bots 32 --room-size 8 --rate 100 --messages 50 \
			--json --quiet $how <<-OUT
			"sent": 1600,
			"expected": 12800,
			"duplicated": 0
			"out_of_order": 0
		OUT
		[ -z "$how" ] && [ $type = UDP ] || grep -q '"lost": 0' "$work/got" || { cat "$work/got"; exit 1; }
	done
done
expect "long messages" 0 $bot room --endpoint "$url" --bots 4 --room-size 4 --messages 20 --size 5000 --reliable --quiet <<-OUT
	expected      320
	lost          0
OUT
expect "merged messages" 0 $bot room --endpoint "$url" --bots 8 --room-size 8 --messages 40 --interval 50 --reliable --quiet <<-OUT
	lost          0
OUT

expect "bounds that are kept" 0 $bot room --endpoint "$url" --bots 16 --room-size 8 --rate 50 --seconds 2 --reliable --json --quiet \
	--allow-empty --room-ttl 30 --expect-lossless --max-gap-ms 1900 --max-rooms-lost 0 --max-disconnected 0 <<-OUT
	"rooms_lost": 0
OUT
expect "a bound that is not" 1 $bot room --endpoint "$url" --bots 2 --room-size 2 --rate 2 --seconds 2 --reliable --quiet \
	--max-gap-ms 1 <<<"over the bound of 1."

# Two processes in one room.
for type in UDP TCP; do
	mkfifo "$work/a.$type"
	$bot room --endpoint "$url" --type $type --bots 1 --room-size 2 --messages 200 --rate 200 --reliable --quiet --prefix a- \
		>"$work/a.$type" &
	a=$!
	exec 5<"$work/a.$type"
	read -r -t 20 _ room <&5
	expect "the second process over $type" 0 $bot room --endpoint "$url" --type $type --bots 1 --room-size 2 --messages 200 --rate 200 \
		--reliable --quiet --prefix b- --first 1 --join "$room" <<-OUT
		expected      400
		delivered     400
	OUT
	wait $a || { echo "the first process over $type failed"; cat <&5; exit 1; }
	grep -q 'delivered     400' <&5
	exec 5<&-
done

expect "idle" 0 $bot idle --endpoint "$url" --bots 300 --seconds 3 --echo 500 --quiet <<-OUT
	connected     300 of 300
	lost          0
OUT
expect "idle over TCP" 0 $bot idle --endpoint "$url" --type TCP --bots 50 --seconds 2 --echo 500 --quiet <<-OUT
	lost          0
OUT

expect "two scenarios at once" 0 $bot mixed --with room,idle --endpoint "$url" --bots 16 --room-size 8 --rate 20 --seconds 2 --reliable --echo 300 \
	--json --quiet --expect-lossless <<-OUT
	"kind": "mixed"
	"parts": [{"kind": "room", "rooms": 2,
	"lost": 0, "lost_calm": 0
	{"kind": "idle", "connected": 16
OUT
for type in UDP TCP; do
	for kind in group session; do
		expect "$kind over $type" 0 $bot $kind --endpoint "$url" --type $type --bots 20 --members 5 --rate 50 --messages 20 --reliable \
			--json --quiet <<-OUT
			"${kind}s": 4, "${kind}_size": 5
			"sent": 400, "expected": 2000, "delivered": 2000, "lost": 0, "lost_calm": 0, "duplicated": 0, "duplicated_calm": 0, "out_of_order": 0
		OUT
	done
	expect "states over $type" 0 $bot state --endpoint "$url" --type $type --bots 20 --members 5 --rate 20 --messages 20 --size 24 --reliable \
		--json --quiet <<-OUT
		"sent": 400,
		"lost": 0, "lost_calm": 0, "duplicated": 0, "duplicated_calm": 0, "out_of_order": 0
	OUT
	expect "random joins and rooms found by type over $type" 0 $bot find --endpoint "$url" --type $type --bots 20 --room-size 4 --rate 10 \
		--messages 10 --json --quiet <<-OUT
		"kind": "find"
		"seats": 4, "rounds": 200,
		"overfull": 0, "turned_away": 0, "found": 200,
		"missing": 0, "wrong_calm": 0
	OUT
	expect "messages in pairs over $type" 0 $bot dm --endpoint "$url" --type $type --bots 20 --rate 50 --messages 20 --reliable --json --quiet <<-OUT
		"sent": 400, "expected": 400, "delivered": 400, "lost": 0, "lost_calm": 0, "duplicated": 0, "duplicated_calm": 0, "out_of_order": 0, "told": 0
	OUT
	expect "counting together over $type" 0 $bot dive --endpoint "$url" --type $type --bots 20 --room-size 10 --rate 50 --messages 20 --json \
		--quiet <<-OUT
		"counters": 2, "counted": 400, "unknown": 0, "not_counted": 0, "lost": 0, "extra": 0, "doubled": 0, "backwards": 0, "unread": 0
	OUT
	expect "visitors over $type" 0 $bot mixed --endpoint "$url" --type $type --bots 4 --room-size 2 --rate 5 --seconds 2 \
		--reliable --visitors 20 --stay 200 --json --quiet <<<'"failed": 0, "failed_calm": 0'
done
expect "options in the environment" 0 env DIARKIS_BOT_ROOM_SIZE=4 DIARKIS_BOT_RELIABLE=true DIARKIS_BOT_MESSAGES=99 $bot room --endpoint "$url" \
	--bots 4 --messages 3 --quiet <<<"sent          12 "
expect "a wrong one" 2 env DIARKIS_BOT_ROOM_SIZE=0 $bot room --endpoint "$url" <<<"room-size 0: expected a whole number from 1 to 1000"
expect "no scenario" 2 $bot dance --endpoint "$url" <<<"the first word is no scenario"
expect "nobody there" 1 $bot room --endpoint http://127.0.0.1:1 --bots 1 <<<"no endpoint from http://127.0.0.1:1: "
expect "no room id" 2 $bot room --endpoint "$url" --join nowhere <<<"expected 52 hexadecimal digits"

for type in UDP TCP; do
	expect "a room over $type" 0 $cli -t $type -u me room create 4 then room broadcast "hello there" then room broadcast -u plain \
		then expect 2 then room message me psst then expect 3 then call room.reserve a,b @room then room members then room count \
		then room leave <<-OUT
		answer room.create ok: created_s=
		push room.broadcast: hello there
		push room.broadcast: plain
		push room.message: psst
		answer room.reserve ok
		members=me owner=me
		current=1 max_members=4
		answer room.leave ok
	OUT
done
expect "a refusal" 1 $cli room join 18a01a55ecc07f830a00001e1fa4000000000000000000000000 <<-OUT
	answer room.join bad
OUT
expect "an unknown command" 1 $cli --json send 9 9 00 then wait 0.5 then call room.owner_id nowhere <<-OUT
	"ver":9,"cmd":9,"status":"bad"
OUT
printf 'room create 3\nroom broadcast "from a line"\nexpect 1\nquit\nbogus\n' >"$work/lines"
expect "lines" 0 bash -c "$cli <$work/lines" <<<"push room.broadcast: from a line"
echo "nothing useful" >"$work/lines"
expect "a wrong line" 2 bash -c "$cli <$work/lines" <<<"nothing is no command"
expect "no HTTP server" 1 $bot room --endpoint http://127.0.0.1:1 --bots 1 --quiet <<<"no endpoint"
expect "no command" 2 $bot <<<"what to do?"
expect "help" 0 $bot --help <<<"Usage:"
expect "help" 0 $cli --help <<<"Usage:"

kill "$node"
wait "$node" || { echo "the node's exit status is $?"; cat "$work/log"; exit 1; }
node=
