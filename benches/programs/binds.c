/* binds KIND COUNT [PROCESSES]: how long a bind(2) takes, in microseconds: the quickest quarter of COUNT. With PROCESSES, each
 * of which binds COUNT times, the time for all of them divided by the number of binds. Kinds:
 *
 *   granted   127.0.0.1:80
 *   high      127.0.0.1:8080, which is not privileged
 *   local     an AF_UNIX address
 *   peer      a UDP socket for one peer, as QUIC servers have them: made, bound to port 80 beside others, connected
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

static struct sockaddr_in internet(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int new_socket(int domain, int type)
{
    int socket_ = socket(domain, type | SOCK_CLOEXEC, 0), on = 1;
    if (socket_ < 0)
        err(1, "socket");
    if (domain == AF_INET && setsockopt(socket_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)
        err(1, "SO_REUSEPORT");
    return socket_;
}

static long one_bind(int domain, const void *address, socklen_t length)
{
    int socket_ = new_socket(domain, SOCK_STREAM);
    long start = now();
    if (bind(socket_, address, length) != 0)
        err(1, "bind");
    long time = now() - start;
    close(socket_);
    return time;
}

static long one_peer(void)
{
    struct sockaddr_in own = internet(80), peer = internet(4433);
    long start = now();
    int socket_ = new_socket(AF_INET, SOCK_DGRAM);
    if (bind(socket_, (void *)&own, sizeof own) != 0)
        err(1, "bind");
    if (connect(socket_, (void *)&peer, sizeof peer) != 0)
        err(1, "connect");
    long time = now() - start;
    close(socket_);
    return time;
}

static long one(const char *kind)
{
    if (strcmp(kind, "peer") == 0)
        return one_peer();
    if (strcmp(kind, "local") == 0) {
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "\0benchmark" };
        return one_bind(AF_UNIX, &address, sizeof address);
    }
    struct sockaddr_in address = internet(strcmp(kind, "high") == 0 ? 8080 : 80);
    return one_bind(AF_INET, &address, sizeof address);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        errx(2, "usage: binds KIND COUNT [PROCESSES]");
    const char *kind = argv[1];
    int count = atoi(argv[2]), processes = argc > 3 ? atoi(argv[3]) : 0;
    long *times = calloc(count, sizeof *times);
    /* The first of a program's binds resolves symbols and is told to the log. */
    one(kind);
    long start = now();
    for (int i = 0; i < processes; i++) {
        pid_t child = fork();
        if (child < 0)
            err(1, "fork");
        if (child == 0) {
            for (int j = 0; j < count; j++)
                one(kind);
            _exit(0);
        }
    }
    for (int i = 0, status; i < processes; i++)
        if (wait(&status) < 0 || status != 0)
            errx(1, "a process failed");
    if (processes > 0) {
        tell((now() - start) / ((double)processes * count));
        return 0;
    }
    for (int i = 0; i < count; i++)
        times[i] = one(kind);
    tell(undisturbed(times, count));
    return 0;
}
