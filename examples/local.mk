## SPDX-License-Identifier: Apache-2.0
## Examples. They are built against an installed tree, as their readers would, so nothing here but tally is a target of make;
## tests/contract/examples.sh builds and runs them. tools/new-plugin.sh copies hello.
examplehellodir = $(pkgdatadir)/examples/hello
dist_examplehello_DATA = %D%/hello/hello.c %D%/hello/test_hello.c %D%/hello/Makefile
exampleattackdir = $(pkgdatadir)/examples/attack
dist_exampleattack_DATA = %D%/attack/attack.c %D%/attack/test_attack.c %D%/attack/Makefile
exampleembeddir = $(pkgdatadir)/examples/embed
dist_exampleembed_DATA = %D%/embed/embed.c %D%/embed/Makefile
exampleloddir = $(pkgdatadir)/examples/lod
dist_examplelod_DATA = %D%/lod/lod.c %D%/lod/test_lod.c %D%/lod/Makefile
exampletallydir = $(pkgdatadir)/examples/tally
dist_exampletally_DATA = %D%/tally/tally.c %D%/tally/test_tally.c %D%/tally/Makefile
exampleonlinestatusdir = $(pkgdatadir)/examples/onlinestatus
dist_exampleonlinestatus_DATA = %D%/onlinestatus/onlinestatus.c %D%/onlinestatus/test_onlinestatus.c %D%/onlinestatus/Makefile
## What load tests count with, and ./dev demo.
noinst_LTLIBRARIES += %D%/tally.la
%C%_tally_la_SOURCES = %D%/tally/tally.c
%C%_tally_la_LIBADD = $(kernel_lib)
%C%_tally_la_LDFLAGS = $(plugin_ldflags) -rpath /nowhere
EXTRA_DIST += \
	%D%/attack/compare.sh \
	%D%/attack/colyseus/package.json %D%/attack/colyseus/package-lock.json \
	%D%/attack/colyseus/server.mjs %D%/attack/colyseus/check.mjs
