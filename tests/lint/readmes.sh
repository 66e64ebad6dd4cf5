#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The tables of the plugins' READMEs are what the plugins declare today.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

while IFS= read -r line; do
	complain "$line"
done < <(bash tools/readme-tables.sh --check "$build")
finish "docs/PRINCIPLES.md, 7: declare once. ./dev docs writes the tables."
