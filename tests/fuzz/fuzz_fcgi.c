/*
 * The socket: the bytes are one connection to a worker, valid or not. The real loop of the worker runs, with libfcgi
 * and without a database. It must send whole FastCGI records. If they contain a reply, it must be a head and a body
 * that is valid JSON.
 *
 * Everything runs in one thread: the bytes and the end of the connection are in the socket before the worker starts,
 * and the listening socket is shut down, so that the loop ends instead of waiting for another connection.
 */
#include <fcgiapp.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "serve/board.h"
#include "serve/worker.h"
#include "token/keys.h"

enum { MOST = 60000 }; /* bytes that fit into a socket without a reader */

enum { STDOUT = 6 };

/*
 * Known faults of libfcgi in Debian 12 (docs/operations.md) must not be found again:
 * - It aborts on a parameter whose length exceeds the memory. Here the allocator refuses 64 MB, and the failed
 * assertion ends the input instead of the process. The memory of the worker leaks in this case.
 * - It leaks 48 bytes for each management record of an unknown type. So this target does not check for leaks.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1:max_allocation_size_mb=64";
}

int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

static jmp_buf refused;

void __assert_fail(const char *assertion, const char *file, unsigned line, const char *function)
{
    if (strstr(file, "fcgiapp.c") && strstr(assertion, "result")) longjmp(refused, 1);
    fprintf(stderr, "%s:%u: %s: %s\n", file, line, function, assertion);
    abort();
}

/* Returns whether the loop of the worker ended. Closes all descriptors above `last` in any case. */
static bool serve(int listener, int last, const token_keys *keys, board *b)
{
    if (setjmp(refused) != 0) {
        close_range((unsigned)last + 1, ~0U, 0);
        return false;
    }
    worker_run(fuzz_conf(), keys, listener, b, &b->slots[0], false);
    return true;
}

/* A fixed key, so that the corpus can contain a token: HS256, kid "fuzz". */
static token_keys *load_keys(void)
{
    char dir[] = "/tmp/booky-fuzz-XXXXXX", path[64], fault[512];
    conf c = *fuzz_conf();
    REQUIRE(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/fuzz.hmac", dir);
    FILE *f = fopen(path, "w");
    REQUIRE(f && fputs("a secret of forty bytes for fuzzing only", f) >= 0 && fclose(f) == 0);
    c.keys_dir = dir;
    token_keys *keys = token_keys_load(&c, fault, sizeof fault);
    REQUIRE(keys);
    unlink(path);
    rmdir(dir);
    return keys;
}

static int listen_anywhere(struct sockaddr_un *address, socklen_t *len)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *len = sizeof address->sun_family; /* the kernel chooses an abstract name */
    REQUIRE(bind(fd, (struct sockaddr *)address, *len) == 0 && listen(fd, 4) == 0);
    *len = sizeof *address;
    REQUIRE(getsockname(fd, (struct sockaddr *)address, len) == 0);
    return fd;
}

static void check_reply_text(arena *a, const strbuf *out)
{
    const char *body = strstr(out->data, "\r\n\r\n");
    REQUIRE(body && strncmp(out->data, "Status: ", 8) == 0);
    body += 4;
    REQUIRE(strstr(out->data, "\r\nX-Request-Id: "));
    size_t len = out->len - (size_t)(body - out->data);
    if (len > 0)
        REQUIRE(fuzz_is_json(a, body, len));
    else
        REQUIRE(strncmp(out->data, "Status: 304", 11) == 0);
}

static void check_records(arena *a, const uint8_t *bytes, size_t size)
{
    strbuf out = STRBUF(a);
    for (size_t at = 0; at < size;) {
        REQUIRE(size - at >= 8 && bytes[at] == 1);
        size_t len = (size_t)bytes[at + 4] << 8 | bytes[at + 5], whole = 8 + len + bytes[at + 6];
        REQUIRE(size - at >= whole);
        if (bytes[at + 1] == STDOUT) strbuf_add(&out, (const char *)bytes + at + 8, len);
        at += whole;
    }
    if (out.len > 0) check_reply_text(a, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static board *b;
    static token_keys *keys;
    static uint8_t reply[1 << 20];
    struct sockaddr_un address;
    socklen_t len;
    if (size > MOST) return 0;
    if (!b) {
        b = board_new();
        keys = load_keys();
    }
    int listener = listen_anywhere(&address, &len), client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(connect(client, (struct sockaddr *)&address, len) == 0);
    REQUIRE(send(client, data, size, MSG_DONTWAIT) == (ssize_t)size);
    shutdown(client, SHUT_WR);
    shutdown(listener, SHUT_RDWR);
    bool ended = serve(listener, client > listener ? client : listener, keys, b);
    close(listener);
    size_t used = 0;
    for (ssize_t n; used < sizeof reply && (n = recv(client, reply + used, sizeof reply - used, MSG_DONTWAIT)) > 0;)
        used += (size_t)n;
    close(client);
    arena *a = arena_new();
    if (ended) check_records(a, reply, used);
    arena_free(a);
    return 0;
}
