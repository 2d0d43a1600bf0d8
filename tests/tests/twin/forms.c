/* forms: binds port 80 of addresses in several forms, and tells what came of each. */
#include "bind.h"

static void form(const char *name, int domain, address a, socklen_t length)
{
    int fd = socket(domain, SOCK_STREAM, 0), one = 1;
    MUST(setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof one) == 0);
    printf("%s: %s\n", name, bind(fd, &a.any, length) ? strerrorname_np(errno) : "ok");
    close(fd);
}

int main(void)
{
    address v4 = ip("127.0.0.1", 80), v6 = ip("::1", 80), unspecified = ip("0.0.0.0", 80);
    unspecified.any.sa_family = AF_UNSPEC;
    form("IPv4", AF_INET, v4, sizeof v4.v4);
    form("IPv6", AF_INET6, v6, sizeof v6.v6);
    form("IPv4 in a sockaddr_storage", AF_INET, v4, sizeof(struct sockaddr_storage));
    form("IPv6 in a sockaddr_storage", AF_INET6, v6, sizeof(struct sockaddr_storage));
    form("IPv6 with no room for a scope", AF_INET6, v6, sizeof v6.v6 - sizeof v6.v6.sin6_scope_id);
    form("IPv6 with a scope", AF_INET6, ip("fe80::1%lo", 80), sizeof v6.v6);
    form("AF_UNSPEC", AF_INET, unspecified, sizeof v4.v4);
    return 0;
}
