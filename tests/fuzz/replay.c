/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The main of a fuzz target in an ordinary build: runs its corpus once, as a Check test. The corpus of fuzz_frame is the
 * folder tests/fuzz/corpus/frame of the source tree. An empty or missing corpus is a failure, because a target without
 * one would be replayed by nobody. Each file is named before it runs, so that the last name printed is the culprit.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void corpus_path(char *buf, size_t cap, const char *file)
{
	const char *srcdir = getenv("TEST_SRCDIR");
	const char *name = strchr(program_invocation_short_name, '_');

	ck_assert_msg(name != NULL, "the program %s is not called fuzz_NAME", program_invocation_short_name);
	snprintf(buf, cap, "%s/tests/fuzz/corpus/%s/%s", srcdir ? srcdir : ".", name + 1, file);
}

/* Each input gets a block of exactly its size, so that a sanitizer sees a read beyond the end. */
static void replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	long size;

	printf("%s\n", path);
	fflush(stdout);
	ck_assert_msg(f != NULL, "%s cannot be opened: %s", path, strerror(errno));
	ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
	size = ftell(f);
	ck_assert_int_ge(size, 0);
	rewind(f);
	data = malloc(size ? (size_t)size : 1);
	ck_assert_ptr_nonnull(data);
	ck_assert_uint_eq(fread(data, 1, (size_t)size, f), (size_t)size);
	fclose(f);
	LLVMFuzzerTestOneInput(data, (size_t)size);
	free(data);
}

START_TEST(corpus_runs)
{
	char path[4096];
	struct dirent *entry;
	size_t files = 0;
	DIR *dir;

	corpus_path(path, sizeof(path), "");
	dir = opendir(path);
	ck_assert_msg(dir != NULL, "there is no corpus: %s: %s", path, strerror(errno));
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		corpus_path(path, sizeof(path), entry->d_name);
		replay_file(path);
		files++;
	}
	closedir(dir);
	ck_assert_msg(files > 0, "the corpus is empty");
}
END_TEST

int main(void)
{
	TCase *tcase = tcase_create("corpus");
	Suite *suite = suite_create(program_invocation_short_name);
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, corpus_runs);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
