/* any_filter COMMAND [ARG...]: runs it under the shortest seccomp filter there is, which allows everything: what any filter
 * costs, whatever is in it. */
#include <err.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = { .len = 1, .filter = &allow };
    if (argc < 2)
        errx(2, "usage: any_filter COMMAND [ARG...]");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        err(1, "no_new_privs");
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) != 0)
        err(1, "seccomp");
    execvp(argv[1], argv + 1);
    err(1, "%s", argv[1]);
}
