// A web server of one page on port 80.
package main

import "net"

func main() {
	listener, err := net.Listen("tcp", ":80")
	if err != nil {
		panic(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		client.Read(make([]byte, 4096))
		client.Write([]byte("HTTP/1.0 200 OK\r\n\r\ngo's page\n"))
		client.Close()
	}
}
