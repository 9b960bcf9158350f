package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"posefuse/model"
)

// Add copies the checkpoint in a folder into the registry as a candidate. The
// checkpoint is checked as a whole first, and its copy against what was checked.
func (r *Registry) Add(from, reason string) (*Entry, error) {
	net, card, err := model.LoadCheckpoint(from)
	if err != nil {
		return nil, fmt.Errorf("add model: %w", err)
	}
	if err = net.Close(); err != nil {
		return nil, fmt.Errorf("add model: %w", err)
	}
	e := &Entry{ID: ID{card.Name, card.Version}, State: Candidate, Reason: reason, Changed: now(), Added: now(),
		SHA256: card.SHA256, Parent: card.Parent, Data: card.Data, Metrics: card.Metrics}
	if err = e.ID.check(); err != nil {
		return nil, fmt.Errorf("add model: name and version in %s: %w", filepath.Join(from, model.CardFile), err)
	}
	if err = os.MkdirAll(r.dir, 0o755); err != nil {
		return nil, fmt.Errorf("add model: %w", err)
	}
	err = r.change(func(x *Index) error {
		if old := x.find(e.ID); old != nil {
			return fmt.Errorf("add model: %s %w, as %s with sha256 %.12s…: a version never changes, give another one", e.ID, ErrExists, old.State, old.SHA256)
		}
		if e.CardSHA256, err = r.copyIn(from, card, e.ID); err != nil {
			return fmt.Errorf("add model %s: %w", e.ID, err)
		}
		x.Entries = append(x.Entries, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// copyIn makes the folder of a version: complete, on the disk, then renamed.
// Nothing in the index names it before.
func (r *Registry) copyIn(from string, card model.Card, id ID) (cardSHA256 string, err error) {
	to := r.Dir(id)
	parent := filepath.Dir(to)
	if err = os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	r.sweep()
	tmp, err := os.MkdirTemp(filepath.Join(r.dir, modelsDir), incoming)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if cardSHA256, err = copyFile(filepath.Join(from, model.CardFile), filepath.Join(tmp, model.CardFile)); err != nil {
		return "", err
	}
	sum, err := copyFile(filepath.Join(from, card.Weights), filepath.Join(tmp, card.Weights))
	if err != nil {
		return "", err
	}
	if sum != card.SHA256 {
		return "", fmt.Errorf("%s was changed while it was copied: leave it alone and add it again", filepath.Join(from, card.Weights))
	}
	if _, err = os.Stat(filepath.Join(from, SignatureFile)); err == nil {
		if _, err = copyFile(filepath.Join(from, SignatureFile), filepath.Join(tmp, SignatureFile)); err != nil {
			return "", err
		}
	}
	if err = os.Chmod(tmp, 0o755); err != nil { // the daemon's user must read it
		return "", err
	}
	if err = syncDir(tmp); err != nil {
		return "", err
	}
	if err = os.RemoveAll(to); err != nil { // of a process that was killed before it wrote the index
		return "", err
	}
	if err = os.Rename(tmp, to); err != nil {
		return "", err
	}
	return cardSHA256, errors.Join(syncDir(parent), syncDir(filepath.Join(r.dir, modelsDir)))
}

// sweep takes away what killed processes left, under the lock.
func (r *Registry) sweep() {
	dir := filepath.Join(r.dir, modelsDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, d := range entries {
		if strings.HasPrefix(d.Name(), incoming) {
			_ = os.RemoveAll(filepath.Join(dir, d.Name())) // it only takes room
		}
	}
}

// copyFile copies a file, brings the copy to the disk and returns its hash.
func copyFile(from, to string) (sum string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close() //nolint:errcheck // only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), in)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// hashFile returns the sha256 of a file.
func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // only read
	h := sha256.New()
	if _, err = io.Copy(h, f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// syncDir brings the names in a folder to the disk.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
