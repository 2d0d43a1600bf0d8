// sockets tcp ADDRESS: answers every connection with process id and user id.
// sockets udp ADDRESS: the same for datagrams.
// sockets storm ADDRESS...: binds these addresses again and again for a while, each from a goroutine of its own, beside
// others that keep all processors busy and collect garbage, for which the runtime interrupts its threads by SIGURG, and
// one that sends that signal to the thread that binds the first.
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
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

func storm(addresses []string) {
	for i := 0; i < 2*runtime.NumCPU(); i++ {
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
	end := time.Now().Add(2 * time.Second)
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
		storm(rest)
	}
}
