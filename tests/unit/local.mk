## SPDX-License-Identifier: Apache-2.0
## Tests of pure parts, without a running kernel. For each test three lines:
##check_PROGRAMS += %D%/test_frame
##%C%_test_frame_SOURCES = %D%/test_frame.c
##%C%_test_frame_LDADD = $(wire_lib) $(test_libs)
## A test of the kernel's private functions links $(kernel_objects) in place of $(wire_lib).
include %D%/wire/local.mk
