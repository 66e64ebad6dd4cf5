#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each public header compiles alone, as C11 and as C++.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

cc=${CC:-cc}
case $cc in
*clang*) cxx=${cc/clang/clang++} ;;
*gcc*) cxx=${cc/gcc/g++} ;;
*) cxx=c++ ;;
esac
include=(-I"$build/include" -Iinclude)
for dir in plugins/*/diarkis plugins/transports/*/diarkis tests/*/diarkis client/diarkis; do
	[ -d "$dir" ] && include+=(-I"${dir%/diarkis}")
done

# compile HEADER LANGUAGE COMPILER...: complains with what the compiler said.
compile()
{
	local header=$1 language=$2 said

	shift 2
	said=$(printf '#include <diarkis/%s>\nextern int dk_alone;\n' "${header##*/}" | "$@" -Wall -Wextra -Werror "${include[@]}" -fsyntax-only - 2>&1) ||
		complain "$header does not compile alone as $language:"$'\n'"$said"
}

for header in "$build/include/diarkis/version.h" $(source_files '*.h' | grep -E '(^|/)diarkis/[^/]*\.h$'); do
	# shellcheck disable=SC2086
	compile "$header" C11 $cc -std=c11 -pedantic -x c
	# shellcheck disable=SC2086
	compile "$header" C++ $cxx -std=c++17 -x c++
done
finish "A header that needs another one includes it; C++ knows no implicit conversion from void pointers."
