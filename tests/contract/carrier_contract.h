/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every provider of the service "carrier" must hold, as <diarkis/carrier.h> promises it. A provider's test calls this with
 * the configuration of a node and runs the suite; carrier_mesh.c does so for the plugin mesh.
 */
#ifndef CARRIER_CONTRACT_H
#define CARRIER_CONTRACT_H

#include <check.h>

#include "carrier_nodes.h"

/* name: for reports. configure: a node whose carrier is the one under test; its address must be 10.0.0.(i + 1) of whatever port,
 * and the same each time. */
Suite *carrier_contract(const char *name, nodes_config_fn *configure);

#endif
