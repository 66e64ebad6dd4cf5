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
export TMPDIR=$work # nodes that are killed leave files there
diarkisd=("$TEST_BUILDDIR/diarkisd/diarkisd" -p "$TEST_BUILDDIR/plugins/.libs")
bot=("$TEST_BUILDDIR/tools/diarkis-bot")
cli=("$TEST_BUILDDIR/tools/diarkis-cli")
conf=(-c "$TEST_SRCDIR/etc/diarkis.conf")
cluster_conf=$TEST_SRCDIR/etc/cluster
free_ports=(--set http.port=0 --set udp.port=0 --set tcp.port=0)
claims=0 failures=0
# shellcheck source=nodes.sh
. "$TEST_SRCDIR/tests/cluster/nodes.sh"

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

# start_default NAME ARGUMENT...: the all-in-one node.
start_default()
{
	local name=$1

	shift
	start "$name" "${diarkisd[@]}" "${conf[@]}" "${free_ports[@]}" "$@" || { echo "FAIL  a node does not start"; exit 1; }
}

# within SECONDS COMMAND...: in whole seconds.
within()
{
	local most=$1 began=$SECONDS

	shift
	"$@" || return 1
	[ $((SECONDS - began)) -le "$most" ] || { echo "it took $((SECONDS - began)) s, more than $most: $*"; return 1; }
}
