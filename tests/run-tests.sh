#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Usage: run-tests.sh PROGRAM|SCRIPT.sh...
#
# Runs test programs written with Check, and scripts, at most two at a time. A program prints Check's summary line; so may a
# script, which else counts as one check and fails by its exit status. Each gets one line with its time, a failing one its output.
# The last two lines are Check's totals over all of them, and "N passed, N failed". Fails when anything failed, and when
# nothing ran. Each has a TMPDIR of its own, which goes afterwards; what is left in it fails a program that passed.
#
# Environment: TEST_SRCDIR, TEST_BUILDDIR (absolute), ONLY and EXCEPT (lists of words: run what contains one of the first
# and none of the second), DK_TEST_JOBS (2), DK_TEST_TIMEOUT (600 s a program; Check's own limits are shorter). Programs
# are looked for in the build folder, scripts in the source folder.
set -u

: "${TEST_SRCDIR:=$PWD}" "${TEST_BUILDDIR:=$PWD}" "${ONLY:=}" "${EXCEPT:=}" "${DK_TEST_JOBS:=2}" "${DK_TEST_TIMEOUT:=600}"
: "${UBSAN_OPTIONS:=print_stacktrace=1}"
export TEST_SRCDIR TEST_BUILDDIR UBSAN_OPTIONS
cd "$TEST_BUILDDIR" || exit 1
logs=$TEST_BUILDDIR/tests/log
mkdir -p "$logs"
results=$(mktemp "$logs/results.XXXXXX") || exit 1
folders=$(mktemp -d "${TMPDIR:-/tmp}/diarkis-tests.XXXXXX") || exit 1
chmod 0755 "$folders" # some tests run something as another user
trap 'rm -rf "$results" "$folders"' EXIT

# One test, in a process of its own: prints its line (and output) at once, so that two tests never mix.
run_one()
{
	local name=$1 log=$logs/${1//\//_}.log start=$EPOCHREALTIME rc=0 checks=1 failures=0 errors=0 note='' summary took left
	local TMPDIR=$folders/${1//\//_}

	export TMPDIR
	mkdir "$TMPDIR"
	case $name in
	*.sh) timeout "$DK_TEST_TIMEOUT" bash "$TEST_SRCDIR/$name" >"$log" 2>&1 </dev/null || rc=$? ;;
	*) timeout "$DK_TEST_TIMEOUT" "./$name" >"$log" 2>&1 </dev/null || rc=$? ;;
	esac
	took=$(((${EPOCHREALTIME/./} - ${start/./}) / 1000))
	summary=$(grep -E '^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+' "$log" | tail -n 1)
	if [[ $summary =~ Checks:\ ([0-9]+),\ Failures:\ ([0-9]+),\ Errors:\ ([0-9]+) ]]; then
		checks=${BASH_REMATCH[1]} failures=${BASH_REMATCH[2]} errors=${BASH_REMATCH[3]}
	fi
	if [ -z "$summary" ] && [[ $name == *.sh ]]; then
		[ $rc -eq 0 ] || failures=1
	else
		# Without a summary, or failing behind Check's back, the program itself is the error.
		if [ -z "$summary" ] || { [ $rc -ne 0 ] && [ $((failures + errors)) -eq 0 ]; }; then
			errors=$((errors + 1)) checks=$((checks > 0 ? checks : 1))
			note=" (exit status $rc; see the output)"
		fi
		[ "$checks" -gt 0 ] || { errors=1 checks=1 note=" (it ran no check)"; }
	fi
	left=$(find "$TMPDIR" -mindepth 1 -maxdepth 1 -printf '%f\n' | head -n 3 | tr '\n' ' ')
	rm -rf "$TMPDIR"
	if [ $((failures + errors)) -eq 0 ] && [ -n "$left" ]; then
		errors=1 note=" (it leaves in TMPDIR: ${left% })"
	fi
	[ $rc -ne 124 ] || note=" (stopped after $DK_TEST_TIMEOUT s)"
	{
		flock 9
		echo "$checks $failures $errors" >>"$results"
		if [ $((failures + errors)) -eq 0 ]; then
			printf 'ok    %3d.%03d s  %5d  %s\n' $((took / 1000)) $((took % 1000)) "$checks" "$name"
		else
			printf 'FAIL  %3d.%03d s  %5d  %s%s\n' $((took / 1000)) $((took % 1000)) "$checks" "$name" "$note"
			sed 's/^/      | /' "$log"
		fi
	} 9>>"$results"
}

# wanted NAME: is it one of those to run?
wanted()
{
	local word

	for word in $EXCEPT; do
		[[ $1 != *"$word"* ]] || return 1
	done
	[ -n "$ONLY" ] || return 0
	for word in $ONLY; do
		[[ $1 != *"$word"* ]] || return 0
	done
	return 1
}

running=0
for name; do
	wanted "$name" || continue
	if [ $running -ge "$DK_TEST_JOBS" ]; then
		wait -n
		running=$((running - 1))
	fi
	run_one "$name" &
	running=$((running + 1))
done
wait

awk '
	{ checks += $1; failures += $2; errors += $3 }
	END {
		bad = failures + errors
		percent = checks ? int(100 * (checks - bad) / checks) : 100
		printf "%d%%: Checks: %d, Failures: %d, Errors: %d\n", percent, checks, failures, errors
		printf "%d passed, %d failed\n", checks - bad, bad
		exit bad > 0 || checks == 0
	}' "$results"
