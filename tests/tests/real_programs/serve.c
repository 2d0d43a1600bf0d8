/* serve MODE PORT: a web server that tells process id and user id, with
 *   threads     a thread for each connection; a thread of its own binds,
 *   forks       a process for each connection,
 *   reuseport   four processes, each of which binds a socket of its own with SO_REUSEPORT.
 * Nothing that it says is flushed by itself. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int port;

static void *bound(void *option)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (option)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 64)) {
        perror("bind");
        exit(1);
    }
    printf("listening\n");
    return (void *)(intptr_t)fd;
}

static void *answer(void *connection)
{
    char request[4096] = "", reply[100];
    int fd = (intptr_t)connection, length = 0, got;
    while (!strstr(request, "\r\n\r\n") && (got = read(fd, request + length, sizeof request - 1 - length)) > 0)
        length += got;
    got = snprintf(reply, sizeof reply, "HTTP/1.0 200 OK\r\n\r\npid %d uid %d\n", getpid(), getuid());
    if (write(fd, reply, got) != got)
        perror("write");
    close(fd);
    return NULL;
}

static void serve(int server, int in_child)
{
    for (;;) {
        int fd = accept(server, NULL, NULL);
        pthread_t thread;
        if (!in_child) {
            pthread_create(&thread, NULL, answer, (void *)(intptr_t)fd);
            pthread_detach(thread);
            continue;
        }
        if (fork() == 0) {
            close(server);
            answer((void *)(intptr_t)fd);
            _exit(0);
        }
        close(fd);
    }
}

int main(int argc, char **argv)
{
    port = atoi(argv[2]);
    if (!strcmp(argv[1], "threads")) {
        pthread_t thread;
        void *server;
        pthread_create(&thread, NULL, bound, NULL);
        pthread_join(thread, &server);
        serve((intptr_t)server, 0);
    } else if (!strcmp(argv[1], "forks")) {
        signal(SIGCHLD, SIG_IGN);
        serve((intptr_t)bound(NULL), 1);
    } else {
        for (int i = 0; i < 4; i++)
            if (fork() == 0)
                serve((intptr_t)bound("SO_REUSEPORT"), 0);
        while (wait(NULL) > 0)
            ;
    }
    return 1;
}
