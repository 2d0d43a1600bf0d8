/* What the programs of binding.rs and concurrency.rs share. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What errno is before each bind; no error has this number. */
#define MARK 4242

/* Ends the program where something is not so. */
#define MUST(this)                                                                                         \
    do {                                                                                                   \
        if (!(this)) {                                                                                     \
            dprintf(2, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #this, errno);               \
            _exit(1);                                                                                      \
        }                                                                                                  \
    } while (0)

typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
    unsigned char bytes[256];
} address;

/* An IP address as people write it, fe80::1%lo too. */
static inline address ip(const char *text, int port)
{
    address a = {.any.sa_family = strchr(text, ':') ? AF_INET6 : AF_INET};
    char copy[100], *scope;
    strcpy(copy, text);
    if ((scope = strchr(copy, '%'))) {
        *scope++ = 0;
        a.v6.sin6_scope_id = atoi(scope) ? atoi(scope) : (int)if_nametoindex(scope);
    }
    a.v4.sin_port = htons(port);
    MUST(inet_pton(a.any.sa_family, copy, a.any.sa_family == AF_INET ? (void *)&a.v4.sin_addr : &a.v6.sin6_addr) == 1);
    return a;
}

static inline socklen_t size_of(const address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

/* Binds with a marked errno. Gives 0 or errno; MARK for a success that has touched errno. */
static inline int try_bind(int fd, const void *a, socklen_t length)
{
    errno = MARK;
    if (bind(fd, a, length) == 0)
        return errno == MARK ? 0 : MARK;
    return errno;
}

static inline int try_ip(int fd, const char *text, int port)
{
    address a = ip(text, port);
    return try_bind(fd, &a, size_of(&a));
}

static inline const char *error_name(int error)
{
    return error == 0 ? "ok" : error == MARK ? "ok, but errno has changed" : strerrorname_np(error);
}

/* The port that a socket is bound to, 0 for none. */
static inline int port_of(int fd)
{
    address a = {0};
    socklen_t length = sizeof a;
    MUST(getsockname(fd, &a.any, &length) == 0);
    return ntohs(a.v4.sin_port);
}

static inline int new_socket(int type)
{
    int fd = socket(AF_INET, type, 0);
    MUST(fd >= 0);
    return fd;
}

static inline int tcp(void)
{
    return new_socket(SOCK_STREAM);
}

/* Sees that a socket can be bound to this port of 127.0.0.1. */
static inline void granted(int fd, int port)
{
    MUST(try_ip(fd, "127.0.0.1", port) == 0);
    MUST(port_of(fd) == port);
}

/* Sees that it cannot, by the kernel's own refusal, and is as it was. */
static inline void refused(int fd, int port)
{
    int before = port_of(fd);
    MUST(try_ip(fd, "127.0.0.1", port) == EACCES);
    MUST(port_of(fd) == before);
}

/* What is open in this process. */
static inline int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    MUST(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static inline sigset_t only(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

/* Has SIGUSR1 wait in this thread, and those that it starts, until stop_at takes it. */
static inline void prepare_stops(void)
{
    sigset_t go = only(SIGUSR1);
    MUST(pthread_sigmask(SIG_BLOCK, &go, NULL) == 0);
}

/* Says where it is and goes on at the next SIGUSR1. */
static inline void stop_at(const char *where)
{
    sigset_t go = only(SIGUSR1);
    int signal;
    printf("%s\n", where);
    fflush(stdout);
    MUST(sigwait(&go, &signal) == 0);
}
