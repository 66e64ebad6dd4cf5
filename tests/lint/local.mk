## SPDX-License-Identifier: Apache-2.0
## Rules of the house that a script can check. Each is run by make check and by make lint.
lint_scripts += \
	%D%/includes.sh \
	%D%/headers.sh \
	%D%/style.sh \
	%D%/kernel-size.sh \
	%D%/docs.sh \
	%D%/shipped.sh \
	%D%/readmes.sh
## These look at symbols, among which instrumented builds have their own.
built_lint_scripts = \
	%D%/globals.sh \
	%D%/exports.sh \
	%D%/seam.sh
if !ENABLE_INSTRUMENTED
lint_scripts += $(built_lint_scripts)
endif
EXTRA_DIST += $(lint_scripts) $(built_lint_scripts) %D%/lib.sh
