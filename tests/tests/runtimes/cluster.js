// cluster.js HOW PORT: a web server of two workers that tell their process ids and user ids; HOW is
//   rr         the primary accepts and hands the connections out in turn,
//   none       the primary binds, and the workers accept,
//   exclusive  each worker binds for itself, to an address of its own: 127.0.0.1, 127.0.0.2.
const cluster = require('cluster');
const [how, port] = process.argv.slice(2);
cluster.schedulingPolicy = how === 'rr' ? cluster.SCHED_RR : cluster.SCHED_NONE;
if (cluster.isPrimary) {
    cluster.fork();
    cluster.fork();
    cluster.on('exit', (worker, code) => process.exit(code));
} else {
    const exclusive = how === 'exclusive';
    const host = exclusive ? `127.0.0.${cluster.worker.id}` : '127.0.0.1';
    require('http').createServer((request, response) => response.end(`pid ${process.pid} uid ${process.getuid()}\n`))
        .listen({port: Number(port), host, exclusive}, () => console.log(`worker ${cluster.worker.id} listens`));
}
