/* SPDX-License-Identifier: Apache-2.0 */
/* Where cluster keys come from: one place for nodes and for tools, so that both find the same. */
#include "wire/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define KEY_FILE_MAX 256

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int wire_cluster_key_parse(dk_str text, uint8_t ret_key[WIRE_CLUSTER_KEY])
{
	uint8_t key[WIRE_CLUSTER_KEY];

	while (text.n && strchr(" \t\r\n", text.p[0]))
		text = dk_str_n(text.p + 1, text.n - 1);
	while (text.n && strchr(" \t\r\n", text.p[text.n - 1]))
		text.n--;
	if (text.n != 2 * WIRE_CLUSTER_KEY)
		return -EINVAL;
	for (size_t i = 0; i < WIRE_CLUSTER_KEY; i++) {
		int high = digit(text.p[2 * i]), low = digit(text.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		key[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret_key, key, sizeof(key));
	explicit_bzero(key, sizeof(key));
	return 0;
}

static int from_file(const char *file, uint8_t key[WIRE_CLUSTER_KEY], char *why, size_t why_n)
{
	FILE *f = fopen(file, "re");
	char buf[KEY_FILE_MAX];
	struct stat st;
	size_t n;
	int rc;

	if (!f) {
		snprintf(why, why_n, "the key file %s cannot be read: %s", file, strerror(errno));
		return -EINVAL;
	}
	if (fstat(fileno(f), &st) < 0 || (st.st_mode & 0777 & ~0640)) {
		snprintf(why, why_n, "the key file %s has mode %04o, which lets others read or change it; `chmod 0640 %s`", file,
			 (unsigned)(st.st_mode & 0777), file);
		fclose(f);
		return -EINVAL;
	}
	setbuf(f, NULL); /* no copy of the key in stdio's memory */
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	rc = n == sizeof(buf) ? -EINVAL : wire_cluster_key_parse(dk_str_n(buf, n), key);
	explicit_bzero(buf, sizeof(buf));
	if (rc)
		snprintf(why, why_n, "the key file %s does not hold 64 hexadecimal digits; `openssl rand -hex 32` makes them",
			 file);
	return rc;
}

int wire_cluster_keys_read(const struct wire_cluster_source from[WIRE_CLUSTER_KEYS],
			   uint8_t ret_keys[WIRE_CLUSTER_KEYS][WIRE_CLUSTER_KEY], int *ret_bad, char *why, size_t why_n)
{
	int n = 0, rc;

	for (int i = 0; i < WIRE_CLUSTER_KEYS; i++) {
		const char *text = from[i].text, *file = from[i].file;
		bool written = text && *text;

		if (!written && (!file || !*file))
			continue;
		*ret_bad = 2 * i + !written;
		if (i > n) {
			snprintf(why, why_n, "there is a second cluster key but no first one, which is the one to speak with");
			return -EINVAL;
		}
		if (!written) {
			rc = from_file(file, ret_keys[n], why, why_n);
		} else {
			rc = wire_cluster_key_parse(dk_str_c(text), ret_keys[n]);
			if (rc)
				snprintf(why, why_n,
					 "a cluster key is 64 hexadecimal digits, and this one is not (%zu characters); `openssl "
					 "rand "
					 "-hex 32` makes one",
					 strlen(text));
		}
		if (rc)
			return rc;
		n++;
	}
	return n;
}
