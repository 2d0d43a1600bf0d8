// family.js HOW PORT: a web server in a child process, which tells its process id and user id; HOW is
//   fork, spawn, detached  the way in which the child is started,
//   serve                  the child.
const {fork, spawn} = require('child_process');
const [how, port] = process.argv.slice(2);
const program = [__filename, 'serve', port];
const children = {
    fork: () => fork(__filename, program.slice(1)),
    spawn: () => spawn(process.execPath, program, {stdio: 'inherit'}),
    detached: () => spawn(process.execPath, program, {stdio: 'inherit', detached: true}),
};
if (how === 'serve') {
    require('http').createServer((request, response) => response.end(`pid ${process.pid} uid ${process.getuid()}\n`))
        .listen(Number(port), '127.0.0.1');
} else {
    children[how]().on('exit', code => process.exit(code));
}
