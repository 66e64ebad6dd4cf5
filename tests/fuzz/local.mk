## SPDX-License-Identifier: Apache-2.0
## Fuzz targets. With --enable-fuzz they are libFuzzer programs; without, replay.c gives each a main that runs its corpus
## as an ordinary test. For each target, and corpus folders by EXTRA_DIST += %D%/corpus:
##if ENABLE_FUZZ
##noinst_PROGRAMS += %D%/fuzz_frame
##else
##check_PROGRAMS += %D%/fuzz_frame
##endif
##%C%_fuzz_frame_SOURCES = %D%/fuzz_frame.c $(fuzz_main)
##%C%_fuzz_frame_LDADD = $(wire_lib) $(fuzz_libs)
##%C%_fuzz_frame_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/replay.c
if ENABLE_FUZZ
fuzz_main =
fuzz_libs =
fuzz_ldflags = $(AM_LDFLAGS) -fsanitize=fuzzer
else
fuzz_main = %D%/replay.c
fuzz_libs = $(test_libs)
fuzz_ldflags = $(AM_LDFLAGS)
endif
