#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Time, chance and the network come in through one seam: kernel/env. Nobody else calls a clock, a generator or a socket.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

banned='time|clock|clock_gettime|gettimeofday|timespec_get|sleep|usleep|nanosleep|rand|rand_r|srand|random|srandom|drand48'
banned+='|getrandom|arc4random.*|RAND_.*|socket|socketpair|bind|listen|accept4?|connect|send|sendto|send_?m?msg|recv|recvfrom'
banned+='|recv_?m?msg|poll|ppoll|select|epoll_.*|timerfd_.*|uv_.*|pthread_create|fork|vfork|posix_spawn.*|getaddrinfo|system'

# look FILE NAME: complains about each undefined symbol of FILE that is on the list.
look()
{
	local symbol

	for symbol in $(nm -u "$1" | awk '{ sub(/@.*/, "", $2); print $2 }' | grep -xE "$banned"); do
		complain "$2 calls $symbol()."
	done
}

for plugin in $(built_plugins); do
	look "$plugin" "plugin ${plugin##*/}"
done
for object in "$build"/kernel/.libs/libkernel_la-*.o; do
	[ -e "$object" ] || continue
	name=${object##*/libkernel_la-}
	look "$object" "kernel/${name%.o}.c"
done
for object in "$build"/wire/.libs/*.o; do
	[ -e "$object" ] || continue
	look "$object" "wire/$(basename "$object" .o).c"
done
finish "Without that rule no run can be replayed from its seed: use dk_now, dk_timer_*, dk_random, dk_udp_*, dk_stream_*."
