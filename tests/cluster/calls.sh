#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every command that clients have, and everything that nodes push, with real nodes and all modules: over UDP by one player, over TCP
# by the other, and then the other way round. What the plugins' tables and headers name and this script does not show fails it.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"

# node NAME SETTING...: a node with everything. The nodes find each other through the first one's address.
node()
{
	local name=$1

	shift
	mkdir -p "$work/$name.tmp"
	start "$name" env TMPDIR="$work/$name.tmp" DIARKIS_USE_STRUCT_ERR=TRUE "${diarkisd[@]}" -c "$work/calls.conf" "$@"
}

cat >"$work/calls.conf" <<END
plugins = {
	http = { address = "127.0.0.1"; port = 0; };
	endpoint = { };
	udp = { address = "127.0.0.1"; port = 0; };
	tcp = { address = "127.0.0.1"; port = 0; };
	mesh = { address = "127.0.0.1"; port = 0; marsAddress = [ ]; };
	mars = { };
	user = { }; datacapsule = { }; dive = { }; dm = { }; session = { }; group = { support = true; }; notifier = { };
	room = { support = true; state_interval_ms = 17; expose_puffer_commands = true; replicas = 1; };
	debug = { allow = true; };
};
END
node node || exit 1
url=http://$(address http)
declare -A in out read_to called type

# player NAME TYPE [UID]: a client whose commands are written to it one by one.
player()
{
	mkfifo "$work/$1.in"
	"${cli[@]}" -j -e "$url" -t "$2" -u "${3-$1}" <"$work/$1.in" >"$work/$1.out" 2>&1 &
	pid[$1]=$!
	exec {fd}>"$work/$1.in"
	in[$1]=$fd
	read_to[$1]=0
	type[$1]=$2
	echo connect >&"$fd"
	claim "${3-$1} is connected by $2" said "$1" '"event":"connected"'
}

# ends NAME: that client.
ends()
{
	{ echo quit >&"${in[$1]}"; } 2>/dev/null
	eval "exec ${in[$1]}>&-"
	unset "in[$1]"
	wait "${pid[$1]}" 2>/dev/null
	unset "pid[$1]"
}

# said NAME TEXT: waits up to 10 s for a line with the text among those that were not looked at yet; shows what there was.
said()
{
	local until=$((SECONDS + 10))

	until tail -n +$((read_to[$1] + 1)) "$work/$1.out" | grep -qF -- "$2"; do
		kill -0 "${pid[$1]}" || { echo "$1 has ended"; break; }
		[ $SECONDS -lt $until ] || break
		echo "wait 0.02" >&"${in[$1]}"
		read -r -t 0.03 <>"$work/never" || true
	done
	tail -n +$((read_to[$1] + 1)) "$work/$1.out"
	tail -n +$((read_to[$1] + 1)) "$work/$1.out" | grep -qF -- "$2" || { echo "this is missing: $2"; return 1; }
}

# from_here: what was said before is not looked at.
from_here()
{
	local n

	for n in "${!in[@]}"; do
		read_to[$n]=$(wc -l <"$work/$n.out")
	done
}

# calls NAME COMMAND ARGUMENTS ANSWER [OTHER PUSH]...: the answer has that text, and the others (or the caller) hear those.
calls()
{
	local who=$1 command=$2 arguments=$3 answer=$4 n

	shift 4
	called[${type[$who]} $command]=1
	from_here
	echo "call $command $arguments" >&"${in[$who]}"
	# a quiet command has no answer: the next one's says that it was taken
	[ -n "$answer" ] || echo "status" >&"${in[$who]}"
	said "$who" "${answer:-"\"event\":\"connected\""}" || return 1
	while [ $# -gt 0 ]; do
		said "$1" "$2" || return 1
		shift 2
	done
}

# sends NAME VER CMD COMMAND TEXT: the same by its numbers, for commands that the client has no names for.
sends()
{
	called[${type[$1]} $4]=1
	from_here
	echo "send $2 $3" >&"${in[$1]}"
	said "$1" "$5"
}

ok() { echo "\"status\":\"ok\",\"name\":\"$1\""; }

player ann UDP
player bob TCP

# id_of NAME: the id that the last answer brought.
id_of()
{
	tail -n +$((read_to[$1] + 1)) "$work/$1.out" | sed -n 's/.* \?\(room\|group\|session\)=\([0-9a-f-]*\)".*/\2/p' | tail -n 1
}

# everything A B: A calls all of it; B is the other one.
everything()
{
	local a=$1 b=$2 room group session n

	claim "$a creates a room" calls "$a" room.create "4 false true 60 0 0" "$(ok room.create)"
	room=$(id_of "$a")
	claim "$b joins it" calls "$b" room.join "$room hi" "$(ok room.join)" "$a" '"name":"room.joined","payload":"hi"'
	claim "room.owner_id" calls "$a" room.owner_id "$room" "owner=$a"
	claim "room.member_ids" calls "$a" room.member_ids "$room" "members=$a,$b owner=$a"
	claim "room.count_members" calls "$a" room.count_members "$room" "current=2 max_members=4"
	claim "room.backups" calls "$a" room.backups "$room" "$(ok room.backups)"
	claim "room.broadcast" calls "$a" room.broadcast "true $room all" "" "$b" '"name":"room.broadcast","payload":"all"' \
		"$a" '"name":"room.broadcast","payload":"all"'
	claim "room.message" calls "$a" room.message "$b 6869 true $room" "" "$b" '"name":"room.message","payload":"hi"'
	claim "room.relay" calls "$a" room.relay "6869 true $room" "" "$b" '"cmd":18,'
	claim "room.relay_to" calls "$a" room.relay_to "$b 6869 true $room" "" "$b" '"cmd":23,'
	claim "room.relay_profile" calls "$a" room.relay_profile "6869 true $room" "latency_ms=" "$b" '"cmd":19,'
	claim "room.relay_to_profile" calls "$a" room.relay_to_profile "$b 6869 true $room" "latency_ms=" \
		"$b" '"cmd":24,'
	claim "room.reserve" calls "$a" room.reserve "zoe $room" "$(ok room.reserve)"
	claim "room.cancel_reserve" calls "$a" room.cancel_reserve "zoe $room" "$(ok room.cancel_reserve)"
	claim "room.update_props" calls "$a" room.update_props "k $room true 76" "$(ok room.update_props)" "$b" 'names=k'
	claim "room.get_props" calls "$b" room.get_props "k $room" "names=k values=76"
	claim "room.incr_prop" calls "$a" room.incr_prop "5 n $room true" "value=5" "$b" "name=n room=$room value=5"
	claim "room.state_update" calls "$a" room.state_update "true false $room s 7" "" "$b" '"name":"room.states"'
	claim "room.state_incr" calls "$a" room.state_incr "true false $room t 3" "value=3" "$b" '"name":"room.states"'
	claim "room.state_update, linked" calls "$a" room.state_update "true true $room mine 7" "" "$b" '"name":"room.states"'
	claim "room.state_sync" calls "$b" room.state_sync "$room" "$(ok room.state_sync)" "$b" '"name":"room.states"'
	claim "room.object_update" calls "$a" room.object_update "2 true $room o hex:00010001784008000000000000" \
		"$(ok room.object_update)" \
		"$b" '"name":"room.object","payload":"mode=2 name=o'
	claim "room.object_sync" calls "$b" room.object_sync "$room" "$(ok room.object_sync)" \
		"$b" '"name":"room.object","payload":"mode=2 name=o'
	claim "room.chat" calls "$a" room.chat "hello $room" "$(ok room.chat)" "$b" "message=hello sender=$a"
	claim "room.chat_log" calls "$b" room.chat_log "$room" "$(ok room.chat_log)"
	claim "room.register" calls "$a" room.register "meta name 7" "$(ok room.register)"
	claim "room.find" calls "$b" room.find "5 7" "$(ok room.find)"
	claim "room.migrate, alone" calls "$a" room.migrate "" '"status":"bad","name":"room.migrate"'
	claim "room.leave" calls "$a" room.leave "$room bye" "$(ok room.leave)" "$b" '"name":"room.left","payload":"bye"' \
		"$b" '"name":"room.states_removed"' \
		"$b" "\"name\":\"room.owner_changed\",\"payload\":\"owner=$b"
	claim "$b leaves, too" calls "$b" room.leave "$room" "$(ok room.leave)"
	claim "room.rand_create" calls "$a" room.rand_create "0 3 6869 30" "joined=false"
	claim "room.rand_join" calls "$b" room.rand_join "0 3 6869 30" "joined=true" "$a" '"name":"room.joined"'
	room=$(id_of "$b")
	for n in "$a" "$b"; do
		claim "$n leaves it" calls "$n" room.leave "$room" "$(ok room.leave)"
	done

	claim "room.puffer_create" calls "$a" room.puffer_create "false 0 true 4 60" "$(ok room.puffer_create)"
	room=$(id_of "$a")
	claim "room.puffer_join" calls "$b" room.puffer_join "6869 $room" "$(ok room.puffer_join)"
	claim "room.puffer_broadcast" calls "$a" room.puffer_broadcast "6869 true $room" "" "$b" '"name":"room.broadcast","payload":"hi"'
	claim "room.puffer_leave" calls "$a" room.puffer_leave "00 $room" "$(ok room.puffer_leave)"
	claim "$b leaves, too" calls "$b" room.puffer_leave "00 $room" "$(ok room.puffer_leave)"

	claim "group.rand_join" calls "$a" group.rand_join "true 0 6869 30" "$(ok group.rand_join)"
	group=$(id_of "$a")
	claim "$a leaves it" calls "$a" group.leave "$group 00" "$(ok group.leave)"
	claim "group.create" calls "$a" group.create "true 0 true 30" "$(ok group.create)"
	group=$(id_of "$a")
	claim "group.join" calls "$b" group.join "$group 6869" "$(ok group.join)" "$a" '"name":"group.joined","payload":"message=6869'
	claim "group.info" calls "$b" group.info "true $group" "count=2"
	claim "group.broadcast" calls "$a" group.broadcast "$group 6869 true" "" "$b" '"name":"group.message","payload":"message=6869'
	claim "group.leave" calls "$a" group.leave "$group 627965" "$(ok group.leave)" "$b" '"name":"group.left","payload":"message=627965'
	claim "$b leaves it" calls "$b" group.leave "$group 00" "$(ok group.leave)"

	claim "session.create" calls "$a" session.create "1 4 30" "$(ok session.create)"
	session=$(id_of "$a")
	claim "session.invite" calls "$a" session.invite "1 $(printf '%08x' ${#b})$(printf %s "$b" | od -An -tx1 | tr -d ' \n') come" \
		"$(ok session.invite)" "$b" '"name":"session.invited"'
	claim "session.join" calls "$b" session.join "1 $session" "$(ok session.join)" "$a" '"name":"session.joined"'
	claim "session.broadcast" calls "$a" session.broadcast "1 all" "" "$b" '"name":"session.broadcast","payload":"all"'
	claim "session.message" calls "$a" session.message "$b 6869 1" "" "$b" '"name":"session.message","payload":"hi"'
	claim "session.member_ids" calls "$a" session.member_ids 1 "type=1 uids=000000"
	claim "session.count_members" calls "$a" session.count_members 1 "current=2 max_members=4"
	claim "session.info" calls "$b" session.info 1 "owner=$a"
	claim "session.kick" calls "$a" session.kick "1 $b" "$(ok session.kick)" "$b" '"name":"session.kicked"' \
		"$a" "\"name\":\"session.left\",\"payload\":\"owner=$a"
	claim "session.leave" calls "$a" session.leave 1 "$(ok session.leave)"

	claim "dm.connect" calls "$a" dm.connect "$b" "$(ok dm.connect)"
	claim "dm.send" calls "$a" dm.send "6869 true $b" "$(ok dm.send)" "$b" "message=6869 uid=$a"
	claim "dm.disconnect" calls "$a" dm.disconnect "627965 $b" "$(ok dm.disconnect)" "$b" '"name":"dm.disconnected"'
}

# test: by_udp
everything ann bob
# test: by_tcp
everything bob ann

# notice ID: by the node itself, to all of its users.
notice()
{
	from_here
	printf 'notifier.notify\n%s\nnews\n60000\nfalse\nhello' "$1" >"$work/node.tmp/DIARKIS_SIGUSR1"
	send node USR1
	said ann '"name":"notifier.notice","payload":"hello"' && said bob '"name":"notifier.notice","payload":"hello"'
}
claim "all hear a notice with their next sign of life" notice 1
claim "nobody goes anywhere, for there is no other node" sends ann 0 2 user.move '"code":1003'
ends ann
ends bob
claim "the node ends well" stop node

# together A B: the same with two nodes, for what only more than one of them do. A goes about; B stays until its node ends.
together()
{
	local a=$1 b=$2 room session peer

	node node || exit 1
	url=http://$(address http)
	peer=$(address mesh)
	player "$a" "$3"
	player "$b" "$4"
	node other --set mars.peers="$peer" || exit 1
	claim "the other node is seen" sees_two
	claim "user.move: $a goes to the other node" sends "$a" 0 2 user.move '"event":"reconnected"'
	claim "it makes a room there" calls "$a" room.create "4 false true 60 0 0" "$(ok room.create)"
	room=$(id_of "$a")
	claim "room.migrate: it goes back with its room" calls "$a" room.migrate "" '"name":"room.migrated"' "$a" "$(ok room.migrate)"
	claim "the room is known by its old id" calls "$a" room.count_members "$room" "current=1"
	claim "user.move_to_type: it leaves without it" goes_to_type "$a"
	claim "... and comes back" sends "$a" 0 2 user.move '"event":"reconnected"'
	claim "debug.users" sends "$a" 0 905 debug.users '\"uid\":\"'"$a"'\"'
	claim "debug.rooms" sends "$a" 0 904 debug.rooms '\"rooms\":['
	claim "debug.taken" sends "$a" 0 901 debug.taken '"status":"ok"'

	from_here
	player "$a-again" "$3" "$a"
	claim "dm.replaced: somebody else is $a now, elsewhere" said "$a" '"name":"dm.replaced"'
	claim "... and the first one is let go" said "$a" '"event":"disconnected"'
	claim "a session at the other node" calls "$a-again" session.create "2 4 30" "$(ok session.create)"
	session=$(id_of "$a-again")
	claim "$b joins it" calls "$b" session.join "2 $session" "$(ok session.join)"
	from_here
	send other KILL
	wait "${pid[other]}" 2>/dev/null
	unset "pid[other]"
	claim "session.ended: it is lost with its node" said "$b" '"name":"session.ended"'
	claim "debug.online" sends "$b" 0 900 debug.online '"status":"ok"'
	claim "debug.offline: the node goes down, and says so" sends "$b" 0 902 debug.offline '"event":"offline"'
	claim "debug.terminate: and waits for nobody" sends "$b" 0 903 debug.terminate '"event":"disconnected"'
	claim "it ends well" ended node 0
	ends "$a"
	ends "$a-again"
	ends "$b"
}

sees_two()
{
	local until=$((SECONDS + 20))

	until curl -sSf -m 5 "$url/state/noderole/UDP" | grep -qE '"onlineCnt": *2'; do
		[ $SECONDS -lt $until ] || { curl -sS "$url/state/noderole/UDP"; return 1; }
		a_moment
	done
}

goes_to_type()
{
	called[${type[$1]} user.move_to_type]=1
	from_here
	echo "move ${type[$1]}" >&"${in[$1]}"
	said "$1" '"event":"reconnected"'
}

# found_again A TYPE B TYPE: A's room gets a copy after it was made. B asks for where; A is told by the push room.backups, which the
# client library keeps to itself, and would not find its room otherwise.
found_again()
{
	local peer

	node node || exit 1
	url=http://$(address http)
	peer=$(address mesh)
	player "$1" "$2"
	player "$3" "$4"
	claim "$1 has a room" calls "$1" room.create "4 false true 60 0 0" "$(ok room.create)"
	claim "$3 is in it" calls "$3" room.join "$(id_of "$1")" "$(ok room.join)"
	node other --set mars.peers="$peer" || exit 1
	node third --set mars.peers="$peer" || exit 1 # of two nodes neither is the majority
	claim "it has a copy now" copied "$3"
	from_here
	send node KILL
	wait "${pid[node]}" 2>/dev/null
	unset "pid[node]"
	claim "its node dies, and it finds its room at the other one" said "$1" '"event":"reconnected"'
	claim "... with $3" calls "$1" room.member_ids @room "members=$1,$3 owner=$1"
	ends "$1"
	ends "$3"
	send other TERM
	claim "the others end well" stop third
	claim "both of them" ended other 0
}

copied()
{
	local until=$((SECONDS + 20))

	until calls "$1" room.backups @room "addresses=127.0.0.1:" >/dev/null; do
		[ $SECONDS -lt $until ] || return 1
	done
}

# test: two_nodes
together cay dan UDP TCP
together eve fay TCP UDP
found_again gus UDP hal TCP
found_again ian TCP joe UDP

# test: all_of_them
names=$("${diarkisd[@]}" -c "$work/calls.conf" --explain --markdown |
	sed -nE 's/^\| `([a-z]+\.[a-z_]+)` \| [0-9]+ [0-9]+ \|.*\| client[^|]*\|[^|]*\|$/\1/p')
uncalled()
{
	local name kind left=0

	for kind in UDP TCP; do
		for name in $names; do
			[ -n "${called[$kind $name]-}" ] || { echo "$name is never called over $kind"; left=1; }
		done
	done
	[ "$(wc -w <<<"$names")" -ge 60 ] || { echo "too few commands: $names"; left=1; }
	return $left
}
claim "there is no command that was not called" uncalled

# test: all_pushes
pushes=$({
	grep -hoE '\bP\([0-9]+, [0-9]+, "[a-z._]+"' "$TEST_SRCDIR"/plugins/*/diarkis/*_commands.h
	grep -hoE '\.name = "[a-z._]+"' "$TEST_SRCDIR/tools/cli_rows.c"
} | cut -d'"' -f2 | sort -u)
unheard()
{
	local name kind p left=0 files

	for kind in UDP TCP; do
		files=()
		for p in "${!type[@]}"; do
			[ "${type[$p]}" != $kind ] || files+=("$work/$p.out")
		done
		for name in $pushes; do
			[ $name != room.backups ] || continue # found_again
			grep -hE '"event":"(push|note)"' "${files[@]}" | grep -qF "\"name\":\"$name\"" ||
				{ echo "$name is never heard over $kind"; left=1; }
		done
	done
	[ "$(wc -w <<<"$pushes")" -ge 25 ] || { echo "too few pushes: $pushes"; left=1; }
	return $left
}
claim "there is no push that was not heard" unheard
finish
