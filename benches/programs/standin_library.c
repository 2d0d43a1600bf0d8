/* The library of standin.c: binds of the ports below 1024 are asked for, one at a time, because the replies look alike. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "standin.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int ask(int socket_, const struct sockaddr *address, socklen_t length)
{
    union ancillary ancillary;
    struct iovec part = { .iov_base = (void *)address, .iov_len = length };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    char reply = 1;
    memset(&ancillary, 0, sizeof ancillary);
    message.msg_control = &ancillary;
    message.msg_controllen = sizeof ancillary;
    ancillary.header.cmsg_level = SOL_SOCKET;
    ancillary.header.cmsg_type = SCM_RIGHTS;
    ancillary.header.cmsg_len = CMSG_LEN(sizeof socket_);
    memcpy(CMSG_DATA(&ancillary.header), &socket_, sizeof socket_);
    pthread_mutex_lock(&lock);
    int failed = sendmsg(CHANNEL, &message, MSG_NOSIGNAL) < 0 || read(CHANNEL, &reply, 1) != 1 || reply != 0;
    pthread_mutex_unlock(&lock);
    return failed ? -1 : 0;
}

int bind(int socket_, const struct sockaddr *address, socklen_t length)
{
    const struct sockaddr_in *internet = (const void *)address;
    if (address->sa_family == AF_INET && ntohs(internet->sin_port) < 1024) {
        if (ask(socket_, address, length) == 0)
            return 0;
        errno = EACCES;
        return -1;
    }
    return syscall(SYS_bind, socket_, address, length);
}
