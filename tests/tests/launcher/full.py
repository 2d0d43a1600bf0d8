# Fills standard error, which is a pipe, and then has a port granted and others refused.
import os
import socket

os.set_blocking(2, False)
try:
    while os.write(2, b"x" * 4096):
        pass
except BlockingIOError:
    os.set_blocking(2, True)
print("full", flush=True)
for port in 81, 80, 82:
    try:
        socket.socket().bind(("", port))
        print("bound", flush=True)
    except PermissionError:
        pass
