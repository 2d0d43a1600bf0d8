"""Eight processes with seven threads each bind a granted port at once, of both protocols and families, and then one
each that is not granted. Tells how many were bound, and how many refused."""
import os, socket, sys, threading

KINDS = [(family, kind) for family in (socket.AF_INET, socket.AF_INET6) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]

def bind(number, first):
    family, kind = KINDS[number % len(KINDS)]
    with socket.socket(family, kind) as bound:
        bound.bind(('127.0.0.1' if family == socket.AF_INET else '::1', first + number))

def work(process, gate):
    bound = []
    threads = [threading.Thread(target=lambda number=process * 7 + thread: (bind(number, 100), bound.append(number)))
               for thread in range(7)]
    os.read(gate, 1)
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    try:
        bind(process, 400)
    except PermissionError:
        os._exit(len(bound))
    os._exit(99)

gate, opener = os.pipe()
workers = []
for process in range(8):
    workers.append(os.fork())
    if not workers[-1]:
        os.close(opener)
        work(process, gate)
os.close(opener)
results = [os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) for worker in workers]
print(sum(results), 'bound,', len(results), 'refused')
