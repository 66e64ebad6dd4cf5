#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The examples against an installed tree, as a reader would build them: nothing but make, a compiler and pkg-config. The tree
# is installed below a temporary folder and so has moved; --define-prefix tells pkg-config.
set -eu

: "${TEST_SRCDIR:?run this by make check}" "${TEST_BUILDDIR:?run this by make check}"
unset MAKEFLAGS MAKELEVEL MFLAGS
work=$(mktemp -d)
pid=
trap 'test -z "$pid" || kill -KILL "$pid" 2>/dev/null; rm -rf "$work"' EXIT
log=$work/log

fail()
{
	echo "$*"
	[ ! -e "$log" ] || tail -n 40 "$log"
	exit 1
}

# run WHAT COMMAND...: a step that has to succeed; its output is shown only when it does not.
run()
{
	local what=$1

	shift
	"$@" >"$log" 2>&1 </dev/null || fail "$what failed: $*"
}

# await FILE TEXT: until TEXT is in FILE, or the process ended.
await()
{
	until grep -qF -- "$2" "$1"; do
		kill -0 "$pid" 2>/dev/null || fail "the node ended before it said: $2"
		read -r -t 0.02 <>"$work/never" || true
	done
}

mkfifo "$work/never"
run "make install" make -s -C "$TEST_BUILDDIR" install DESTDIR="$work/root"
prefix=$(sed -n 's/^prefix=//p' "$TEST_BUILDDIR/kernel/diarkis.pc")
tree=$work/root$prefix
export PKG_CONFIG="pkg-config --define-prefix" PKG_CONFIG_PATH=$tree/lib/pkgconfig DIARKIS_TEST_PLUGINS=$tree/lib/diarkis/plugins
export LD_LIBRARY_PATH=$tree/lib

# test: they_build_and_pass
cp -r "$tree"/share/diarkis/examples/* "$work/"
for name in hello attack lod tally onlinestatus; do
	run "building $name" make -C "$work/$name"
	run "the test of $name" make -C "$work/$name" check
	grep -q '^100%: Checks: [1-9]' "$log" || fail "the test of $name says nothing of its checks"
done

# test: the_tutorial_is_complete
awk '/^```c attack\.c/ { shown = 1; next } /^```/ { shown = 0 } shown' "$tree/share/doc/diarkis/docs/PLUGIN.md" >"$work/attack/attack.c"
run "the test of attack, as docs/PLUGIN.md shows it," make -C "$work/attack" check

# test: a_new_plugin_passes_its_test
(cd "$work" && run "new-plugin.sh" "$tree/share/diarkis/new-plugin.sh" greet)
run "the test of a new plugin" make -C "$work/greet" check
(cd "$work" && "$tree/share/diarkis/new-plugin.sh" room >"$log" 2>&1) && fail "new-plugin.sh made a second plugin called room"

# test: a_dropped_plugin_and_one_section_are_enough
mkdir "$work/mine" "$work/tmp"
: >"$work/out"
cp "$work/hello/hello.so" "$work/mine/"
cat >"$work/node.conf" <<END
plugin_dir = [ "mine" ];
plugins = { hello = { greeting = "Hi"; }; };
END
run "diarkisd -t" "$tree/bin/diarkisd" -c "$work/node.conf" -t
printf 'hello.greet\nAnn' >"$work/tmp/DIARKIS_SIGUSR1"
TMPDIR=$work/tmp "$tree/bin/diarkisd" -c "$work/node.conf" >"$work/out" 2>"$log" </dev/null &
pid=$!
await "$work/out" ready
kill -USR1 "$pid"
await "$log" "Hi, Ann"
kill -TERM "$pid"
wait "$pid" || fail "the node ended with $?"
pid=
grep -qF "leftovers: none" "$log" || fail "the node did not say that nothing is left over"

# test: a_program_of_ones_own_holds_a_node
run "building embed" make -C "$work/embed" embed
sed 's/^plugin_dir.*//; s/hello = .*/};/' "$work/node.conf" >"$work/empty.conf"
"$work/embed/embed" "$work/empty.conf" >"$work/out" 2>"$log" </dev/null || fail "embed ended with $?"
cat >"$work/expected" <<END
embed: every plugin has started
embed: ready; a database would be connected here
embed: serving
ready
embed: beat 1
embed: beat 2
embed: beat 3
embed: going OFFLINE; players are told elsewhere
embed: the last word
END
diff "$work/expected" "$work/out" || fail "embed said something else, see the lines above"
