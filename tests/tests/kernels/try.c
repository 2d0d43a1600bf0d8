/* try WAY PROTOCOL PORT: binds 127.0.0.1:PORT, and says "bound", or the error's name. It binds by
 *   libc         its C library's bind,
 *   syscall      the system call of that name, as all of these do that follow,
 *   x32          that of x32,
 *   i386         that of 32-bit programs,
 *   socketcall   the one that those have for everything about sockets,
 *   landlock     libc, after it has forbidden itself to bind TCP ports,
 *   io_uring     a ring,
 *   bindx        the socket option by which SCTP binds several addresses.
 * Statically linked at fixed addresses, so that all of them fit into 32 bits. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sockaddr_in address;
static uint32_t arguments[3];

static const struct {
    const char *name;
    int type, number;
} protocols[] = {
    {"tcp", SOCK_STREAM, IPPROTO_TCP}, {"udp", SOCK_DGRAM, IPPROTO_UDP},  {"mptcp", SOCK_STREAM, IPPROTO_MPTCP},
    {"dccp", SOCK_DCCP, IPPROTO_DCCP}, {"sctp", SOCK_STREAM, IPPROTO_SCTP}, {"sctp-to-many", SOCK_SEQPACKET, IPPROTO_SCTP},
};

/* Gives -1 and errno, as syscall(2) does. */
static long interrupt(int number, uintptr_t first, uintptr_t second, uintptr_t third)
{
    int result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "0"(number), "b"(first), "c"(second), "d"(third)
                     : "memory", "r8", "r9", "r10", "r11");
    if (result >= 0)
        return result;
    errno = -result;
    return -1;
}

static void forbid_binds(void)
{
    /* struct landlock_ruleset_attr as of Linux 6.7, with LANDLOCK_ACCESS_NET_BIND_TCP. */
    uint64_t handled[] = {0, 1};
    int rules = syscall(444 /* landlock_create_ruleset */, handled, sizeof handled, 0);
    if (rules < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(446 /* landlock_restrict_self */, rules, 0)) {
        perror("landlock");
        exit(1);
    }
}

static long bind_by_ring(int fd)
{
    struct io_uring_params ring_parameters = {0};
    int ring = syscall(SYS_io_uring_setup, 1, &ring_parameters);
    if (ring < 0)
        return -1;
    int access = PROT_READ | PROT_WRITE;
    /* Both queues are in one mapping since Linux 5.4. */
    char *queues = mmap(NULL, 4096, access, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *entry = mmap(NULL, 4096, access, MAP_SHARED, ring, IORING_OFF_SQES);
    if (queues == MAP_FAILED || entry == MAP_FAILED)
        return -1;
    entry->opcode = 56 /* IORING_OP_BIND, Linux 6.11 */;
    entry->fd = fd;
    entry->addr = (uintptr_t)&address;
    entry->off = sizeof address;
    *(uint32_t *)(queues + ring_parameters.sq_off.tail) = 1;
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) != 1)
        return -1;
    int result = ((struct io_uring_cqe *)(queues + ring_parameters.cq_off.cqes))->res;
    if (result >= 0)
        return result;
    errno = -result;
    return -1;
}

static long bind_by(const char *way, int fd)
{
    if (!strcmp(way, "landlock"))
        forbid_binds();
    if (!strcmp(way, "landlock") || !strcmp(way, "libc"))
        return bind(fd, (struct sockaddr *)&address, sizeof address);
    if (!strcmp(way, "syscall"))
        return syscall(SYS_bind, fd, &address, sizeof address);
    if (!strcmp(way, "x32"))
        return syscall(0x40000000 | SYS_bind, fd, &address, sizeof address);
    if (!strcmp(way, "i386"))
        return interrupt(361, fd, (uintptr_t)&address, sizeof address);
    if (!strcmp(way, "io_uring"))
        return bind_by_ring(fd);
    if (!strcmp(way, "bindx"))
        return setsockopt(fd, IPPROTO_SCTP, 100 /* SCTP_SOCKOPT_BINDX_ADD */, &address, sizeof address);
    arguments[0] = fd;
    arguments[1] = (uintptr_t)&address;
    arguments[2] = sizeof address;
    return interrupt(102, 2, (uintptr_t)arguments, 0);
}

int main(int argc, char **argv)
{
    unsigned i = 0;
    if (argc != 4)
        return 1;
    while (strcmp(protocols[i].name, argv[2]))
        if (++i == sizeof protocols / sizeof *protocols)
            return 1;
    int fd = socket(AF_INET, protocols[i].type, protocols[i].number);
    address.sin_family = AF_INET;
    address.sin_port = htons(atoi(argv[3]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind_by(argv[1], fd)) {
        puts(strerrorname_np(errno));
        return 0;
    }
    struct sockaddr_in found = {0};
    socklen_t length = sizeof found;
    getsockname(fd, (struct sockaddr *)&found, &length);
    puts(found.sin_port == address.sin_port ? "bound" : "not bound after all");
    return 0;
}
