/* The configuration file. Any content is either loaded or refused with a line for each fault. */
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64], fault[512];
    conf c;
    if (size > 16384 || memmem(data, size, "include", 7)) return 0; /* it could name any file of this machine */
    int fd = memfd_create("conf", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (conf_load(&c, path, fault, sizeof fault)) {
        for (const conf_row *row = conf_rows; row->name; row++) {
            const void *field = (const char *)&c + row->offset;
            if (row->type == CONF_STRING || row->type == CONF_CHOICE)
                REQUIRE(*(const char *const *)field);
            else if (strcmp(row->name, "pool.workers") != 0)
                REQUIRE(*(const int64_t *)field >= row->min && *(const int64_t *)field <= row->max);
        }
    } else {
        REQUIRE(*fault && fault[strlen(fault) - 1] != '\n' && !strstr(fault, "\n\n"));
    }
    conf_free(&c);
    close(fd);
    return 0;
}
