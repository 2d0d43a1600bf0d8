/* serve WAY PORT: a web server that tells process id and user id. It binds by
 *   libc         its C library's bind,
 *   syscall      the system call of that name,
 *   socketcall   the one that 32-bit programs have for everything about sockets.
 * For every C library and word size. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bind_by(const char *way, int fd, struct sockaddr_in *address)
{
    if (!strcmp(way, "libc"))
        return bind(fd, (struct sockaddr *)address, sizeof *address);
#ifdef SYS_socketcall
    if (!strcmp(way, "socketcall"))
        return syscall(SYS_socketcall, 2, (long[]){fd, (long)address, sizeof *address});
#endif
    return strcmp(way, "syscall") ? -1 : syscall(SYS_bind, fd, address, sizeof *address);
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[argc - 1]))};
    int server = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    char text[4096];
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind_by(argv[argc - 2], server, &address) || listen(server, 64)) {
        perror("bind");
        return 1;
    }
    for (;;) {
        int fd = accept(server, NULL, NULL);
        if (read(fd, text, sizeof text) > 0)
            dprintf(fd, "HTTP/1.0 200 OK\r\n\r\npid %d uid %d\n", getpid(), getuid());
        close(fd);
    }
}
