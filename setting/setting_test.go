package setting_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"

	"posefuse/setting"
)

func TestProblems(t *testing.T) {
	var block, all setting.Problems
	block.Between("rate_hz", math.NaN(), 1, 60)
	block.Between("hold_ms", 60, 0, 60)
	block.OneOf("mode", "x", "a", "b")
	block.OneOf("mode", "b", "a", "b")
	block.Address("listen", "7010")
	block.Address("listen", "localhost:7010")
	block = append(block, errors.New("about nothing in particular"))
	all.Join("sync", block)
	const want = "sync.rate_hz: NaN is out of range, want 1 to 60\n" +
		"sync.mode: \"x\" is unknown: use a or b\n" +
		"sync.listen: \"7010\" is no address; write host:port, for example 127.0.0.1:4222\n" +
		"about nothing in particular"
	if got := errors.Join(all...); got == nil || got.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", got, want)
	}
	if strings.Contains(block[0].Error(), "sync") {
		t.Error("Join changed the block's own problems")
	}
}

func TestListenErrorSaysWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"in use":    {syscall.EADDRINUSE, "a.listen: port in use: port 7010 at 127.0.0.1:7010 belongs to another program; stop it (ss -tulpn shows which) or change a.listen"},
		"forbidden": {syscall.EACCES, "a.listen: 127.0.0.1:7010: this user may not open the port; choose one above 1023: permission denied"},
		"not ours":  {syscall.EADDRNOTAVAIL, "a.listen: 127.0.0.1:7010 is no address of this machine (ip address shows them): cannot assign requested address"},
		"any other": {syscall.EMFILE, "a.listen: too many open files"},
	} {
		p, ok := errors.AsType[*setting.Problem](fmt.Errorf("x: %w", setting.ListenError("listen", "127.0.0.1:7010", c.err)))
		if !ok || p.Below("a").Error() != c.want {
			t.Errorf("%s: got  %v\nwant %s", name, p, c.want)
			continue
		}
		if inUse := errors.Is(p, setting.ErrInUse); inUse != (name == "in use") || !inUse && !errors.Is(p, c.err) {
			t.Errorf("%s: is it ErrInUse? %v", name, inUse)
		}
	}
}

func TestSplitAddress(t *testing.T) {
	for address, want := range map[string]struct {
		host string
		port int
		bad  bool
	}{
		"127.0.0.1:80": {"127.0.0.1", 80, false},
		":80":          {"", 80, false},
		"[::1]:0":      {"::1", 0, false},
		"80":           {bad: true},
		"a:65536":      {bad: true},
		"a:http":       {bad: true},
	} {
		host, port, err := setting.SplitAddress(address)
		if host != want.host && !want.bad || port != want.port && !want.bad || (err != nil) != want.bad {
			t.Errorf("%s: %q, %d, %v", address, host, port, err)
		}
	}
	for host, want := range map[string]bool{"localhost": true, "127.0.0.2": true, "::1": true, "": false, "0.0.0.0": false, "example": false} {
		if setting.Loopback(host) != want {
			t.Errorf("%q: loopback %v", host, !want)
		}
	}
}
