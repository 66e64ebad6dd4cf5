#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Usage: new-plugin.sh NAME [DIR]
#
# Makes a plugin called NAME, with its test, in DIR (default: ./NAME): a copy of examples/hello under another name. Works from
# the source tree and from an installed one (share/diarkis); from there the new Makefile finds the installed tree by itself.
set -eu

die()
{
	echo "new-plugin.sh: $*" >&2
	exit 2
}

[ $# -eq 1 ] || [ $# -eq 2 ] || die "expected a name and perhaps a folder: new-plugin.sh NAME [DIR]"
name=$1 dir=${2:-$1}
[[ $name =~ ^[a-z][a-z0-9_]{0,62}$ ]] ||
	die "\"$name\" is no name for a plugin; expected a lower-case letter, then letters, digits and _ (it becomes part of C names)."
case $name in
auto | break | case | char | const | continue | default | do | double | else | enum | extern | float | for | goto | if | inline | int | \
	long | register | restrict | return | short | signed | sizeof | static | struct | switch | typedef | union | unsigned | void | \
	volatile | while | asm | typeof | main)
	die "\"$name\" is a word of the C language; take another one."
	;;
esac

here=$(dirname "$(readlink -f "$0")")
if [ -f "$here/examples/hello/hello.c" ]; then # PREFIX/share/diarkis
	from=$here/examples/hello prefix=$(readlink -f "$here/../..")
elif [ -f "$here/../examples/hello/hello.c" ]; then # the source tree
	from=$here/../examples/hello prefix=
else
	die "the example it copies is not there; expected $here/examples/hello"
fi
plugins=${prefix:+$prefix/lib/diarkis/plugins}
if [ -e "$here/../plugins/$name" ] || [ -e "$here/../plugins/transports/$name" ] || [ -e "${plugins:-/nonexistent}/$name.so" ]; then
	die "a plugin called \"$name\" is there already; take another name."
fi
[ ! -e "$dir" ] || die "$dir is there already; nothing was changed."

mkdir -p "$dir"
upper=${name^^}
for file in "$from"/hello.c "$from"/test_hello.c "$from"/Makefile; do
	to=$dir/$(basename "$file" | sed "s/hello/$name/")
	sed -e "s/hello/$name/g" -e "s/HELLO/$upper/g" -e '/new-plugin\.sh starts from it/s/ tools.*it\.//' "$file" >"$to"
done
if [ -n "$prefix" ]; then
	sed -i "s|^PKG_CONFIG ?= pkg-config\$|&\nexport PKG_CONFIG_PATH := $prefix/lib/pkgconfig:\$(PKG_CONFIG_PATH)|" "$dir/Makefile"
fi

say()
{
	printf '  %-46s # %s\n' "$1" "$2"
}

echo "Made $dir: $name.c, test_$name.c, Makefile. What next:"
echo
if [ -z "$prefix" ]; then
	say "./dev install ~/diarkis" "once, in the source tree: headers, libraries, plugins"
	say "export PKG_CONFIG_PATH=~/diarkis/lib/pkgconfig" "so that make finds them"
fi
say "make -C $dir check" "build it and run its test"
say "make -C $dir install" "put $name.so beside the other plugins"
say "${prefix:+$prefix/bin/}diarkisd --explain $name" "its options and commands, as the kernel sees them"
echo
echo "A section \"$name = {};\" under plugins in diarkis.conf switches it on. Its command is (2, 10) \"$name.greet\" in $name.c;"
echo "docs/PLUGIN.md turns such a file into something for players."
