/* conf.c: a small secret is read from a file of its own. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "unit.h"

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static char path[] = "/tmp/booky-secret-XXXXXX";

/* Unchecked fixtures: they run in the parent process, so that a failing test leaves no file. */
static void make_file(void)
{
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void remove_file(void)
{
    unlink(path);
}

/* A file, and the result of conf_read_secret with a buffer of 16 bytes; a fault without the path. */
static const struct {
    const char *name, *file;
    bool read;
    const char *result;
} secrets[] = {
    {"a secret", "s3cret", true, "s3cret"},
    {"one newline at the end", "s3cret\n", true, "s3cret"},
    {"one line end of Windows", "s3cret\r\n", true, "s3cret"},
    {"several newlines", "s3cret\n\n", true, "s3cret"},
    {"spaces are part of the secret", " s3 cret ", true, " s3 cret "},
    {"the maximum length", "123456789012345", true, "123456789012345"},
    {"one byte longer", "1234567890123456", false, ": longer than 15 bytes"},
    {"longer with its newline", "123456789012345\n", false, ": longer than 15 bytes"},
    {"much longer", X50 X50 X50, false, ": longer than 15 bytes"},
    {"an empty file", "", false, ": is empty"},
    {"a newline only", "\n", false, ": is empty"},
};

START_TEST(a_secret_is_read)
{
    char out[16], fault[300];
    FILE *f = fopen(path, "w");
    fputs(secrets[_i].file, f);
    fclose(f);
    bool read = conf_read_secret(path, out, sizeof out, fault, sizeof fault);
    ck_assert_msg(read == secrets[_i].read, "%s", secrets[_i].name);
    const char *result = read ? out : fault + strlen(path);
    ck_assert_msg(strcmp(result, secrets[_i].result) == 0, "%s: %s", secrets[_i].name, result);
}
END_TEST

START_TEST(a_secret_that_cannot_be_read)
{
    char out[16], fault[300];
    ck_assert(!conf_read_secret("/no/such/file", out, sizeof out, fault, sizeof fault));
    ck_assert_str_eq(fault, "/no/such/file: No such file or directory");
    ck_assert(!conf_read_secret("/", out, sizeof out, fault, sizeof fault));
    ck_assert_str_eq(fault, "/: cannot be read");
}
END_TEST

Suite *suite_conf_secret(void);

Suite *suite_conf_secret(void)
{
    Suite *s = suite_create("conf_secret");
    TCase *t = tcase_create("conf_secret");
    tcase_add_unchecked_fixture(t, make_file, remove_file);
    tcase_add_loop_test(t, a_secret_is_read, 0, COUNT(secrets));
    tcase_add_test(t, a_secret_that_cannot_be_read);
    suite_add_tcase(s, t);
    return s;
}
