#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# No configuration that comes with the product switches on what obeys whoever is connected: the plugin debug has a section in its own
# example alone.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

while IFS= read -r line; do
	complain "$line: a section of the plugin debug"
done < <(grep -rnE --include='*.conf' --include='*.inc' --include='*.json' --include='*.in' --exclude='package*.json' \
	'(^|[^_[:alnum:]])"?debug"?[[:space:]]*[:=][[:space:]]*\{' \
	etc examples plugins client tools tests/cluster 2>/dev/null | grep -v '^plugins/debug/debug\.conf:')
finish "plugins/debug/README.md: for test systems alone."
