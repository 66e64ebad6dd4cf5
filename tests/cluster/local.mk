## SPDX-License-Identifier: Apache-2.0
## Real processes on loopback. Not part of make check: ./dev test runs them.
