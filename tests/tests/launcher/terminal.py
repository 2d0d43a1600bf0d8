# Runs a command whose standard error is a terminal, stopped (Ctrl-S) if the first word says so, and prints what it shows.
import os
import pty
import subprocess
import sys
import termios

master, slave = pty.openpty()
if sys.argv[1] == "stopped":
    termios.tcflow(slave, termios.TCOOFF)
running = subprocess.Popen(sys.argv[2:], stderr=slave)
status = running.wait()
termios.tcflow(slave, termios.TCOON)
os.close(slave)
try:
    while text := os.read(master, 4096):
        sys.stdout.write(text.decode())
except OSError:
    pass
sys.exit(status)
