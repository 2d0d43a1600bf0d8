/* steps STEP...: takes steps into a sandbox, and binds between them. The steps:
 *
 *   granted PORT, refused PORT   binds 0.0.0.0:PORT, and sees that this has that result and nothing else
 *   close                        the channel, and all else that was inherited
 *   no-new-privs                 prctl(PR_SET_NO_NEW_PRIVS)
 *   eperm, trap                  new processes and programs: refused by a seccomp filter, itself or by a handler of SIGSYS
 *   trap-exec                    the same handler, but only for new programs
 *   landlock                     no access to any file
 *   chroot DIRECTORY
 *   namespaces                   of users and processes; this process is in the one, its children will be in the other
 *   first-child                  a child that is process 1 of its namespace
 *   become ID                    a user, its group, and no other
 */
#include "unseen.h"
#include <grp.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <ucontext.h>

static void bind_and_see(int port, int expected)
{
    static surroundings before, after;
    int fd = tcp();
    look(&before);
    MUST(try_ip(fd, "0.0.0.0", port) == expected);
    look(&after);
    must_be_same(&before, &after);
    MUST(port_of(fd) == (expected ? 0 : port));
    close(fd);
}

/* Gives EPERM in the place of the system call. */
static void emulate(int signal, siginfo_t *info, void *context)
{
    ucontext_t *at = context;
    (void)signal, (void)info;
#ifdef __x86_64__
    at->uc_mcontext.gregs[REG_RAX] = -EPERM;
#else
    at->uc_mcontext.regs[0] = -EPERM;
#endif
}

static void filter(unsigned int action, int programs_alone)
{
    const int calls[] = {
        SYS_execve,
        SYS_execveat,
        SYS_clone,
        SYS_clone3,
#ifdef SYS_fork
        SYS_fork,
        SYS_vfork,
#endif
    };
    struct sock_filter steps[20] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
    struct sigaction handler = {.sa_sigaction = emulate, .sa_flags = SA_SIGINFO};
    int count = 1, last = programs_alone ? 2 : sizeof calls / sizeof *calls;
    for (int i = 0; i < last; i++) {
        steps[count++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
        steps[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
    }
    steps[count++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    MUST(sigaction(SIGSYS, &handler, NULL) == 0);
    MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){count, steps}) == 0);
    MUST(programs_alone || (vfork() == -1 && errno == EPERM));
}

static void allow_no_file(void)
{
    /* What the first version of it knows. */
    struct landlock_ruleset_attr rules = {.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1};
    int fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
    MUST(fd >= 0 && syscall(SYS_landlock_restrict_self, fd, 0) == 0);
    close(fd);
    MUST(open("/etc/passwd", O_RDONLY) == -1 && errno == EACCES);
}

static void have_first_child(void)
{
    int status;
    pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0)
        _exit(getpid() == 1 ? 0 : 1);
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *step = argv[i];
        if (!strcmp(step, "granted"))
            bind_and_see(atoi(argv[++i]), 0);
        else if (!strcmp(step, "refused"))
            bind_and_see(atoi(argv[++i]), EACCES);
        else if (!strcmp(step, "close"))
            let_go();
        else if (!strcmp(step, "no-new-privs"))
            MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
        else if (!strcmp(step, "eperm"))
            filter(SECCOMP_RET_ERRNO | EPERM, 0);
        else if (!strcmp(step, "trap"))
            filter(SECCOMP_RET_TRAP, 0);
        else if (!strcmp(step, "trap-exec"))
            filter(SECCOMP_RET_TRAP, 1);
        else if (!strcmp(step, "landlock"))
            allow_no_file();
        else if (!strcmp(step, "chroot"))
            MUST(chroot(argv[++i]) == 0 && chdir("/") == 0);
        else if (!strcmp(step, "namespaces"))
            MUST(unshare(CLONE_NEWUSER | CLONE_NEWPID) == 0);
        else if (!strcmp(step, "first-child"))
            have_first_child();
        else if (!strcmp(step, "become")) {
            int id = atoi(argv[++i]);
            MUST(setgroups(0, NULL) == 0 && setresgid(id, id, id) == 0 && setresuid(id, id, id) == 0);
        } else
            return 2;
    }
    puts("done");
    return 0;
}
