/* SPDX-License-Identifier: Apache-2.0 */
#include "carrier_contract.h"

#include <stdlib.h>

int main(void)
{
	SRunner *r = srunner_create(carrier_contract("mesh", nodes_config));
	int failed;

	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
