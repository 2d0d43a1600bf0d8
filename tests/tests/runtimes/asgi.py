import os


async def app(scope, receive, send):
    if scope['type'] == 'http':
        await send({'type': 'http.response.start', 'status': 200})
        await send({'type': 'http.response.body', 'body': b'pid %d uid %d\n' % (os.getpid(), os.getuid())})
