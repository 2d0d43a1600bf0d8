/* ports PORT...: tells for each what TCP, UDP and IPv6 sockets get, and whether those that get nothing can have another
 * port; with a stop where a PORT is a word that begins with "stop". */
#include "bind.h"

static void tell(int domain, int type, int port)
{
    const char *loopback = domain == AF_INET ? "127.0.0.1" : "::1";
    int fd = socket(domain, type, 0), error = try_ip(fd, loopback, port);
    MUST(port_of(fd) == (error ? 0 : port));
    printf(" %s", error_name(error));
    if (error) {
        MUST(try_ip(fd, loopback, 20000) == 0 && port_of(fd) == 20000);
        MUST(type == SOCK_DGRAM || listen(fd, 1) == 0);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    prepare_stops();
    for (int i = 1; i < argc; i++) {
        if (!strncmp(argv[i], "stop", 4)) {
            stop_at(argv[i]);
            continue;
        }
        printf("%s", argv[i]);
        tell(AF_INET, SOCK_STREAM, atoi(argv[i]));
        tell(AF_INET, SOCK_DGRAM, atoi(argv[i]));
        tell(AF_INET6, SOCK_STREAM, atoi(argv[i]));
        printf("\n");
    }
    return 0;
}
