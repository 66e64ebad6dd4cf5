## SPDX-License-Identifier: Apache-2.0
## Rules of the house that a script can check. Each is run by make check and by make lint.
EXTRA_DIST += $(lint_scripts)
