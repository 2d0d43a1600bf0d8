// web ADDRESS...: a web server on all of these addresses that tells process id and user id.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(answer, "pid %d uid %d\n", os.Getpid(), os.Getuid())
	})
	for _, address := range os.Args[1:] {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		go http.Serve(listener, nil)
	}
	fmt.Println("listening")
	select {}
}
