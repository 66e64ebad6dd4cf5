# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: Apache-2.0
# ./dev demo --kill: a cluster of real processes with players in its rooms. One node is killed, another one drained; the terminal shows
# where the players are, once a second, and what became of their rooms and messages. Sourced by ./dev, after its functions.

kill_players=60 kill_room=6

# say TEXT: a line of the demo's own, between those of the players.
say()
{
	printf '\n>>>  %s\n' "$1"
}

# called ADDRESS NAME: lines of the players call that node by its name from now on.
called()
{
	printf '%s %s\n' "$1" "$2" >>"$work/names"
}

# players_say: what the players print on standard error, shorter, and with names for nodes.
players_say()
{
	local text address name

	trap '' INT TERM HUP
	while IFS= read -r text; do
		while read -r address name; do
			text=${text//$address/$name:}
		done <"$work/names"
		text=${text%%  open*}
		[ "$text" = interrupted ] || printf '%s\n' "$text"
	done
}

# after SECONDS: lets so much time pass, unless the players are gone.
after()
{
	local until=$((${EPOCHREALTIME/./} + $1 * 1000000))

	while [ "${EPOCHREALTIME/./}" -lt "$until" ] && kill -0 "${pid[players]}" 2>/dev/null; do
		a_moment
	done
}

demo_kill()
{
	local name screen rc=0

	exec {screen}>&1
	cluster_setup build/log/demo-cluster
	trap kill_cleanup EXIT
	say "A cluster comes up: MARS, an HTTP node, three realtime nodes. Every room has a copy on a second node."
	cluster_up 3 --set room.replicas=1 || return 1
	for name in udp1 udp2 udp3; do
		called "$(address udp "$name")" "$name"
	done
	say "$kill_players players in rooms of $kill_room: each says something reliable ten times a second, and all of them hear it."
	build/tools/diarkis-bot room --endpoint "$cluster_url" --bots $kill_players --room-size $kill_room --rate 10 --reliable \
		--seconds 600 --drain 3 --max-rooms-lost 0 --max-disconnected 0 --max-doubled 0 --max-gap-ms 5000 \
		>"$work/players.figures" 2> >(players_say >&"$screen") </dev/null &
	pid[players]=$!
	after 5
	say "udp1 is killed: no goodbye. The players notice the silence, the other nodes agree that it is dead, the copies take over."
	kill -KILL "${pid[udp1]}"
	wait "${pid[udp1]}" 2>/dev/null || true
	unset "pid[udp1]"
	after 7
	say "A node begins in its place: udp4."
	cluster_node udp4 udp --set mesh.port=0 --set udp.port=0 --set room.replicas=1 || rc=1
	called "$(address udp udp4)" udp4
	cluster_sees 3 || rc=1
	after 3
	say "udp2 is drained, as an upgrade would: SIGTERM. Its rooms move with everybody in them, then it ends."
	stop udp2 || rc=1
	say "udp2 has ended well."
	after 4
	say "The players stop talking, and wait for what is under way."
	kill -INT "${pid[players]}" 2>/dev/null || true
	wait "${pid[players]}" || rc=1
	unset "pid[players]"
	say "What they counted:"
	kill_figures
	cluster_end || rc=1
	trap - EXIT
	[ $rc -eq 0 ] || echo "FAILED; the logs are in build/log/demo-cluster"
	return $rc
}

# kill_figures: the lines of the report that matter here, in words.
kill_figures()
{
	awk -v room=$kill_room '
		$1 == "sent" { sent = $2 }
		$1 == "delivered" { delivered = $2 }
		$1 == "lost" { lost = $2 }
		$1 == "duplicated" { doubled = $2 }
		$1 == "given_up" { risk = $2 }
		$1 == "takeovers" { found = $2 }
		$1 == "rooms_moved" { moved = $2 }
		$1 == "rooms_lost" { rooms = $2 + 0 }
		$1 == "gaps" { gap = $9 " " $10 }
		END {
			printf "  rooms            %d lost, %d moved to another node and kept their members\n", rooms, moved
			printf "  players          %d found their room on the node that had a copy\n", found
			printf "  messages         %d sent, each to %d; %d heard, %d of them twice\n", sent, room, delivered, doubled
			printf "  not heard        %d of those that were on their way through udp1 when it was killed\n", lost
			printf "  longest silence  %s\n", gap
		}' "$work/players.figures"
}

kill_cleanup()
{
	local p

	for p in "${pid[@]}"; do
		kill -KILL "$p" 2>/dev/null || true
	done
}
