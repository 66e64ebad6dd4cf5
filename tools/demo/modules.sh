# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: Apache-2.0
# ./dev demo --modules: three nodes with all modules, and players on all of them: groups across the nodes, direct messages, counters
# that they add to together. One node is killed; the counters stay exact. Sourced by ./dev, after its functions and kill.sh.

modules_players=60 modules_circle=10

# modules_say: what the players print on standard error, in words, with names for nodes.
modules_say()
{
	local text address name

	trap '' INT TERM HUP
	while IFS= read -r text; do
		while read -r address name; do
			text=${text//$address/$name:}
		done <"$work/names"
		text=${text%%  p99*}
		text=${text%%  own cpu*}
		case $text in
		group*) printf '  groups   %s\n' "${text#*s  }" ;;
		dm*) printf '  messages %s\n' "${text#*s  }" ;;
		dive*) printf '  counters %s\n' "${text#*s  }" ;;
		*'bots at'*) printf '  players  %s\n' "${text##* at  }" ;;
		esac
	done
}

demo_modules()
{
	local name screen rc=0

	exec {screen}>&1
	cluster_setup build/log/demo-modules
	trap kill_cleanup EXIT
	mkdir -p "$work/conf"
	cp etc/cluster/mesh.inc etc/cluster/mars.conf tests/cluster/mixed/*.conf "$work/conf/"
	cluster_conf=$work/conf
	diarkisd+=(-p build/examples/.libs)
	say "A cluster comes up: MARS, an HTTP node, three realtime nodes with rooms, groups, sessions, direct messages and dive."
	cluster_up 3 || return 1
	for name in udp1 udp2 udp3; do
		called "$(address udp "$name")" "$name"
	done
	until build/tools/diarkis-bot dm --endpoint "$cluster_url" --bots 4 --messages 1 --reliable --quiet --prefix first- >/dev/null 2>&1; do
		a_moment
	done
	say "$modules_players players on all of them: groups of $modules_circle across the nodes, messages from one to another, and counters to
     which $modules_circle players add together. Each of them says, writes and counts twice a second."
	build/tools/diarkis-bot mixed --with room,group,dm,dive --endpoint "$cluster_url" --bots $modules_players --members $modules_circle \
		--rate 2 --reliable --seconds 600 --drain 3 --max-lost-calm 0 --max-disconnected 0 --json \
		>"$work/players.figures" 2> >(modules_say >&"$screen") </dev/null &
	pid[players]=$!
	after 6
	say "udp1 is killed: no goodbye. Its players find their rooms on another node, and are in their groups there."
	kill -KILL "${pid[udp1]}"
	wait "${pid[udp1]}" 2>/dev/null || true
	unset "pid[udp1]"
	after 9
	say "The players stop, and the counters are read."
	kill -INT "${pid[players]}" 2>/dev/null || true
	wait "${pid[players]}" || rc=1
	unset "pid[players]"
	say "What they counted:"
	modules_figures
	cluster_end || rc=1
	trap - EXIT
	[ $rc -eq 0 ] || echo "FAILED; the logs are in build/log/demo-modules"
	return $rc
}

# modules_figures: the figures that matter here, in words.
modules_figures()
{
	# One scenario a line, then its numbers as words.
	sed 's/{"kind"/\n{"kind"/g' "$work/players.figures" | tr -d '",{}:' | awk '
		function figure(name,    i) {
			for (i = 1; i < NF; i++)
				if ($i == name)
					return $(i + 1)
			return 0
		}
		$1 == "kind" && $2 == "group" {
			printf "  groups     %d messages said, %d heard, %d not\n", figure("sent"), figure("delivered"), figure("lost")
			printf "             %d of those that were not heard were said while every node lived\n", figure("lost_calm")
		}
		$1 == "kind" && $2 == "dm" {
			printf "  messages   %d written, %d arrived; of %d the sender was told that they did not\n", figure("sent"),
				figure("delivered"), figure("told")
		}
		$1 == "kind" && $2 == "dive" {
			printf "  counters   %d added, %d of it missing, %d too much; of %d more nobody knows\n", figure("counted"),
				figure("lost"), figure("extra"), figure("unknown")
		}'
}
