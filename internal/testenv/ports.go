package testenv

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// Ports lie below those that the kernel gives to connections and to listeners
// that ask for any, so that no other test is given one before it is used.
const firstPort, portCount = 16_000, 16_000

var nextPort = func() *atomic.Uint32 {
	var n atomic.Uint32
	n.Store(rand.Uint32N(portCount)) // test programs run side by side
	return &n
}()

// FreeAddr is FreePort as an address, such as 127.0.0.1:16001.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", FreePort(t))
}

// FreePort returns a loopback port on which nobody listens, neither with TCP nor
// with UDP. No two calls return the same.
func FreePort(t testing.TB) int {
	t.Helper()
	for range portCount {
		port := firstPort + int(nextPort.Add(1)%portCount)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		u, err := net.ListenPacket("udp", addr)
		_ = l.Close()
		if err != nil {
			continue
		}
		_ = u.Close()
		return port
	}
	t.Fatal("no free port")
	panic("unreachable")
}
