import os


def app(environ, start_response):
    start_response('200 OK', [])
    return [b'pid %d uid %d\n' % (os.getpid(), os.getuid())]
