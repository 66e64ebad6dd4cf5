#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who may include whom. The table is at the end; a line of it says what the files of a folder may include, and anything
# else is a complaint. Tests are free: they look into everything.
# shellcheck source=lib.sh
. "$TEST_SRCDIR/tests/lint/lib.sh"

libc='<(assert|ctype|errno|float|inttypes|limits|math|setjmp|signal|stdalign|stdarg|stdatomic|stdbool|stddef|stdint|stdio'
libc+='|stdlib|stdnoreturn|string|time|wchar|dirent|dlfcn|elf|endian|execinfo|fcntl|getopt|glob|grp|ifaddrs|libgen|link|locale'
libc+='|malloc|netdb|poll|pthread|pwd|regex|sched|spawn|strings|sysexits|syslog|termios|ucontext|unistd)\.h>'
libc+='|<(arpa|linux|net|netinet|sys)/[a-z0-9_]+\.h>'
config='"config\.h"'
public=$(find include/diarkis -name '*.h' -o -name '*.h.in' | sed 's|.*/||; s|\.in$||; s|\.h$||' | sort -u | paste -sd '|')
public="<diarkis/($public)\.h>"
openssl='<openssl/[a-z0-9_]+\.h>'

# in_dir DIR: the C files of DIR itself.
in_dir()
{
	[ -d "$1" ] && find "$1" -maxdepth 1 \( -name '*.[ch]' -o -name '*.h.in' \) | sort
}

# only FILES ALLOWED WHAT: each include of each file matches the expression ALLOWED, described to people by WHAT.
only()
{
	local files=$1 allowed=$2 what=$3 file number include

	for file in $files; do
		[ -e "$file" ] || continue
		while IFS=: read -r number include; do
			complain "$file:$number: includes $include; allowed here: $what."
		done < <(grep -nE '^[ \t]*#[ \t]*include' "$file" | sed -E 's/^([0-9]+):[ \t]*#[ \t]*include[ \t]*/\1:/; s/([>"]).*$/&/' |
			sed -E 's/^([0-9]+:(<[^>]*>|"[^"]*")).*/\1/' | grep -vE "^[0-9]+:($allowed)\$")
	done
}

# needs_of DIR: the other plugins whose headers the plugin in DIR may include, from the rows of its table of needs.
needs_of()
{
	cat "$1"/*.c 2>/dev/null | tr '\n' ' ' | grep -oE 'DK_(NEED|WANT|EACH_OF)\([^()]*, *DK_[A-Z0-9_]+ *\)' |
		sed -E 's/.*DK_([A-Z0-9_]+) *\)/\L\1/' | sort -u | paste -sd '|'
}

own='"[a-z0-9_]+\.h"'

only "$(in_dir include/diarkis)" "$libc|$public" "libc and public headers"
for file in kernel/*.[ch] kernel/conf/*.[ch]; do
	extra=
	case $file in
	kernel/typed*.[ch]) extra='|<ffi\.h>' ;;
	kernel/conf/config*.[ch]) extra='|<libconfig\.h>|<jansson\.h>' ;;
	esac
	only "$file" "$libc|$config|$public|$own|\"\.\./[a-z0-9_]+\.h\"$extra" \
		"libc, public headers and kernel.h (libffi in typed.c, libconfig and jansson in conf/config*.c, libuv in env/ only)"
done
only "$(in_dir kernel/env)" "$libc|$config|$public|$own|\"(\.\./|kernel/)[a-z0-9_]+\.h\"|<uv\.h>" \
	"libc, libuv, public headers and the kernel's"
only "$(in_dir wire)" "$libc|$openssl|<sanitizer/asan_interface\.h>|<diarkis/(base|cursor)\.h>|$own|\"wire/[a-z0-9_]+\.h\"" \
	"libc, the crypto library, <diarkis/base.h>, <diarkis/cursor.h> and wire's own"

for dir in plugins/*/ plugins/transports/*/; do
	dir=${dir%/}
	name=${dir##*/}
	[ "$name" != transports ] || continue
	needs=$(needs_of "$dir")
	extra=
	case $name in
	http) extra='|<llhttp\.h>' ;;
	endpoint | datacapsule | debug) extra='|<jansson\.h>' ;;
	esac
	only "$(in_dir "$dir")" \
		"$libc|$public|\"wire/[a-z0-9_]+\.h\"|\"plugins/[a-z0-9_]+\.h\"|$own|<diarkis/($name${needs:+|$needs})(_[a-z]+)?\.h>$extra" \
		"libc, public headers, wire/, what plugins share, its own, and <diarkis/X.h> of the plugins it needs (${needs:-none})"
	only "$(in_dir "$dir/diarkis")" "$libc|$public|<diarkis/($name${needs:+|$needs})(_[a-z]+)?\.h>" \
		"libc, public headers and those of the plugins it needs (${needs:-none})"
done

only "$(in_dir client)" "$libc|$public|\"wire/[a-z0-9_]+\.h\"|$own|<(uv|jansson)\.h>|<diarkis/[a-z0-9_]+\.h>" \
	"libc, libuv, jansson, public headers, wire/ and its own"
only "$(in_dir diarkisd)" "$libc|$config|$public|$own" "libc, public headers and its own"
only "$(find examples -name '*.[ch]')" "$libc|$own|<check\.h>|<diarkis/[a-z0-9_]+\.h>" "what an installed tree has"
finish "Folders depend on each other in one direction; ask for what is missing through a service or a public header."
