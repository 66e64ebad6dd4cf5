/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns a key: keys fall into 1,024 buckets, and of all nodes the one with the highest weight for a bucket owns it (rendezvous
 * hashing). When a node comes or goes only its own share of the buckets changes hands. Pure, and the same on every node.
 */
#ifndef DIVE_HRW_H
#define DIVE_HRW_H

#include <diarkis/base.h>

enum { DIVE_BUCKETS = 1024, DIVE_NOBODY = UINT16_MAX };

uint16_t dive_hrw_bucket(dk_str key);
/* A number that stands for a node: of its address alone, so that a node that starts anew has the buckets it had. */
uint64_t dive_hrw_node(const struct dk_addr *addr);
uint64_t dive_hrw_weight(uint64_t node, uint16_t bucket);
/* The index of the heaviest of n nodes for that bucket; DIVE_NOBODY of none. */
uint16_t dive_hrw_owner(const uint64_t *nodes, size_t n, uint16_t bucket);

#endif
