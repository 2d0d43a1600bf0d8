#!/usr/bin/python3
# activated.py PORT: a web server on the sockets that it is handed (sd_listen_fds(3)), and on a port of its own.
import http.server, os, socket, sys, threading

class Passed(http.server.HTTPServer):
    def __init__(self, descriptor):
        super().__init__(None, http.server.SimpleHTTPRequestHandler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.socket(fileno=descriptor)

assert os.environ["LISTEN_PID"] == str(os.getpid())
servers = [Passed(3 + nth) for nth in range(int(os.environ["LISTEN_FDS"]))]
servers.append(http.server.HTTPServer(("", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler))
for server in servers:
    threading.Thread(target=server.serve_forever).start()
