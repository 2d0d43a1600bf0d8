/* deny CGROUP: has the kernel refuse every bind of an IPv4 socket that is made in this control group, as systemd's
 * SocketBindDeny= does. */
#include <err.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct bpf_insn refuse[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}};
    union bpf_attr load = {
        .prog_type = BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
        .expected_attach_type = BPF_CGROUP_INET4_BIND,
        .insns = (uintptr_t)refuse,
        .insn_cnt = sizeof refuse / sizeof *refuse,
        .license = (uintptr_t) "",
    };
    union bpf_attr attach = {.attach_type = BPF_CGROUP_INET4_BIND};
    attach.target_fd = argc == 2 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;
    attach.attach_bpf_fd = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
    if (syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach))
        err(1, "bpf");
    return 0;
}
