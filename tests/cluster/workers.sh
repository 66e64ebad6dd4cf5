#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `workers = N`: a supervisor and its workers as real processes. What they share, what happens when one crashes, and how all end.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
ulimit -c 0
export TMPDIR=$work
http_port=$((20000 + $$ % 10000))

# conf_of WORKERS TEXT: the configuration of all that follows, on loopback, in workers.conf.
conf_of()
{
	cat >"$work/workers.conf" <<-END
		workers = $1;
		unlink_task_file = true;
		plugins = {
			mesh = { address = "127.0.0.1"; port = $((http_port + 10000)); marsAddress = [ "127.0.0.1" ]; marsPort = $http_port; };
			mars = { serve = true; address = "127.0.0.1"; port = $http_port; };
			http = { address = "127.0.0.1"; port = $http_port; useFixedPort = true; };
			udp = { address = "127.0.0.1"; port = $((http_port + 20000)); };
			endpoint = { };
			user = { };
			room = { };
			crash = { file = "$TEST_BUILDDIR/tests/fixtures/.libs/crash.so"; };
			$2
		};
	END
}
daemon=("${diarkisd[@]}" -c "$work/workers.conf")

# workers NAME: starts them; fails the script when they do not serve.
workers()
{
	start "$1" "${daemon[@]}" || { echo "FAIL  the workers do not start"; exit 1; }
	url=http://127.0.0.1:$http_port
}

# process NAME WORKER: of that worker, the last one it had.
process()
{
	sed -n "s/.* worker $2 is process \([0-9]*\)\$/\1/p" "$work/$1.log" | tail -n 1
}

# task NAME TEXT: the supervisor is told of a task.
task()
{
	printf '%b' "$2" >"$work/DIARKIS_SIGUSR1"
	send "$1" USR1
}

# says NAME TEXT N: waits up to 20 s until N lines of the log have it.
says()
{
	local until=$((SECONDS + 20))

	until [ "$(grep -cF -- "$2" "$work/$1.log")" -ge "$3" ]; do
		[ $SECONDS -lt $until ] || { echo "$1 does not say $3 times: $2"; cat "$work/$1.log"; return 1; }
		read -r -t 0.05 <>"$work/never" || true
	done
}

# said NAME TEXT N: exactly N lines have it.
said()
{
	[ "$(grep -cF -- "$2" "$work/$1.log")" -eq "$3" ] || { echo "$1 does not say $3 times: $2"; cat "$work/$1.log"; return 1; }
}

# gone PID...: waits up to 20 s until there are none of them.
gone()
{
	local until=$((SECONDS + 20)) p

	for p; do
		while kill -0 "$p" 2>/dev/null; do
			[ $SECONDS -lt $until ] || { echo "process $p is still there"; return 1; }
			read -r -t 0.05 <>"$work/never" || true
		done
	done
}

# ended_with NAME CODE: waits for the end of the supervisor.
ended_with()
{
	local rc=0

	wait "${pid[$1]}" || rc=$?
	unset "pid[$1]"
	[ "$rc" -eq "$2" ] || { echo "$1 ended with $rc, expected $2"; cat "$work/$1.log"; return 1; }
}

# answered_by NAME WORKER: stops all others for a moment, so that this one has to answer.
answered_by()
{
	local other=$((1 - $2)) rc=0

	kill -STOP "$(process "$1" $other)"
	curl -sSf -m 10 "$url/healthcheck" || rc=1
	kill -CONT "$(process "$1" $other)"
	return $rc
}

# at NAME TEXT: milliseconds of the time of the last line that has it.
at()
{
	local line

	line=$(grep -F -- "$2" "$work/$1.log" | tail -n 1)
	date -d "${line:0:23}" +%s%3N
}

# again_within MS NAME WORKER: from the worker's death to its serving again.
again_within()
{
	local took

	says "$2" "worker $3 serves again" 1 || return 1
	took=$(($(at "$2" "worker $3 serves again") - $(at "$2" "worker $3 died")))
	[ $took -le "$1" ] || { echo "worker $3 was away for $took ms"; cat "$work/$2.log"; return 1; }
}

# views_agree COUNTS: all who accept see so many servers of the type UDP; within a second of a change they should.
views_agree()
{
	local tries=0 same=0

	while [ $same -lt 8 ]; do
		if curl -sSf -m 10 "$url/state/noderole/UDP" | grep -qF "$1"; then
			same=$((same + 1))
		else
			same=0 tries=$((tries + 1))
			[ $tries -lt 50 ] || return 1
			sleep 0.1
		fi
	done
}

# ---- beginning

conf_of 2 ''
sed -i '/mesh = /d' "$work/workers.conf"
claim "without mesh it is an error, which says so" answers 78 'workers.conf:1: "workers" is 2' 'mesh = {};' -- "${daemon[@]}"
claim "... also under -t" answers 78 'workers.conf:1: "workers" is 2' -- "${daemon[@]}" -t
conf_of 2 'nonesuch = { };'
"${daemon[@]}" >"$work/wrong.out" 2>"$work/wrong.log" </dev/null
claim "a wrong configuration is 78" test $? -eq 78
claim "... and told once" said wrong "no plugin nonesuch.so" 1

conf_of 2 ''
workers all
claim "one ready line, when all are" test "${ready:0:16}" = "ready workers=2 "
claim "... with the listener that they share once" test "$(address http)" = "127.0.0.1:$http_port"
claim "... and what each has of its own" test "$(address udp | wc -l)" -eq 2
claim "... and the registry, which the first alone serves" test "$(address mars | wc -l)" -eq 1
claim "the supervisor has no plugin in it" bash -c "! grep -q plugins/ /proc/${pid[all]}/maps"
claim "the first worker accepts on the shared listener" answered_by all 0
claim "so does the second" answered_by all 1
"${daemon[@]}" >"$work/second.out" 2>"$work/second.log" </dev/null
claim "a port that somebody has is an error for all of them" test $? -eq 1
claim "... which is told" grep -q "cannot listen on 127.0.0.1:$http_port" "$work/second.log"

# ---- signals

task all 'ChangeLogLevelByName\nenable\nroom\ndebug'
claim "a task is read once and runs in every worker" says all "log level of room is debug now" 2
claim "... the file being gone" test ! -e "$work/DIARKIS_SIGUSR1"
send all HUP
claim "HUP reloads every worker" says all "configuration reloaded" 3
claim "lines say which worker wrote them" grep -q "kernel\[1\]: configuration reloaded" "$work/all.log"
send all TERM
claim "TERM stops all of them" ended_with all 0
claim "... well" said all "leftovers: none" 2

# ---- crashes

DIARKIS_SHUTDOWN_TIMEOUT=2 workers one
before=$(process one 1)
task one 'crash.worker\n1'
claim "a plugin that crashes in one worker is named" says one "worker 1 died of SIGSEGV while this plugin's code ran: crash" 1
claim "the crashed worker serves again within two seconds" again_within 1999 one 1
claim "... as another process" test "$before" != "$(process one 1)"
claim "... on the shared listener, too" answered_by one 1
claim "nothing happened to the other one" said one "worker 0 is process" 1
task one 'crash.worker\n0'
claim "the first worker, too, which is the registry" again_within 1999 one 0
task one 'crash.taken\n1' # users come to the first one from now on
claim "both see the first as ONLINE and the second as TAKEN" views_agree '"onlineCnt":1,"takenCnt":1'
"${bot[@]}" room --endpoint "$url" --bots 16 --room-size 4 --messages 60 --rate 20 --reliable \
	>"$work/bot.out" 2>"$work/bot.log" </dev/null &
pid[bot]=$!
claim "bots talk in rooms of the first worker" log_has bot running
task one 'crash.worker\n1'
says one "worker 1 serves again" 2
rc=0
wait "${pid[bot]}" || rc=$?
unset "pid[bot]"
claim "their rooms do not miss a message when the other worker crashes" test $rc -eq 0
claim "... nor get one twice, nor lose anybody" grep -qE "^lost +0" "$work/bot.out"
for n in 3 4; do
	task one 'crash.worker\n1'
	says one "worker 1 serves again" $n || break
done
task one 'crash.worker\n1'
claim "after five crashes in a minute it is given up, and the plugin named" says one "code ran: crash; 5 times within 60 s: it is given up, 1 of 2" 1
claim "the other one goes on" curl -sSf -m 10 "$url/healthcheck"
claim "it was not disturbed" said one "worker 0 is process" 2
send one TERM
claim "the exit code remembers" ended_with one 1

# ---- ends

workers orphans
first=$(process orphans 0) second=$(process orphans 1)
kill -KILL "${pid[orphans]}"
wait "${pid[orphans]}" 2>/dev/null # killed: its exit code says nothing
unset "pid[orphans]"
claim "workers end when their supervisor is killed" gone "$first" "$second"
claim "... as they do at SIGTERM" said orphans "leftovers: none" 2

DIARKIS_SHUTDOWN_TIMEOUT=1 workers stuck
kill -STOP "$(process stuck 1)"
send stuck TERM
claim "a worker that does not end is killed after the deadline" within 6 ended_with stuck 1
claim "... and counted" grep -q "1 workers are still there after their deadline" "$work/stuck.log"

perl -MIO::Socket::UNIX -e '$| = 1; my $s = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $ARGV[0]) or die;
	print "listening\n"; while (defined $s->recv(my $m, 4096)) { $m =~ tr/\n/ /; print "$m\n"; }' "$work/notify" >"$work/manager.log" &
pid[manager]=$!
log_has manager listening
NOTIFY_SOCKET=$work/notify workers told
claim "the service manager is told that all serve, and whom to watch" log_has manager "READY=1 MAINPID=${pid[told]}"
send told TERM
claim "... and of the end" log_has manager "STOPPING=1"
claim "which is a good one" ended_with told 0
claim "it hears of a worker nothing" test "$(wc -l <"$work/manager.log")" -eq 3
start single env NOTIFY_SOCKET="$work/notify" "${daemon[@]}" --set workers=0
claim "a node by itself says the same" says manager "READY=1" 2
claim "it ends" stop single
claim "... having said so" says manager "STOPPING=1" 2
kill "${pid[manager]}"
wait "${pid[manager]}" 2>/dev/null
unset "pid[manager]"
finish
