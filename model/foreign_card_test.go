package model

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
)

func TestCheckpointFilesThatWouldHang(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, CardFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := LoadCheckpoint(dir); err == nil || !strings.Contains(err.Error(), CardFile+": not a regular file") {
		t.Errorf("card: %v", err)
	}
	if _, err := openRegular(os.DirFS("/dev"), "zero"); err == nil || !strings.Contains(err.Error(), "zero: not a regular file") {
		t.Errorf("device: %v", err)
	}
}

func TestCardWithEscapes(t *testing.T) {
	for text, bad := range map[string]bool{
		"a model": false, "two\\nlines\\tand a tab, é": false,
		"\\u001b[31mred": true, "title \\u001b]0;x\\u0007": true, "\\u009b2J": true, "\\u007f": true, "a\\rb": true, "\\u202egnp.exe": true,
	} {
		card := `{"name": "` + text + `"}`
		if err := printable([]byte(card)); (err != nil) != bad || bad && strings.ContainsAny(err.Error(), "\x1b\x07\r") {
			t.Errorf("%s: %v", card, err)
		}
		_, err := ReadCard(fstest.MapFS{CardFile: {Data: []byte(card)}}, ".")
		if refused := err != nil && strings.Contains(err.Error(), "control character"); refused != bad {
			t.Errorf("%s: %v", card, err)
		}
	}
}
