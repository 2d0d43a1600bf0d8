/* odd WHAT: binds where the caller is not simply the process that it seems to be.
 *   table       a thread with descriptors of its own, whose number is another socket for all others,
 *   leaderless  a thread whose process's first thread has ended,
 *   closed      a process that others may not look into, and then may,
 *   listener    after it has tried to supervise itself. */
#include "bind.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>

static int shared;

static void *bind_in_own_table(void *argument)
{
    MUST(unshare(CLONE_FILES) == 0);
    int own = tcp();
    MUST(dup2(own, shared) == shared);
    granted(shared, 80);
    refused(tcp(), 99);
    return argument;
}

static void *bind_without_leader(void *leader)
{
    MUST(pthread_join(*(pthread_t *)leader, NULL) == 0);
    granted(tcp(), 80);
    refused(tcp(), 99);
    puts("done");
    exit(0);
}

static void listener(void)
{
    struct sock_filter filter[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog program = {1, filter};
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program) == -1);
    MUST(errno == EBUSY);
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
}

int main(int argc, char **argv)
{
    static pthread_t leader;
    pthread_t thread;
    MUST(argc == 2);
    if (!strcmp(argv[1], "table")) {
        shared = tcp();
        MUST(pthread_create(&thread, NULL, bind_in_own_table, NULL) == 0 && pthread_join(thread, NULL) == 0);
        MUST(port_of(shared) == 0);
        granted(shared, 81);
    } else if (!strcmp(argv[1], "leaderless")) {
        leader = pthread_self();
        MUST(pthread_create(&thread, NULL, bind_without_leader, &leader) == 0);
        pthread_exit(NULL);
    } else if (!strcmp(argv[1], "closed")) {
        MUST(prctl(PR_SET_DUMPABLE, 0) == 0);
        refused(tcp(), 80);
        granted(tcp(), 20080);
        MUST(prctl(PR_SET_DUMPABLE, 1) == 0);
        granted(tcp(), 80);
    } else {
        listener();
        granted(tcp(), 80);
        refused(tcp(), 99);
    }
    puts("done");
    return 0;
}
