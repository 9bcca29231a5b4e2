/*
 * The socket: the bytes are one connection to a worker, as nginx makes them, or as nobody should. The real loop of the
 * worker runs, with libfcgi and all; there is no database. What is sent back must be whole FastCGI records and, where
 * it is an answer, a head and a body that is JSON.
 *
 * All in one thread: bytes and end of the connection wait in the socket before the worker looks, and the listening
 * socket is shut down, so that its loop ends when it would wait for another connection.
 */
#include <fcgiapp.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../fcgi-app/board.h"
#include "../../fcgi-app/worker.h"
#include "fuzz.h"
#include "token.h"

enum { MOST = 60000 }; /* what a socket takes without anybody reading */

enum { STDOUT = 6 };

/*
 * Known faults of Debian 12's libfcgi (docs/operations.md) are not found again. It aborts on a parameter that claims
 * more than memory can hold: here the allocator refuses 64 MB, and its failed assertion ends the input instead of the
 * process. What the worker held then is lost. And it forgets 48 bytes at each management record of a type that it does
 * not know, so that this target does not look for leaks.
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

/* Returns whether the worker got to its end; what it opened, behind `last`, is closed in any case. */
static bool serve(int listener, int last, const token_keys *keys, board *b)
{
    if (setjmp(refused) != 0) {
        close_range((unsigned)last + 1, ~0U, 0);
        return false;
    }
    worker_run(fuzz_conf(), keys, listener, b, &b->slots[0], false);
    return true;
}

/* A key of one's own, so that the corpus can hold a token: HS256, kid "fuzz". */
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

static void check_answer(arena *a, const strbuf *out)
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

static void check_reply(arena *a, const uint8_t *bytes, size_t size)
{
    strbuf out = STRBUF(a);
    for (size_t at = 0; at < size;) {
        REQUIRE(size - at >= 8 && bytes[at] == 1);
        size_t len = (size_t)bytes[at + 4] << 8 | bytes[at + 5], whole = 8 + len + bytes[at + 6];
        REQUIRE(size - at >= whole);
        if (bytes[at + 1] == STDOUT) strbuf_add(&out, (const char *)bytes + at + 8, len);
        at += whole;
    }
    if (out.len > 0) check_answer(a, &out);
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
    if (ended) check_reply(a, reply, used);
    arena_free(a);
    return 0;
}
