# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the tests with real processes share: a folder that goes away at the end, nodes in the background, and claims. Sourced by
# the scripts beside it. A script is a list of claims, each a sentence and a command that proves it, and ends with `finish`.
# Nothing here sleeps to synchronise: nodes are awaited by their ready line, their log lines and their end.
set -u
: "${TEST_SRCDIR:?run this by make check-cluster}" "${TEST_BUILDDIR:?run this by make check-cluster}"
for name in "${!DIARKIS_@}"; do
	[ "$name" = DIARKIS_TEST_PLUGINS ] || unset "$name"
done
work=$(mktemp -d)
diarkisd=("$TEST_BUILDDIR/diarkisd/diarkisd" -p "$TEST_BUILDDIR/plugins/.libs")
bot=("$TEST_BUILDDIR/tools/diarkis-bot")
cli=("$TEST_BUILDDIR/tools/diarkis-cli")
conf=(-c "$TEST_SRCDIR/etc/diarkis.conf")
free_ports=(--set http.port=0 --set udp.port=0 --set tcp.port=0)
declare -A pid=()
claims=0 failures=0 ready='' url=''
mkfifo "$work/never"

cleanup()
{
	local p

	for p in "${pid[@]}"; do
		kill -KILL "$p" 2>/dev/null
	done
	rm -rf "$work"
}
trap cleanup EXIT

# ---- claims

# claim SENTENCE COMMAND...: one check. What the command says is shown when it fails.
claim()
{
	local what=$1

	shift
	claims=$((claims + 1))
	if "$@" >"$work/said" 2>&1 </dev/null; then
		echo "ok    $what"
	else
		failures=$((failures + 1))
		echo "FAIL  $what"
		sed 's/^/      | /' "$work/said"
	fi
}

finish()
{
	printf '%d%%: Checks: %d, Failures: %d, Errors: 0\n' $((100 * (claims - failures) / claims)) "$claims" "$failures"
	exit $((failures > 0))
}

# answers CODE TEXT... -- COMMAND...: ends with that exit status, and all the texts are in what it says.
answers()
{
	local code=$1 rc=0 texts=() text out

	shift
	while [ "$1" != -- ]; do
		texts+=("$1")
		shift
	done
	shift
	out=$(timeout 60 "$@" 2>&1) || rc=$?
	printf '%s\n' "$out"
	[ "$rc" -eq "$code" ] || { echo "the exit status is $rc, expected $code: $*"; return 1; }
	for text in "${texts[@]}"; do
		[[ $out == *"$text"* ]] || { echo "this is missing: $text"; return 1; }
	done
}

# ---- an installed tree

# install_tree: installs below $work and moves that to $work/tree: what runs there knows no path of the build.
install_tree()
{
	local prefix

	# Under make check-cluster this make is nobody's child.
	env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -s -C "$TEST_BUILDDIR" install DESTDIR="$work/root" >"$work/install.log" 2>&1 || {
		echo "FAIL  make install"
		tail -n 20 "$work/install.log"
		exit 1
	}
	prefix=$(sed -n 's/^prefix=//p' "$TEST_BUILDDIR/kernel/diarkis.pc")
	mv "$work/root$prefix" "$work/tree"
	chmod -R go+rX "$work"
}

# ---- nodes

# address PLUGIN: where it listens, by the ready line.
address()
{
	local word

	for word in $ready; do
		[[ $word != "$1="* ]] || echo "${word#*=}"
	done
}

# start NAME COMMAND...: a node in the background. Returns when it serves, with its ready line in `ready`; its log is
# $work/NAME.log.
start()
{
	local name=$1 out

	shift
	rm -f "$work/$name.out"
	mkfifo "$work/$name.out"
	"$@" >"$work/$name.out" 2>"$work/$name.log" </dev/null &
	pid[$name]=$!
	exec {out}<"$work/$name.out"
	ready=''
	read -r -t 20 ready <&"$out" || { echo "$name does not start:"; cat "$work/$name.log"; return 1; }
	url=http://$(address http)
}

# start_default NAME ARGUMENT...: the all-in-one node.
start_default()
{
	local name=$1

	shift
	start "$name" "${diarkisd[@]}" "${conf[@]}" "${free_ports[@]}" "$@" || { echo "FAIL  a node does not start"; exit 1; }
}

# log_has NAME TEXT: waits up to 20 s for it, or for the end of the node.
log_has()
{
	local until=$((SECONDS + 20)) last=false

	until grep -qF -- "$2" "$work/$1.log"; do
		$last && { echo "$1 ended without saying: $2"; cat "$work/$1.log"; return 1; }
		kill -0 "${pid[$1]}" 2>/dev/null || last=true
		[ $SECONDS -lt $until ] || { echo "$1 does not say: $2"; cat "$work/$1.log"; return 1; }
		read -r -t 0.05 <>"$work/never" || true
	done
}

send()
{
	kill -s "$2" "${pid[$1]}"
}

# ended NAME CODE: waits for its end; that is its exit status, and its plugins left nothing over.
ended()
{
	local rc=0

	wait "${pid[$1]}" || rc=$?
	unset "pid[$1]"
	[ "$rc" -eq "$2" ] || { echo "$1 ended with $rc, expected $2"; cat "$work/$1.log"; return 1; }
	grep -qF "leftovers: none" "$work/$1.log" || { echo "$1 did not say that nothing is left over"; cat "$work/$1.log"; return 1; }
}

# stop NAME: as an operator would.
stop()
{
	send "$1" TERM && ended "$1" 0
}

# within SECONDS COMMAND...: in whole seconds.
within()
{
	local most=$1 began=$SECONDS

	shift
	"$@" || return 1
	[ $((SECONDS - began)) -le "$most" ] || { echo "it took $((SECONDS - began)) s, more than $most: $*"; return 1; }
}
