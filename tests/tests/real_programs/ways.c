/* ways WAY PORT: binds 127.0.0.1:PORT and tells what came of it, who it is, and whether the shim is loaded. The ways:
 *   libc          the C library's bind,
 *   syscall       the system call, without the C library,
 *   bindresvport  the C library's own search for a reserved port (PORT is where it begins),
 *   PATH          the function `bind_for_plugin` of this library, opened with RTLD_DEEPBIND. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bind_in(const char *library, int fd, const struct sockaddr *address, socklen_t length)
{
#ifdef STATIC
    (void)library, (void)fd, (void)address, (void)length;
    return -1;
#else
    void *plugin = dlopen(library, RTLD_NOW | RTLD_DEEPBIND);
    int (*function)(int, const struct sockaddr *, socklen_t) = plugin ? dlsym(plugin, "bind_for_plugin") : NULL;
    if (!function) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return function(fd, address, length);
#endif
}

static int shim_is_loaded(void)
{
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        found |= strstr(line, "librauthbind.so") != NULL;
    return found;
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    int fd = socket(AF_INET, SOCK_STREAM, 0), failed;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (!strcmp(argv[1], "libc"))
        failed = bind(fd, (struct sockaddr *)&address, sizeof address);
    else if (!strcmp(argv[1], "syscall"))
        failed = syscall(SYS_bind, fd, &address, sizeof address);
    else if (!strcmp(argv[1], "bindresvport"))
        failed = bindresvport(fd, &address);
    else
        failed = bind_in(argv[1], fd, (struct sockaddr *)&address, sizeof address);
    printf("%s", failed ? strerrorname_np(errno) : "bound");
    printf(" as %d/%d:%d/%d %s\n", getuid(), geteuid(), getgid(), getegid(), shim_is_loaded() ? "covered" : "uncovered");
    return 0;
}
