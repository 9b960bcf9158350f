package hub

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// tree reads a folder: content by name, folders with a slash at their end.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if d.IsDir() {
			out[name+"/"] = ""
			return nil
		}
		b, err := os.ReadFile(path)
		out[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t testing.TB, dir, name string, content []byte) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
		t.Fatal(err)
	}
}

// Any folder comes out of its archive as it was, and packing it twice gives the
// same bytes.
func TestPackedFoldersComeBack(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		from, err := os.MkdirTemp("", "pack")
		if err != nil {
			r.Fatal(err)
		}
		defer os.RemoveAll(from) //nolint:errcheck // a temporary folder
		want := filepath.Join(from, "in")
		for range rapid.IntRange(0, 3).Draw(r, "files") {
			name := rapid.StringMatching(`([a-cé]{1,3}/){0,2}f[a-z0-9 ._-]{0,8}`).Draw(r, "name")
			path := filepath.Join(want, name)
			if os.MkdirAll(filepath.Dir(path), 0o700) == nil {
				_ = os.WriteFile(path, rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(r, "content"), 0o600) // a name may be a folder already
			}
		}
		_ = os.MkdirAll(want, 0o700)
		var one, two bytes.Buffer
		if err := errors.Join(pack(&one, want, nil), pack(&two, want, nil)); err != nil {
			r.Fatal(err)
		}
		if !bytes.Equal(one.Bytes(), two.Bytes()) {
			r.Fatal("the same folder packs to other bytes")
		}
		out := filepath.Join(from, "out")
		_ = os.Mkdir(out, 0o700)
		if err := unpack(bytes.NewReader(one.Bytes()), out, int64(one.Len())); err != nil {
			r.Fatal(err)
		}
		if a, b := tree(t, want), tree(t, out); !maps.Equal(a, b) {
			r.Fatalf("in %v\nout %v", a, b)
		}
	})
}

func TestLinksAreNotSent(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "secret")); err != nil {
		t.Fatal(err)
	}
	if err := pack(io.Discard, dir, nil); err == nil || !strings.Contains(err.Error(), "secret is neither") {
		t.Errorf("%v", err)
	}
	if err := pack(io.Discard, dir, func(name string) bool { return name == "secret" }); err != nil {
		t.Errorf("left out: %v", err)
	}
}

// archive makes a tar archive of headers; a file has the content "x".
func archive(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range headers {
		h := &headers[i]
		if h.Typeflag == tar.TypeReg {
			h.Size = 1
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			_, _ = w.Write([]byte("x"))
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var hostile = map[string][]tar.Header{
	"outside":      {{Typeflag: tar.TypeReg, Name: "../x"}},
	"absolute":     {{Typeflag: tar.TypeReg, Name: "/tmp/x"}},
	"through":      {{Typeflag: tar.TypeReg, Name: "a/../../x"}},
	"link":         {{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/etc"}},
	"hard link":    {{Typeflag: tar.TypeLink, Name: "a", Linkname: "/etc/passwd"}},
	"device":       {{Typeflag: tar.TypeChar, Name: "a"}},
	"twice":        {{Typeflag: tar.TypeReg, Name: "a"}, {Typeflag: tar.TypeReg, Name: "a"}},
	"file as path": {{Typeflag: tar.TypeReg, Name: "a"}, {Typeflag: tar.TypeReg, Name: "a/b"}},
	"no name":      {{Typeflag: tar.TypeReg, Name: ""}},
}

func TestHostileArchives(t *testing.T) {
	for name, headers := range hostile {
		dir := filepath.Join(t.TempDir(), "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		b := archive(t, headers...)
		if err := unpack(bytes.NewReader(b), dir, int64(len(b))); err == nil {
			t.Errorf("%s: taken", name)
		}
		if out := tree(t, filepath.Dir(dir)); len(out) > 2 {
			t.Errorf("%s: left %v", name, out)
		}
	}
	good := archive(t, tar.Header{Typeflag: tar.TypeReg, Name: "a/b"})
	if err := unpack(bytes.NewReader(good), t.TempDir(), 0); err == nil || !strings.Contains(err.Error(), "larger than all") {
		t.Errorf("beyond the limit: %v", err)
	}
	if err := unpack(bytes.NewReader(good[:300]), t.TempDir(), 1<<20); !errors.Is(err, ErrDamaged) {
		t.Errorf("cut: %v", err)
	}
	if err := unpack(bytes.NewReader(good), t.TempDir(), int64(len(good))); err != nil {
		t.Errorf("the control: %v", err)
	}
}

// FuzzUnpack: whatever comes, nothing appears beside the folder, and no more than
// was announced in it.
func FuzzUnpack(f *testing.F) {
	for _, headers := range hostile {
		f.Add(archive(f, headers...))
	}
	f.Add(archive(f, tar.Header{Typeflag: tar.TypeReg, Name: "a/b"}, tar.Header{Typeflag: tar.TypeDir, Name: "c/"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		parent := t.TempDir()
		dir := filepath.Join(parent, "in")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_ = unpack(bytes.NewReader(b), dir, int64(len(b)))
		var bytesOut int
		for name, content := range tree(t, parent) {
			if name != "in/" && !strings.HasPrefix(name, "in/") {
				t.Fatalf("%s appeared", name)
			}
			bytesOut += len(content)
		}
		if bytesOut > len(b) {
			t.Fatalf("%d bytes of an archive of %d", bytesOut, len(b))
		}
	})
}
