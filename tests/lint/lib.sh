# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the lints share. A lint says one sentence for each thing that is wrong and ends with `finish`.
# Sourced by the scripts beside it; the working directory is the source tree, $build the build tree.

set -u
cd "${TEST_SRCDIR:?run this by make lint}" || exit 1
build=${TEST_BUILDDIR:?run this by make lint}
complaints=0

complain()
{
	echo "$*"
	complaints=$((complaints + 1))
}

# finish RULE: the exit status of the lint, with the rule that was broken, so that a reader knows why it exists.
finish()
{
	[ $complaints -eq 0 ] && exit 0
	echo "$complaints found. $1"
	exit 1
}

# source_files PATTERN...: files of the product whose name fits one of the patterns, generated copies excepted.
source_files()
{
	local name args=()

	for name; do
		args+=(-o -name "$name")
	done
	find include kernel diarkisd wire plugins client tools examples tests etc \
		\( -name node_modules -o -name parser -o -name log -o -name corpus -o -name .libs \) -prune -o \
		-type f \( "${args[@]:1}" \) ! -path include/diarkis/version.h -print | sort
}

# built_plugins: the .so files of the product's plugins in the build tree.
built_plugins()
{
	find "$build/plugins/.libs" -maxdepth 1 -name '*.so' 2>/dev/null | sort
}
