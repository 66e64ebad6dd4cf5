## SPDX-License-Identifier: Apache-2.0
## Examples. They are built against an installed tree, as their readers would, so nothing here is a target of make.
## To ship one: EXTRA_DIST += %D%/hello/hello.c %D%/hello/Makefile
