"""family.py HOW PORT: a web server in a child process, which tells its process id and user id; HOW is
  fork, spawn, forkserver  the way in which multiprocessing starts the child,
  subprocess, shell        the way in which subprocess does, which closes what it does not know,
  serve                    the child.
"""
import multiprocessing, os, socket, subprocess, sys


def serve(port):
    server = socket.create_server(('127.0.0.1', port))
    while True:
        client, _ = server.accept()
        client.recv(4096)
        client.sendall(b'HTTP/1.0 200 OK\r\n\r\npid %d uid %d\n' % (os.getpid(), os.getuid()))
        client.close()


if __name__ == '__main__':
    how, port = sys.argv[1:]
    program = [sys.executable, __file__, 'serve', port]
    if how == 'serve':
        serve(int(port))
    elif how == 'subprocess':
        subprocess.run(program)
    elif how == 'shell':
        subprocess.run(' '.join(program), shell=True)
    else:
        child = multiprocessing.get_context(how).Process(target=serve, args=(int(port),))
        child.start()
        child.join()
