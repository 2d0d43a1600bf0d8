require('http')
  .createServer((request, response) => response.end('Hello.\n'))
  .listen(PORT, '127.0.0.1');
