// sockets tcp ADDRESS: answers every connection with process id and user id.
// sockets udp ADDRESS: the same for datagrams.
// sockets storm TIME SERVER ADDRESS...: for this time, asks a web server of its own again and again, and binds the
// addresses again and again, each from a goroutine of its own, beside others that keep all processors busy and collect
// garbage, for which the runtime interrupts its threads by SIGURG, and one that sends that signal to the thread that binds
// the first. Prints when half the time is over, and at the end for each address how often.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var identity = []byte(fmt.Sprintf("pid %d uid %d\n", os.Getpid(), os.Getuid()))

func tcp(address string) {
	listener, err := net.Listen("tcp", address)
	must(err)
	for {
		connection, err := listener.Accept()
		must(err)
		connection.Read(make([]byte, 4096))
		connection.Write(identity)
		connection.Close()
	}
}

func udp(address string) {
	socket, err := net.ListenPacket("udp", address)
	must(err)
	fmt.Println("bound")
	for {
		_, from, err := socket.ReadFrom(make([]byte, 4096))
		must(err)
		socket.WriteTo(identity, from)
	}
}

func bindAgainAndAgain(address string, end time.Time) {
	binds := 0
	for ; time.Now().Before(end); binds++ {
		listener, err := net.Listen("tcp", address)
		must(err)
		must(listener.Close())
	}
	fmt.Println(address, binds)
}

func askAgainAndAgain(address string, end time.Time) int {
	requests := 0
	for ; time.Now().Before(end); requests++ {
		answer, err := http.Get("http://" + address)
		must(err)
		body, err := io.ReadAll(answer.Body)
		must(err)
		must(answer.Body.Close())
		if string(body) != string(identity) {
			fmt.Printf("answered %q\n", body)
			os.Exit(1)
		}
	}
	return requests
}

func serveUnderLoad(address string, group *sync.WaitGroup, end time.Time) {
	listener, err := net.Listen("tcp", address)
	must(err)
	go http.Serve(listener, http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) { answer.Write(identity) }))
	var requests atomic.Int64
	var clients sync.WaitGroup
	for i := 0; i < 16; i++ {
		clients.Add(1)
		go func() {
			defer clients.Done()
			requests.Add(int64(askAgainAndAgain(address, end)))
		}()
	}
	group.Add(1)
	go func() {
		defer group.Done()
		clients.Wait()
		fmt.Println(address, requests.Load())
	}()
}

func storm(duration time.Duration, server string, addresses []string) {
	for i := 0; i < runtime.NumCPU(); i++ {
		go func() {
			for {
			}
		}()
	}
	go func() {
		for {
			runtime.GC()
		}
	}()
	go func() {
		for {
			syscall.Tgkill(os.Getpid(), os.Getpid(), syscall.SIGURG)
			time.Sleep(100 * time.Microsecond)
		}
	}()
	var group sync.WaitGroup
	end := time.Now().Add(duration)
	time.AfterFunc(duration/2, func() { fmt.Println("half") })
	serveUnderLoad(server, &group, end)
	for _, address := range addresses[1:] {
		group.Add(1)
		go func(address string) {
			defer group.Done()
			bindAgainAndAgain(address, end)
		}(address)
	}
	bindAgainAndAgain(addresses[0], end)
	group.Wait()
}

// Has main run on the thread whose number is the process's.
func init() {
	runtime.LockOSThread()
}

func main() {
	switch rest := os.Args[2:]; os.Args[1] {
	case "tcp":
		tcp(rest[0])
	case "udp":
		udp(rest[0])
	case "storm":
		duration, err := time.ParseDuration(rest[0])
		must(err)
		storm(duration, rest[1], rest[2:])
	}
}
