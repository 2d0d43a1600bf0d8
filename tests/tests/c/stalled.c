/* stalled: sends, over the channel on its standard input, a lingering connection that a thread of ours has locked: it
 * stands still in send(2) for ever, because what it sends is in memory whose faults nobody answers. Prints "sent" then. */
#define _GNU_SOURCE
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int connection;
static void *memory;

static long check(const char *what, long result) {
    if (result >= 0) return result;
    perror(what);
    exit(1);
}

static void *stand_still(void *unused) {
    send(connection, memory, 4096, 0);
    return unused;
}

int main(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = check("socket", socket(AF_INET, SOCK_STREAM, 0));
    check("listen", listen(listener, 1));
    check("getsockname", getsockname(listener, (struct sockaddr *)&address, &length));
    connection = check("socket", socket(AF_INET, SOCK_STREAM, 0));
    check("connect", connect(connection, (struct sockaddr *)&address, length));
    struct linger linger = {1, 3600};
    check("SO_LINGER", setsockopt(connection, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));

    memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int faults = check("userfaultfd", syscall(SYS_userfaultfd, 0));
    struct uffdio_api api = {.api = UFFD_API};
    check("UFFDIO_API", ioctl(faults, UFFDIO_API, &api));
    struct uffdio_register range = {{(unsigned long)memory, 4096}, UFFDIO_REGISTER_MODE_MISSING, 0};
    check("UFFDIO_REGISTER", ioctl(faults, UFFDIO_REGISTER, &range));
    pthread_t thread;
    pthread_create(&thread, NULL, stand_still, NULL);
    struct uffd_msg fault;
    check("read", read(faults, &fault, sizeof fault));

    union { struct cmsghdr header; char room[CMSG_SPACE(2 * sizeof(int))]; } control;
    int pipes[2];
    check("pipe2", pipe2(pipes, 04000));
    struct iovec part = {"hostile", 7};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.header), (int[]){pipes[1], connection}, 2 * sizeof(int));
    check("sendmsg", sendmsg(STDIN_FILENO, &message, 0));
    puts("sent");
    fflush(stdout);
    pause();
}
