## SPDX-License-Identifier: Apache-2.0
## Examples. They are built against an installed tree, as their readers would, so nothing here is a target of make;
## tests/contract/examples.sh builds and runs them. tools/new-plugin.sh copies hello.
examplehellodir = $(pkgdatadir)/examples/hello
dist_examplehello_DATA = %D%/hello/hello.c %D%/hello/test_hello.c %D%/hello/Makefile
exampleattackdir = $(pkgdatadir)/examples/attack
dist_exampleattack_DATA = %D%/attack/attack.c %D%/attack/test_attack.c %D%/attack/Makefile
exampleembeddir = $(pkgdatadir)/examples/embed
dist_exampleembed_DATA = %D%/embed/embed.c %D%/embed/Makefile
exampleloddir = $(pkgdatadir)/examples/lod
dist_examplelod_DATA = %D%/lod/lod.c %D%/lod/test_lod.c %D%/lod/Makefile
EXTRA_DIST += \
	%D%/attack/compare.sh \
	%D%/attack/colyseus/package.json %D%/attack/colyseus/package-lock.json \
	%D%/attack/colyseus/server.mjs %D%/attack/colyseus/check.mjs
