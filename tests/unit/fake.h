/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel that was never booted, with one plugin: enough for the parts that only ask whose memory it is. For tests that link
 * $(kernel_objects) to reach private functions.
 */
#ifndef TESTS_UNIT_FAKE_H
#define TESTS_UNIT_FAKE_H

#include "kernel/kernel.h"

#include "unit.h"

struct fake {
	struct dk_kernel k;
	struct dk_plugin p;
	struct dk_self self;
};

static inline void fake_init(struct fake *f)
{
	*f = (struct fake){ .p = { .k = &f->k, .instance = "fake", .self = &f->self },
			    .self = { .magic = DK_SELF_MAGIC, .plugin = &f->p } };
	ck_assert_int_eq(mem_init(&f->k), 0);
}

static inline void fake_fini(struct fake *f)
{
	ck_assert_uint_eq(f->p.memory, 0);
	mem_fini(&f->k);
}

#endif
