package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"posefuse/model"
)

// TestSignAndVerify: what is signed is trusted until a byte of card, weights or
// signature changes.
func TestSignAndVerify(t *testing.T) {
	file := filepath.Join(t.TempDir(), "signer.pem")
	key, err := NewSigner(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = NewSigner(file); err == nil {
		t.Error("a key was overwritten")
	}
	if again, readErr := ReadSigner(file); readErr != nil || !again.Equal(key) {
		t.Fatalf("the key read back is another (%v)", readErr)
	}
	line, err := PublicLine(key)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ParseKeys([]string{line})
	if err != nil {
		t.Fatal(err)
	}
	trusted := func(dir string) error {
		if err := keys.Verify(dir); err != nil {
			return err
		}
		net, _, err := model.LoadCheckpoint(dir)
		if err == nil {
			err = net.Close()
		}
		return err
	}
	for name, spoil := range map[string]func(dir string){
		"card":      func(dir string) { setCard(t, dir, func(c *model.Card) { c.Name = "other" }) },
		"weights":   func(dir string) { breakWeights(t, dir, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, false) },
		"both":      func(dir string) { breakWeights(t, dir, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, true) },
		"signature": func(dir string) { change(t, filepath.Join(dir, SignatureFile)) },
	} {
		dir := checkpoint(t, "1")
		if err := Sign(dir, key); err != nil {
			t.Fatal(err)
		}
		if err := trusted(dir); err != nil {
			t.Errorf("signed: %v", err)
		}
		if spoil(dir); trusted(dir) == nil {
			t.Errorf("%s changed after signing, and it is trusted", name)
		}
	}
	dir := checkpoint(t, "1")
	breakWeights(t, dir, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, false)
	if err := Sign(dir, key); err == nil {
		t.Error("weights that are not the card's were signed")
	}
}

func change(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if err = os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSignersRefused: what is no key, and a key that others can read.
func TestSignersRefused(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open.pem")
	if _, err := NewSigner(open); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		open:                   "chmod 600",
		write("text", "hello"): "no key in PEM form",
		write("bad", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"): "openssl genpkey",
		write("long", strings.Repeat("x", maxKey+1)):                                   "more than",
		fifo:                     "not a regular file",
		filepath.Join(dir, "no"): "no such file",
	} {
		if _, err := ReadSigner(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", filepath.Base(path), err, want)
		}
	}
}
