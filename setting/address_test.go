package setting_test

import (
	"net"
	"strconv"
	"testing"

	"posefuse/setting"
)

// FuzzSplitAddress: what is taken for an address is one for the system too, and
// means the same host and port there.
func FuzzSplitAddress(f *testing.F) {
	for _, address := range []string{"127.0.0.1:80", ":80", "[::1]:0", "[::]:65535", "[fe80::1%eth0]:80", "80", "a:65536", "a:http", "a:-0", "a:+80", "a:", "a b:1", "[a:1", "a\x00:1", "http://a:1", "localhost:080"} {
		f.Add(address)
	}
	f.Fuzz(func(t *testing.T, address string) {
		host, port, err := setting.SplitAddress(address)
		if err != nil {
			return
		}
		again := net.JoinHostPort(host, strconv.Itoa(port))
		if h, p, againErr := setting.SplitAddress(again); againErr != nil || h != host || p != port {
			t.Errorf("%q is %q, %d; written again %q, %d, %v", address, host, port, h, p, againErr)
		}
		if net.ParseIP(host) == nil {
			return // the system would look the name up
		}
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil || a.Port != port || !a.IP.Equal(net.ParseIP(host)) {
			t.Errorf("%q is %q, %d; the system says %v, %v", address, host, port, a, err)
		}
		if a != nil && setting.Loopback(host) != a.IP.IsLoopback() {
			t.Errorf("%q: loopback %v", address, setting.Loopback(host))
		}
		if _, p, err := setting.SplitAddress(setting.Reachable(address)); err != nil || p != port {
			t.Errorf("%q is reachable at %q", address, setting.Reachable(address))
		}
	})
}
