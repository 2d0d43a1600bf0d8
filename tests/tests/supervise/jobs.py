"""What a shell with job control sees of a command that it runs, standing in for that shell.

jobs.py stops COMMAND...     has it go on each time that it stops, and tells by which signal it stopped, and its end
jobs.py stopped COMMAND...   stops it by a signal sent to its process id, once it has said something, has it go on, and
                             ends it by another
jobs.py terminal COMMAND...  gives it a terminal, at which Ctrl-Z and Ctrl-C are typed, once it has said something
jobs.py output COMMAND...    tells when its standard output has come to an end, before it is let go by its standard input
"""
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios

how, *command = sys.argv[1:]


def tell(pid, on_stop):
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            print('exited', os.WEXITSTATUS(status)) if os.WIFEXITED(status) else print('killed', os.WTERMSIG(status))
            return
        print('stopped', os.WSTOPSIG(status), flush=True)
        on_stop()


def lines(descriptor):
    return os.fdopen(descriptor, 'r', newline='')


if how == 'output':
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    print(child.stdout.read().decode().strip(), child.poll(), flush=True)
    child.stdin.close()
    print('exited', child.wait())
elif how == 'terminal':
    # Of a session that has one, whose leader stands in for the shell.
    if os.fork():
        # The terminal's hang-up may be the last that it sees.
        os.wait()
        sys.exit()
    os.setsid()
    typing, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(terminal, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        for standard in range(3):
            os.dup2(terminal, standard)
        os.execvp(command[0], command)
    screen = lines(typing)
    screen.readline()

    def go_on():
        os.killpg(pid, signal.SIGCONT)
        os.write(typing, b'\x03')

    os.write(typing, b'\x1a')
    tell(pid, go_on)
else:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.dup2(writer, 1)
        os.execvp(command[0], command)
    os.close(writer)
    output = lines(reader)
    if how == 'stopped':
        output.readline()
        os.kill(pid, signal.SIGTSTP)

    def go_on():
        os.kill(pid, signal.SIGCONT)
        if how == 'stopped':
            os.kill(pid, signal.SIGTERM)

    tell(pid, go_on)
    print(output.read(), end='')
