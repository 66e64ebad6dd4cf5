#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# SIGUSR1 and SIGUSR2 as an operator uses them: a file, printf and kill, under the umask of a group, as root and as a user.
. "${TEST_SRCDIR:?run this by make check-cluster}/tests/cluster/lib.sh"
umask 002
chmod 755 "$work"

# A copy of the programs that any user of this computer may run, wherever the build tree lies.
tree=$work/tree
mkdir -p "$tree/plugins"
cp -L "$TEST_BUILDDIR/diarkisd/.libs/diarkisd" "$TEST_BUILDDIR/kernel/.libs/libdiarkis.so.0" "$tree"
cp -L "$TEST_BUILDDIR"/plugins/.libs/*.so "$tree/plugins"
cp "$TEST_SRCDIR/etc/diarkis.conf" "$tree"
chmod -R a+rX "$tree"
export LD_LIBRARY_PATH=$tree
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)

# node NAME PREFIX...: a node with a temp folder of its own; $temp and $as are for what follows.
node()
{
	name=$1
	shift
	as=("$@")
	temp=$work/temp-$name
	mkdir -m 1777 "$temp"
	start "$name" env TMPDIR="$temp" "${as[@]}" "$tree/diarkisd" -p "$tree/plugins" -c "$tree/diarkis.conf" \
		"${free_ports[@]}" || { echo "FAIL  a node does not start"; exit 1; }
}

# task SIGNAL TEXT PREFIX...: the three steps: a file of that name, its text, the signal.
task()
{
	local signal=$1 text=$2

	shift 2
	rm -f "$temp/DIARKIS_SIG$signal"
	# shellcheck disable=SC2016
	"$@" bash -c 'printf "$1" >"$2"' - "$text" "$temp/DIARKIS_SIG$signal" || return 1
	send "$name" "$signal"
}

# does WHO: the claims for a node of that user, by files of that user.
does()
{
	local who=$1

	claim "$who: a task without a line break at its end" task USR1 'ChangeLogLevelByName\nenable\nroom\ndebug' "${as[@]}"
	claim "$who: ... runs" log_has "$name" "log level of room is debug now"
	claim "$who: with one" task USR1 'ChangeLogLevelByName\nenable\nudp\nerror\n' "${as[@]}"
	claim "$who: ... likewise" log_has "$name" "log level of udp is error now"
	claim "$who: the file stays" test -f "$temp/DIARKIS_SIGUSR1"
	claim "$who: SIGUSR2 has a file of its own" task USR2 'ChangeLogLevelByName\nenable\ntcp\nwarn\n' "${as[@]}"
	claim "$who: ... which is read" log_has "$name" "log level of tcp is warn now"
	claim "$who: an unknown task" task USR1 'NoSuchTask\n' "${as[@]}"
	claim "$who: ... is one line" log_has "$name" 'SIGUSR1: no task and no command is called "NoSuchTask"'
	claim "$who: a command as a task" task USR1 'room.create\n4\ntrue\nfalse\n60\n0\n0\n' "${as[@]}"
	claim "$who: ... is refused with its reason, or done" log_has "$name" "task room.create: "
	rm -f "$temp/DIARKIS_SIGUSR1"
	claim "$who: a signal without a file" send "$name" USR1
	claim "$who: ... does nothing" stop "$name"
}

if [ "$(id -u)" -eq 0 ]; then
	node root env
	does root
	node user "${nobody[@]}"
	does "a user"
	node mixed "${nobody[@]}"
	claim "a user's node takes root's file" task USR1 'ChangeLogLevelByName\nenable\nroom\ndebug\n' env
	claim "... and runs its task" log_has mixed "log level of room is debug now"
	claim "a stranger's file" task USR1 'ChangeLogLevelByName\nenable\nroom\nwarn\n' setpriv --reuid=12345 --regid=12345 --clear-groups
	claim "... is refused" log_has mixed "belongs neither to root nor to the user of this process"
	claim "the node of a user ends well" stop mixed
else
	echo "note: not run by root, so there is one user to try with"
	node user env
	does "a user"
fi
finish
