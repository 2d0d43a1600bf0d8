/* outcomes PORT: binds IP sockets in every way that the kernel may look at, with this port in the address.
 * outcomes others: binds what is no IP socket, no socket, and no descriptor.
 * outcomes link-local: gives loopback the address fe80::1, as root.
 *
 * A line for each bind, or for each row of like outcomes: what it was, its result, and what the socket is bound to. */
#include "bind.h"

#define EPHEMERAL 32768 /* net.ipv4.ip_local_port_range begins here */

typedef char text[200];

/* Writes what a socket is bound to. */
static void name_of(int fd, char *out)
{
    address a = {0};
    char ip[INET6_ADDRSTRLEN], port[20] = "any";
    socklen_t length = sizeof a;
    if (getsockname(fd, &a.any, &length)) {
        strcpy(out, error_name(errno));
        return;
    }
    if (ntohs(a.v4.sin_port) < EPHEMERAL)
        sprintf(port, "%d", ntohs(a.v4.sin_port));
    switch (a.any.sa_family) {
    case AF_INET:
        sprintf(out, "%s:%s", inet_ntop(AF_INET, &a.v4.sin_addr, ip, sizeof ip), port);
        break;
    case AF_INET6:
        sprintf(out, "%s%%%u:%s", inet_ntop(AF_INET6, &a.v6.sin6_addr, ip, sizeof ip), a.v6.sin6_scope_id, port);
        break;
    case AF_UNIX:
        sprintf(out, "%s '%s'", length == sizeof(sa_family_t) ? "no name" : "a name", a.un.sun_path);
        break;
    default:
        sprintf(out, "a name of family %d", a.any.sa_family);
    }
}

/* Binds, and writes what came of it. */
static void outcome(int fd, const void *a, socklen_t length, char *out)
{
    out += sprintf(out, "%s; ", error_name(try_bind(fd, a, length)));
    name_of(fd, out);
}

static void tell_ip(int fd, const char *ip_text, int port, const char *name)
{
    address a = ip(ip_text, port);
    text now;
    outcome(fd, &a, size_of(&a), now);
    printf("%s, %s port %d: %s\n", name, ip_text, port, now);
}

typedef struct {
    const char *name;
    int type, protocol;
} kind;

static const kind KINDS[] = {
    {"tcp", SOCK_STREAM, IPPROTO_TCP},      {"udp", SOCK_DGRAM, IPPROTO_UDP},
    {"udplite", SOCK_DGRAM, IPPROTO_UDPLITE}, {"mptcp", SOCK_STREAM, IPPROTO_MPTCP},
    {"sctp", SOCK_STREAM, IPPROTO_SCTP},    {"sctp to many", SOCK_SEQPACKET, IPPROTO_SCTP},
    {"dccp", SOCK_DCCP, IPPROTO_DCCP},
};

/* As outcome, on a socket of its own. */
static void fresh_outcome(int domain, const kind *k, const void *a, socklen_t length, char *out)
{
    int fd = socket(domain, k->type, k->protocol);
    if (fd < 0)
        sprintf(out, "no socket: %s", error_name(errno));
    else
        outcome(fd, a, length, out);
    close(fd);
}

static void fresh(int domain, const kind *k, const void *a, socklen_t length, const char *name)
{
    text now;
    fresh_outcome(domain, k, a, length, now);
    printf("%s%s, %s: %s\n", k->name, domain == AF_INET ? "4" : domain == AF_INET6 ? "6" : "", name, now);
}

static void fresh_ip(int domain, const kind *k, const char *ip_text, int port)
{
    address a = ip(ip_text, port);
    text name;
    sprintf(name, "%s port %d", ip_text, port);
    fresh(domain, k, &a, size_of(&a), name);
}

/* Numbers in a row with one and the same outcome are one line. */
typedef struct {
    long first, last;
    text outcome;
} row;

static void row_ends(const row *r, const char *name)
{
    if (*r->outcome)
        printf("%s %ld to %ld: %s\n", name, r->first, r->last, r->outcome);
}

static void row_goes_on(row *r, const char *name, long number, const char *outcome)
{
    if (strcmp(r->outcome, outcome)) {
        row_ends(r, name);
        r->first = number;
        strcpy(r->outcome, outcome);
    }
    r->last = number;
}

static void lengths(int domain, const kind *k, const void *a, const char *what)
{
    const socklen_t huge[] = {4096, INT32_MAX, 1u << 31, -1};
    text name, now;
    row r = {0};
    sprintf(name, "%s, %s, bytes", k->name, what);
    for (int i = 0; i <= 200 + 4; i++) {
        socklen_t length = i <= 200 ? (socklen_t)i : huge[i - 201];
        fresh_outcome(domain, k, a, length, now);
        row_goes_on(&r, name, length, now);
    }
    row_ends(&r, name);
}

static void families(int domain, const kind *k, address a, const char *what)
{
    text name, now;
    row r = {0};
    socklen_t length = size_of(&a);
    sprintf(name, "%s, %s, family", k->name, what);
    for (int family = 0; family < 50; family++) {
        a.any.sa_family = family;
        fresh_outcome(domain, k, &a, length, now);
        row_goes_on(&r, name, family, now);
    }
    row_ends(&r, name);
}

static void pointers(const kind *k, int port)
{
    long page = sysconf(_SC_PAGESIZE);
    char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *edge = two + page;
    address a = ip("127.0.0.1", port);
    MUST(mprotect(edge, page, PROT_NONE) == 0);
    memcpy(edge - sizeof a.v4, &a, sizeof a.v4);
    memcpy(two + 1, &a, sizeof a.v4);
    lengths(AF_INET, k, NULL, "at null");
    lengths(AF_INET, k, (void *)1, "at 1");
    lengths(AF_INET, k, (void *)-1, "at the last byte");
    lengths(AF_INET, k, edge, "at no memory");
    lengths(AF_INET, k, edge - 8, "across the end of memory");
    lengths(AF_INET, k, edge - sizeof a.v4, "before the end of memory");
    lengths(AF_INET, k, two + 1, "at an odd place");
}

static void descriptors(void)
{
    address a = ip("127.0.0.1", 80), path = {.un = {AF_UNIX, "file"}};
    int pipes[2], closed = dup2(0, 500), unix_socket = socket(AF_UNIX, SOCK_STREAM, 0);
    MUST(pipe(pipes) == 0);
    close(closed);
    unlink("file");
    unlink("socket");
    close(open("file", O_CREAT | O_RDWR, 0600));
    strcpy(path.un.sun_path, "socket");
    MUST(bind(unix_socket, &path.any, sizeof path.un) == 0);
    const struct {
        const char *name;
        int fd;
    } bad[] = {
        {"-1", -1},
        {"the smallest number", INT32_MIN},
        {"the largest number", INT32_MAX},
        {"beyond the limit", 1 << 20},
        {"closed", closed},
        {"standard input", 0},
        {"a file", open("file", O_RDONLY)},
        {"a directory", open(".", O_RDONLY)},
        {"O_PATH of a file", open("file", O_PATH)},
        {"O_PATH of a socket's file", open("socket", O_PATH)},
        {"a pipe to read", pipes[0]},
        {"a pipe to write", pipes[1]},
        {"an eventfd", eventfd(0, 0)},
        {"an epoll", epoll_create1(0)},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        text good, null, long_one;
        outcome(bad[i].fd, &a, sizeof a.v4, good);
        outcome(bad[i].fd, NULL, 0, null);
        outcome(bad[i].fd, &a, (socklen_t)-1, long_one);
        printf("%s: %s, %s, %s\n", bad[i].name, good, null, long_one);
    }
}

static void unix_path(const kind *k, const char *path, const char *name)
{
    address a = {.un.sun_family = AF_UNIX};
    strcpy(a.un.sun_path, path);
    unlink(path);
    fresh(AF_UNIX, k, &a, sizeof a.un, name);
    fresh(AF_UNIX, k, &a, sizeof a.un, "the same again");
}

static void unix_sockets(void)
{
    const kind kinds[] = {
        {"unix stream", SOCK_STREAM, 0}, {"unix datagram", SOCK_DGRAM, 0}, {"unix packet", SOCK_SEQPACKET, 0}};
    const address abstract = {.un = {AF_UNIX, "\0rauthbind"}}, no_path = {.un.sun_family = AF_UNIX}, unspecified = {0};
    for (const kind *k = kinds; k < kinds + 3; k++) {
        unix_path(k, "path", "a path");
        unix_path(k, "/etc/path", "in a directory of root's");
        unix_path(k, "/no/such", "in no directory");
        unix_path(k, "/dev/null/path", "in a file");
        int held = socket(AF_UNIX, k->type, 0);
        text first, second;
        outcome(held, &abstract, sizeof abstract.un, first);
        outcome(held, &abstract, sizeof abstract.un, second);
        printf("%s, abstract: %s, again: %s\n", k->name, first, second);
        fresh(AF_UNIX, k, &abstract, sizeof abstract.un, "abstract, held by another");
        close(held);
        fresh(AF_UNIX, k, &unspecified, sizeof abstract.un, "AF_UNSPEC");
        fresh_ip(AF_UNIX, k, "127.0.0.1", 80);
        fresh_ip(AF_UNIX, k, "::1", 80);
        lengths(AF_UNIX, k, &no_path, "zeroes");
    }
}

static void other_families(void)
{
    const kind raw = {"raw", SOCK_RAW, 0}, xfrm = {"xfrm", SOCK_RAW, NETLINK_XFRM}, stream = {"stream", SOCK_STREAM, 0};
    struct sockaddr_nl netlink = {.nl_family = AF_NETLINK};
    struct sockaddr_vm vsock = {.svm_family = AF_VSOCK, .svm_port = 80, .svm_cid = VMADDR_CID_ANY};
    address v4 = ip("127.0.0.1", 80);
    fresh(AF_NETLINK, &raw, &netlink, sizeof netlink, "netlink");
    fresh(AF_NETLINK, &raw, &netlink, sizeof netlink - 1, "netlink, short");
    netlink.nl_groups = 1;
    fresh(AF_NETLINK, &raw, &netlink, sizeof netlink, "a netlink group");
    fresh(AF_NETLINK, &xfrm, &netlink, sizeof netlink, "a netlink group of root's");
    fresh(AF_NETLINK, &raw, &v4, sizeof v4.v4, "netlink, an IPv4 address");
    fresh(AF_PACKET, &raw, &v4, sizeof v4.v4, "packet");
    fresh(AF_VSOCK, &stream, &vsock, sizeof vsock, "vsock, a privileged port");
    fresh(AF_VSOCK, &stream, &v4, sizeof v4.v4, "vsock, an IPv4 address");
}

/* Whether the kernel has this protocol. */
static int exists(const kind *k)
{
    int fd = socket(AF_INET, k->type, k->protocol);
    if (fd < 0)
        printf("%s: no socket: %s\n", k->name, error_name(errno));
    close(fd);
    return fd >= 0;
}

static void ip_addresses(const kind *k, int port)
{
    const char *const addresses[] = {
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "192.0.2.1", "224.0.0.1", "255.255.255.255", "127.255.255.255",
        "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:192.0.2.1", "2001:db8::1", "fe80::1", "fe80::1%lo",
        "fe80::1%99", "fe80::2%lo", "ff02::1", "ff02::1%lo", "::1%lo", "::1%99", "::127.0.0.1",
    };
    for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        fresh_ip(AF_INET, k, addresses[i], port);
        fresh_ip(AF_INET6, k, addresses[i], port);
        int fd = socket(AF_INET6, k->type, k->protocol);
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, sizeof(int));
        tell_ip(fd, addresses[i], port, "v6only");
        close(fd);
    }
    address v4 = ip("127.0.0.1", port), any = ip("0.0.0.0", port), v6 = ip("::", port);
    families(AF_INET, k, v4, "127.0.0.1");
    families(AF_INET, k, any, "0.0.0.0");
    families(AF_INET6, k, v6, "::");
    lengths(AF_INET, k, &v4, "127.0.0.1");
    lengths(AF_INET6, k, &v6, "::");
    any.any.sa_family = AF_UNSPEC;
    lengths(AF_INET, k, &any, "AF_UNSPEC");
}

static void states(const kind *k, int port)
{
    int held = socket(AF_INET, k->type, k->protocol), listener = socket(AF_INET, k->type, k->protocol);
    tell_ip(held, "127.0.0.1", port, "held");
    tell_ip(held, "127.0.0.1", port, "bound");
    tell_ip(held, "127.0.0.1", port ? port + 1 : 0, "bound");
    tell_ip(held, "127.0.0.1", 0, "bound");
    printf("held by another:\n");
    fresh_ip(AF_INET, k, "127.0.0.1", port);
    fresh_ip(AF_INET, k, "0.0.0.0", port);
    fresh_ip(AF_INET6, k, "::", port);
    fresh_ip(AF_INET6, k, "::ffff:127.0.0.1", port);
    fresh_ip(AF_INET, k, "127.0.0.2", port);
    fresh_ip(AF_INET6, k, "::1", port);
    close(held);
    address other = ip("127.0.0.1", 21000);
    held = socket(AF_INET, k->type, k->protocol);
    tell_ip(listener, "127.0.0.1", 21000, "listener");
    MUST(k->type == SOCK_DGRAM || listen(listener, 1) == 0);
    MUST(connect(held, &other.any, sizeof other.v4) == 0);
    tell_ip(held, "127.0.0.1", port, "connected");
    tell_ip(listener, "127.0.0.1", port, "listening");
    close(held);
    close(listener);
}

static void add_link_local(void)
{
    struct {
        struct in6_addr address;
        uint32_t prefix;
        int interface;
    } request = {ip("fe80::1", 0).v6.sin6_addr, 64, if_nametoindex("lo")};
    int fd = socket(AF_INET6, SOCK_DGRAM, 0);
    MUST(ioctl(fd, SIOCSIFADDR, &request) == 0);
    /* The kernel looks for duplicates first, even here. */
    while (try_ip(fd, "fe80::1%lo", 0) == EADDRNOTAVAIL)
        sched_yield();
}

int main(int argc, char **argv)
{
    int port = argc == 2 ? atoi(argv[1]) : 0;
    if (!strcmp(argv[1], "link-local")) {
        add_link_local();
    } else if (!strcmp(argv[1], "others")) {
        descriptors();
        unix_sockets();
        other_families();
    } else {
        for (const kind *k = KINDS; k < KINDS + sizeof KINDS / sizeof *KINDS; k++)
            if (exists(k)) {
                pointers(k, port);
                ip_addresses(k, port);
                states(k, port);
            }
    }
    return 0;
}
