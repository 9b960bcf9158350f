// Package hubtest starts, in tests, the server that the rooms of a house have in
// common.
package hubtest

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"posefuse/internal/testenv"
)

// Start runs a nats-server with configs/hub.conf, without its certificates, on two
// ports, for people and for rooms; its files lie in dir. The password of each login
// is its name in lower case and "-secret". edit changes the configuration; it may
// be nil.
func Start(t testing.TB, dir string, people, rooms int, edit func(string) string) *server.Server {
	t.Helper()
	for _, who := range []string{"ROOM1", "ROOM2", "VIEWER", "CONTROL", "WORKER"} {
		t.Setenv(who+"_PASSWORD", strings.ToLower(who)+"-secret")
	}
	t.Setenv("STORE_KEY", "store-secret")
	b, err := os.ReadFile(filepath.Join(testenv.Root(), "configs", "hub.conf"))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^ *tls \{[^}]*\}\n`).ReplaceAllString(string(b), "")
	text = strings.NewReplacer("0.0.0.0:4222", fmt.Sprintf("127.0.0.1:%d", people), "0.0.0.0:7422", fmt.Sprintf("127.0.0.1:%d", rooms),
		"/var/lib/posefuse-hub", filepath.Join(dir, "store")).Replace(text)
	if strings.Count(text, "127.0.0.1:") != 2 || strings.Contains(text, "cert_file") {
		t.Fatalf("the configuration has another form:\n%s", text)
	}
	if edit != nil {
		text = edit(text)
	}
	name := filepath.Join(dir, "hub.conf")
	if err = os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(name)
	if err != nil {
		t.Fatal(err)
	}
	o.NoSigs, o.NoLog = true, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(testenv.Patience) {
		t.Fatal("the hub was not ready")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// Link is a way to a port of this machine that can be cut.
type Link struct {
	Port int

	to int
	l  net.Listener

	mu   sync.Mutex
	cut  bool
	open map[net.Conn]bool
	done sync.WaitGroup
}

// NewLink returns a way to a port that ends with the test.
func NewLink(t testing.TB, to int) *Link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &Link{Port: l.Addr().(*net.TCPAddr).Port, to: to, l: l, open: map[net.Conn]bool{}}
	k.done.Go(k.accept)
	t.Cleanup(func() {
		_ = l.Close()
		k.Cut()
		k.done.Wait()
	})
	return k
}

// Cut ends every connection and lets no other through until Mend.
func (k *Link) Cut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = true
	for c := range k.open {
		_ = c.Close()
	}
}

// Mend lets connections through again.
func (k *Link) Mend() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.cut = false
}

func (k *Link) accept() {
	for {
		c, err := k.l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", k.to))
		if err != nil {
			_ = c.Close()
			continue
		}
		k.mu.Lock()
		if k.cut {
			_, _ = c.Close(), far.Close()
		} else {
			k.open[c], k.open[far] = true, true
			k.done.Go(func() { k.carry(c, far) })
			k.done.Go(func() { k.carry(far, c) })
		}
		k.mu.Unlock()
	}
}

func (k *Link) carry(from, to net.Conn) {
	_, _ = io.Copy(to, from) // until either side ends
	_, _ = from.Close(), to.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, from)
}
