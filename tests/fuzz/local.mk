## SPDX-License-Identifier: Apache-2.0
## Fuzz targets. With --enable-fuzz they are libFuzzer programs; without, replay.c gives each a main that runs its corpus,
## tests/fuzz/corpus/NAME for the target fuzz_NAME, as an ordinary test. For each target:
##fuzz_programs += %D%/fuzz_frame
##%C%_fuzz_frame_SOURCES = %D%/fuzz_frame.c $(fuzz_main)
##%C%_fuzz_frame_LDADD = $(wire_lib) $(fuzz_libs)
##%C%_fuzz_frame_LDFLAGS = $(fuzz_ldflags)
##EXTRA_DIST += %D%/corpus/frame
fuzz_programs += %D%/fuzz_config
%C%_fuzz_config_SOURCES = %D%/fuzz_config.c $(fuzz_main)
%C%_fuzz_config_LDADD = $(kernel_objects) $(fuzz_libs)
%C%_fuzz_config_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/config
fuzz_programs += %D%/fuzz_http
%C%_fuzz_http_SOURCES = %D%/fuzz_http.c $(fuzz_main)
%C%_fuzz_http_CPPFLAGS = $(AM_CPPFLAGS) $(LLHTTP_CFLAGS)
%C%_fuzz_http_LDADD = $(http_pure_lib) $(fuzz_libs)
%C%_fuzz_http_LDFLAGS = $(fuzz_ldflags)
EXTRA_DIST += %D%/corpus/http
EXTRA_DIST += %D%/replay.c
