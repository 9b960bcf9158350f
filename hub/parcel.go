package hub

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// partBytes is the size of a part: what is sent again at most after the link was
// down, and less than a quarter of what the room's server lets wait for the hub.
const partBytes = 1 << 20

// maxParts bounds a parcel: a terabyte.
const maxParts = 1 << 20

// spareBytes stay free on the disk that a parcel is fetched to.
const spareBytes = 256 << 20

// Parcel is a folder at the hub: a tar archive in parts, which are objects named by
// their hash, so that a part that is there is not sent again.
type Parcel struct {
	Bytes int64    `json:"bytes"` // of the archive
	Parts []string `json:"parts"` // sha256 of each, in order
}

// SpaceError says that a disk has no room for a parcel.
type SpaceError struct {
	Dir        string
	Need, Free int64 // bytes
}

func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: %d MiB are needed and %d are free, of which %d are to stay so: make room there", e.Dir, e.Need>>20, e.Free>>20, spareBytes>>20)
}

// freeBytes is what is left on the disk of a folder; tests have less.
var freeBytes = func(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(st.Bavail) * st.Bsize, nil
}

func partName(sum string) string { return "part/" + sum }

// Send stores a folder at the hub. While the hub is away it waits; what is there
// already is not sent. Files whose names leaveOut accepts are not part of it.
func (s *Store) Send(ctx context.Context, dir string, leaveOut func(name string) bool) (Parcel, error) {
	r, w := io.Pipe()
	go func() { _ = w.CloseWithError(pack(w, dir, leaveOut)) }()
	defer r.Close() //nolint:errcheck // ends the goroutine
	var p Parcel
	begin, part := time.Now(), make([]byte, partBytes)
	for {
		n, err := io.ReadFull(r, part)
		if n > 0 {
			if len(p.Parts) == maxParts {
				return p, fmt.Errorf("send %s: more than %d GiB", dir, maxParts*(partBytes>>20)>>10)
			}
			sum := hash(part[:n])
			if putErr := s.put(ctx, partName(sum), part[:n]); putErr != nil {
				return p, putErr
			}
			p.Bytes, p.Parts = p.Bytes+int64(n), append(p.Parts, sum)
			s.pace(ctx, begin, p.Bytes)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return p, nil
		case err != nil:
			return p, fmt.Errorf("send %s to the hub: %w", dir, err)
		}
	}
}

// pace waits until so many bytes may have been sent.
func (s *Store) pace(ctx context.Context, begin time.Time, sent int64) {
	if s.opt.BytesPerSecond == 0 {
		return
	}
	due := begin.Add(time.Duration(float64(sent) / float64(s.opt.BytesPerSecond) * float64(time.Second)))
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Fetch brings a parcel into a new folder, which appears when it is whole and every
// part is what its hash says. While the hub is away it waits.
func (s *Store) Fetch(ctx context.Context, p Parcel, dir string) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return fmt.Errorf("fetch from the hub: %w", err)
	}
	if want := (p.Bytes + partBytes - 1) / partBytes; p.Bytes < 0 || int64(len(p.Parts)) != want || want > maxParts {
		return fmt.Errorf("fetch %s from the hub: a parcel of %d bytes in %d parts %w", dir, p.Bytes, len(p.Parts), ErrDamaged)
	}
	free, err := freeBytes(parent)
	if err != nil {
		return err
	}
	if free < p.Bytes+spareBytes {
		return &SpaceError{parent, p.Bytes, free}
	}
	unfinished := dir + ".part"
	if err = errors.Join(os.RemoveAll(unfinished), os.Mkdir(unfinished, 0o700)); err != nil {
		return fmt.Errorf("fetch from the hub: %w", err)
	}
	err = unpack(&parcelReader{ctx: ctx, store: s, left: p.Parts}, unfinished, p.Bytes)
	if err == nil {
		err = os.Rename(unfinished, dir)
	}
	if err == nil {
		return nil
	}
	err = errors.Join(err, os.RemoveAll(unfinished))
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w", &SpaceError{parent, p.Bytes, free}, err)
	}
	return fmt.Errorf("fetch %s from the hub: %w", dir, err)
}

// parcelReader reads a parcel's archive.
type parcelReader struct {
	ctx   context.Context //nolint:containedctx // of the one call that reads
	store *Store
	left  []string // parts
	part  []byte   // what is left of the one that is read
}

func (r *parcelReader) Read(b []byte) (int, error) {
	for len(r.part) == 0 {
		if len(r.left) == 0 {
			return 0, io.EOF
		}
		var err error
		if r.part, err = r.store.get(r.ctx, Ref{partName(r.left[0]), r.left[0]}, partBytes); err != nil {
			return 0, err
		}
		r.left = r.left[1:]
	}
	n := copy(b, r.part)
	r.part = r.part[n:]
	return n, nil
}

// pack writes a folder's files as a tar archive. Equal folders give equal bytes:
// neither times nor owners are in it.
func pack(w io.Writer, dir string, leaveOut func(string) bool) error {
	t := tar.NewWriter(w)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		switch {
		case leaveOut != nil && leaveOut(name):
			return nil
		case d.IsDir():
			return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: filepath.ToSlash(name) + "/", Mode: 0o700, Format: tar.FormatPAX})
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is neither a file nor a folder: replace it by what it leads to", path)
		}
		return packFile(t, path, filepath.ToSlash(name))
	})
	if err != nil {
		return err
	}
	return t.Close()
}

func packFile(t *tar.Writer, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: st.Size(), Mode: 0o600, Format: tar.FormatPAX}); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if n, err := io.CopyN(t, f, st.Size()); err != nil {
		return fmt.Errorf("%s: %w after %d of %d bytes: it changed while it was sent", path, err, n, st.Size())
	}
	return nil
}

// unpack writes the files of an archive into a folder: files and folders only, none
// outside, of no more than limit bytes altogether.
func unpack(r io.Reader, dir string, limit int64) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // a folder
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r) // every part is checked
			return err
		}
		if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the archive %w: %w", ErrDamaged, err)
		}
		if err != nil {
			return err // of the hub
		}
		name := strings.TrimSuffix(h.Name, "/")
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the archive %w: it names %q, which is outside", ErrDamaged, h.Name)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			err = root.MkdirAll(name, 0o700)
		case tar.TypeReg:
			if limit -= h.Size; h.Size < 0 || limit < 0 {
				return fmt.Errorf("the archive %w: %q is larger than all of it", ErrDamaged, h.Name)
			}
			err = unpackFile(root, name, t)
		default:
			return fmt.Errorf("the archive %w: %q is neither a file nor a folder", ErrDamaged, h.Name)
		}
		if err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, from io.Reader) error {
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
