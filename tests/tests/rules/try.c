/* try: reads lines "PROTOCOL ADDRESS PORT" from its standard input, a socket, and answers each there with what came of
 * binding a new socket so: "bound", or the error of socket(2) or bind(2). The sockets may be bound to addresses that no
 * interface has (IP_FREEBIND). */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int type, protocol;
} KINDS[] = {
    {"tcp", SOCK_STREAM, IPPROTO_TCP},         {"mptcp", SOCK_STREAM, IPPROTO_MPTCP},
    {"udp", SOCK_DGRAM, IPPROTO_UDP},          {"udplite", SOCK_DGRAM, IPPROTO_UDPLITE},
    {"sctp", SOCK_STREAM, IPPROTO_SCTP},       {"dccp", SOCK_DCCP, IPPROTO_DCCP},
};

static int new_socket(const char *protocol, int domain)
{
    for (unsigned i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (!strcmp(protocol, KINDS[i].name))
            return socket(domain, KINDS[i].type, KINDS[i].protocol);
    errno = EINVAL;
    return -1;
}

/* Gives 0 or an errno. */
static int try(const char *protocol, const char *text, int port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int is_v6 = inet_pton(AF_INET6, text, &v6.sin6_addr) == 1, one = 1, failed;
    if (!is_v6 && inet_pton(AF_INET, text, &v4.sin_addr) != 1)
        return EINVAL;
    int fd = new_socket(protocol, is_v6 ? AF_INET6 : AF_INET);
    if (fd < 0)
        return errno;
    if (is_v6) {
        failed = setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof one)
                 || bind(fd, (struct sockaddr *)&v6, sizeof v6);
    } else {
        failed = setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof one)
                 || bind(fd, (struct sockaddr *)&v4, sizeof v4);
    }
    failed = failed ? errno : 0;
    close(fd);
    return failed;
}

int main(void)
{
    char protocol[16], address[64];
    int port;
    while (scanf("%15s %63s %d", protocol, address, &port) == 3) {
        int failed = try(protocol, address, port);
        dprintf(STDIN_FILENO, "%s\n", failed ? strerrorname_np(failed) : "bound");
    }
    return 0;
}
