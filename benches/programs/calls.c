/* calls KIND COUNT: how long system calls take that have nothing to do with bind, in microseconds: the quickest quarter of COUNT
 * batches of 100. Kinds:
 *
 *   getpid    getpid(2), by syscall(2): the shortest there is
 *   kilobyte  write(2) and read(2) of 1 KiB through a socket pair
 *   accept    accept(2) and close(2) of a TCP connection that is there
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"

enum { BATCH = 100 };

static long getpids(void)
{
    long start = now();
    for (int i = 0; i < BATCH; i++)
        syscall(SYS_getpid);
    return now() - start;
}

static long kilobytes(void)
{
    static int pair[2];
    static char kilobyte[1024];
    if (pair[1] == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        err(1, "socketpair");
    long start = now();
    for (int i = 0; i < BATCH; i++)
        if (write(pair[0], kilobyte, sizeof kilobyte) < 0 || read(pair[1], kilobyte, sizeof kilobyte) < 0)
            err(1, "socket pair");
    return now() - start;
}

static long accepts(void)
{
    static int listener;
    static struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof address;
    if (listener == 0) {
        listener = socket(AF_INET, SOCK_STREAM, 0);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        /* To a port of the kernel's choice, and without bind(2). */
        if (listen(listener, BATCH) != 0 || getsockname(listener, (void *)&address, &length) != 0)
            err(1, "listen");
    }
    int clients[BATCH];
    struct linger abort = { .l_onoff = 1 };
    for (int i = 0; i < BATCH; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        /* No port is to be kept after the connection's end. */
        setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
        if (connect(clients[i], (void *)&address, sizeof address) != 0)
            err(1, "connect");
    }
    long start = now();
    for (int i = 0; i < BATCH; i++)
        close(accept(listener, NULL, NULL));
    long time = now() - start;
    for (int i = 0; i < BATCH; i++)
        close(clients[i]);
    return time;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        errx(2, "usage: calls KIND COUNT");
    long (*batch)(void) = strcmp(argv[1], "getpid") == 0 ? getpids : strcmp(argv[1], "accept") == 0 ? accepts : kilobytes;
    int count = atoi(argv[2]);
    long *times = calloc(count, sizeof *times);
    batch();
    for (int i = 0; i < count; i++)
        times[i] = batch();
    tell(undisturbed(times, count) / BATCH);
    return 0;
}
