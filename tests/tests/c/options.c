/* options: sets options of sockets, binds them to port 80, and tells what came of the bind and of the options. */
#include "bind.h"

static int with_option(int domain, int type, int level, int option, int value)
{
    int fd = socket(domain, type, 0);
    MUST(fd >= 0 && setsockopt(fd, level, option, &value, sizeof value) == 0);
    return fd;
}

static int get(int fd, int level, int option)
{
    int value = -1;
    MUST(getsockopt(fd, level, option, &value, &(socklen_t){sizeof value}) == 0);
    return value;
}

/* What can be read back is as it was before the bind. */
static void values(void)
{
    const struct {
        const char *name;
        int domain, type, level, option, value;
    } set[] = {
        {"SO_REUSEADDR", AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, 1},
        {"SO_REUSEPORT", AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEPORT, 1},
        {"SO_KEEPALIVE", AF_INET, SOCK_STREAM, SOL_SOCKET, SO_KEEPALIVE, 1},
        {"SO_BROADCAST", AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_BROADCAST, 1},
        {"SO_RCVBUF", AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_RCVBUF, 12345},
        {"IP_FREEBIND", AF_INET, SOCK_STREAM, IPPROTO_IP, IP_FREEBIND, 1},
        {"IP_PKTINFO", AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_PKTINFO, 1},
        {"IP_TOS", AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_TOS, 16},
        {"IPV6_V6ONLY 0", AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, 0},
        {"IPV6_V6ONLY 1", AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, 1},
        {"IPV6_RECVPKTINFO", AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1},
        {"TCP_NODELAY", AF_INET, SOCK_STREAM, IPPROTO_TCP, 1, 1},
        {"TCP_DEFER_ACCEPT", AF_INET, SOCK_STREAM, IPPROTO_TCP, 9, 3},
    };
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
        int fd = with_option(set[i].domain, set[i].type, set[i].level, set[i].option, set[i].value);
        int before = get(fd, set[i].level, set[i].option);
        const char *result = error_name(try_ip(fd, set[i].domain == AF_INET ? "0.0.0.0" : "::", 80));
        printf("%s %d: %s, %d\n", set[i].name, before, result, get(fd, set[i].level, set[i].option));
        close(fd);
    }
    struct linger linger = {1, 7};
    int fd = tcp();
    MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) == 0);
    linger = (struct linger){0};
    const char *result = error_name(try_ip(fd, "127.0.0.1", 80));
    MUST(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &(socklen_t){sizeof linger}) == 0);
    printf("SO_LINGER 1 7: %s, %d %d\n", result, linger.l_onoff, linger.l_linger);
    close(fd);
}

/* Two sockets on port 80, one after the other. */
static void two(const char *name, int one, const char *here, int other, const char *there, int listening)
{
    const char *first = error_name(try_ip(one, here, 80));
    MUST(!listening || listen(one, 1) == 0);
    printf("%s: %s, then %s\n", name, first, error_name(try_ip(other, there, 80)));
    close(one);
    close(other);
}

static void addresses_in_use(void)
{
    const int off = 0, on = 1;
    for (int set = off; set <= on; set++) {
        const int types[] = {SOCK_STREAM, SOCK_DGRAM}, options[] = {SO_REUSEADDR, SO_REUSEPORT};
        for (int i = 0; i < 4; i++) {
            int type = types[i / 2], option = options[i % 2];
            char name[50];
            sprintf(name, "%s with %s %d", i / 2 ? "udp" : "tcp", i % 2 ? "SO_REUSEPORT" : "SO_REUSEADDR", set);
            two(name, with_option(AF_INET, type, SOL_SOCKET, option, set), "127.0.0.1",
                with_option(AF_INET, type, SOL_SOCKET, option, set), "127.0.0.1", 0);
        }
        two(set ? ":: of IPv6 alone beside IPv4" : ":: of both beside IPv4",
            with_option(AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, set), "::", tcp(), "0.0.0.0", 1);
        two(set ? "IPv4 beside :: of IPv6 alone" : "IPv4 beside :: of both", tcp(), "0.0.0.0",
            with_option(AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, set), "::", 1);
    }
    two("a listener and SO_REUSEADDR", with_option(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, on), "127.0.0.1",
        with_option(AF_INET, SOCK_STREAM, SOL_SOCKET, SO_REUSEADDR, on), "127.0.0.1", 1);
}

static void one(const char *name, int fd, const char *text)
{
    const char *result = error_name(try_ip(fd, text, 80));
    printf("%s: %s, port %d\n", name, result, port_of(fd));
    close(fd);
}

/* A connection to 127.0.0.1:80 arrives at this socket, bound to ::. */
static void dual_stack(int v6only)
{
    int listener = with_option(AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_V6ONLY, v6only), client = tcp();
    address v4 = ip("127.0.0.1", 80);
    const char *result = error_name(try_ip(listener, "::", 80));
    MUST(listen(listener, 1) == 0);
    errno = 0;
    connect(client, &v4.any, sizeof v4.v4);
    printf("IPv4 at :: with IPV6_V6ONLY %d: %s, then %s\n", v6only, result, error_name(errno));
    close(client);
    close(listener);
}

static void foreign_addresses(void)
{
    for (int set = 0; set <= 1; set++) {
        one(set ? "IP_FREEBIND" : "no IP_FREEBIND", with_option(AF_INET, SOCK_STREAM, IPPROTO_IP, IP_FREEBIND, set),
            "192.0.2.7");
        one(set ? "IPV6_FREEBIND" : "no IPV6_FREEBIND",
            with_option(AF_INET6, SOCK_STREAM, IPPROTO_IPV6, IPV6_FREEBIND, set), "2001:db8::7");
        /* The device stands in for the scope id that the address lacks. */
        int fd = socket(AF_INET6, SOCK_STREAM, 0);
        MUST(!set || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0);
        one(set ? "SO_BINDTODEVICE" : "no SO_BINDTODEVICE", fd, "fe80::1");
    }
}

/* A descriptor's own flags, and the socket's. */
static void flags(void)
{
    for (int i = 0; i < 4; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | (i & 1 ? SOCK_NONBLOCK : 0) | (i & 2 ? SOCK_CLOEXEC : 0), 0);
        const char *result = error_name(try_ip(fd, "127.0.0.1", 80));
        printf("%s%s: %s,", i & 1 ? "non-blocking " : "", i & 2 ? "close-on-exec" : "", result);
        printf(" %s,", fcntl(fd, F_GETFD) == FD_CLOEXEC ? "FD_CLOEXEC" : "-");
        printf(" %s", fcntl(fd, F_GETFL) & O_NONBLOCK ? "O_NONBLOCK" : "-");
        MUST(listen(fd, 1) == 0);
        if (i & 1)
            printf(", accept %s", error_name(accept(fd, NULL, NULL) < 0 ? errno : 0));
        printf("\n");
        close(fd);
    }
}

int main(void)
{
    values();
    addresses_in_use();
    dual_stack(0);
    dual_stack(1);
    foreign_addresses();
    flags();
    return 0;
}
