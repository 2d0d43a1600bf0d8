# Runs a command whose standard error nobody reads as long as it runs.
import subprocess
import sys

running = subprocess.Popen(sys.argv[1:], stderr=subprocess.PIPE)
sys.exit(running.wait())
