require('http').createServer((request, response) => response.end("node's page\n")).listen(80);
