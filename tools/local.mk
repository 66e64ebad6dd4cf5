## SPDX-License-Identifier: Apache-2.0
## The command line tools and scripts for people, and the list of Debian packages.
EXTRA_DIST += %D%/packages.txt
## To enable a tool: remove the two # of each line below.
##bin_PROGRAMS += %D%/diarkis-bot
##%C%_diarkis_bot_SOURCES = %D%/bot.c
##%C%_diarkis_bot_LDADD = $(client_lib) $(UV_LIBS)
##%C%_diarkis_bot_LDFLAGS = $(program_ldflags)
