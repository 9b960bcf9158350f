package train

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"posefuse/model"
)

// The files of a checkpoint folder. state.json names the tensor files it
// belongs with, so that replacing it by renaming switches everything at once;
// before.json is the state one checkpoint earlier.
const (
	stateFile   = "state.json"
	beforeFile  = "before.json"
	tensorsName = "tensors-"
	bestName    = "best-"
	pendingName = ".writing-"
)

// stateFormat is the version of state.json.
const stateFormat = 1

// maxState bounds state.json, bytes: a thousand times what a training of 400
// epochs takes.
const maxState = 256 << 20

// state is what training needs to go on after an epoch, besides the tensors.
type state struct {
	Format   int  `json:"format"`
	Finished bool `json:"finished,omitempty"` // then it has no tensors
	Epoch    int  `json:"epoch"`              // epochs done
	// Count and AdamSteps number the optimiser's steps.
	Count     uint64 `json:"count"`
	AdamSteps int    `json:"adam_steps"`
	ElapsedNS int64  `json:"elapsed_ns"`
	// LR is the start of the learning rate's schedule in force.
	LR      float64         `json:"lr"`
	Method  json.RawMessage `json:"method,omitempty"` // its State
	Tensors tensorFile      `json:"tensors"`
	Best    *bestState      `json:"best,omitempty"`
	History []EpochInfo     `json:"history"` // the curve so far
	// Kernels is the CPU path the epochs ran on; another one rounds differently.
	Kernels     string            `json:"kernels"`
	Fingerprint map[string]string `json:"fingerprint"`
}

// tensorFile names a file of the same folder.
type tensorFile struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// bestState is the best epoch on the validation data.
type bestState struct {
	Epoch   int        `json:"epoch"` // 1-based
	ValMM   float64    `json:"val_mpjpe_mm"`
	Tensors tensorFile `json:"tensors"`
}

// sealed is the content of state.json. The hash tells a damaged state from a
// whole one: a flipped digit would still be JSON.
type sealed struct {
	SHA256 string          `json:"sha256"` // of State, as it stands
	State  json.RawMessage `json:"state"`
}

func (st *state) encode() ([]byte, error) {
	b, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return json.Marshal(sealed{hex.EncodeToString(sum[:]), b})
}

// parseState reads state.json. It refuses what encode did not write.
func parseState(b []byte) (*state, error) {
	var s sealed
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("the file is damaged: %w", err)
	}
	if sum := sha256.Sum256(s.State); hex.EncodeToString(sum[:]) != s.SHA256 {
		return nil, fmt.Errorf("the file is damaged: sha256 of the state is %x, want %q", sum, s.SHA256)
	}
	var version struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(s.State, &version); err != nil {
		return nil, err
	}
	if version.Format != stateFormat {
		return nil, fmt.Errorf("format %d, this build reads %d: go on with the build that wrote it", version.Format, stateFormat)
	}
	st := &state{}
	if err := json.Unmarshal(s.State, st); err != nil {
		return nil, err
	}
	return st, st.check()
}

func (st *state) check() error {
	switch {
	case st.Epoch < 0 || len(st.History) != st.Epoch:
		return fmt.Errorf("%d epochs are done and %d are told of", st.Epoch, len(st.History))
	case st.AdamSteps < 0 || st.ElapsedNS < 0 || !(st.LR > 0):
		return fmt.Errorf("%d optimiser steps, %d ns, learning rate %g: want none negative", st.AdamSteps, st.ElapsedNS, st.LR)
	case st.Best != nil && (st.Best.Epoch < 1 || st.Best.Epoch > st.Epoch):
		return fmt.Errorf("best epoch %d of %d", st.Best.Epoch, st.Epoch)
	case st.Finished:
		return nil
	case !st.Tensors.named(tensorsName):
		return fmt.Errorf("tensors %q is no name of a tensor file", st.Tensors.Name)
	case st.Best != nil && !st.Best.Tensors.named(bestName):
		return fmt.Errorf("best weights %q is no name of a tensor file", st.Best.Tensors.Name)
	}
	return nil
}

// named reports whether the file has the name its hash gives it.
func (f tensorFile) named(prefix string) bool {
	raw, err := hex.DecodeString(f.SHA256)
	return err == nil && len(raw) == sha256.Size && f.Name == tensorFileName(prefix, f.SHA256)
}

func tensorFileName(prefix, sum string) string { return prefix + sum[:16] + ".safetensors" }

// folder is a checkpoint folder that this process alone writes to.
type folder struct {
	dir  string
	lock *os.File
	now  *state // what state.json says; nil if there is none
	then *state // what before.json says; nil if there is none
	raw  []byte // of now
}

// openFolder makes the folder where needed and takes its lock, which the
// system gives back however the process ends.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %s: %w", dir, err)
	}
	return &folder{dir: dir, lock: lock}, nil
}

func (f *folder) close() {
	if f.lock != nil {
		_ = f.lock.Close() // was never written
	}
}

// checkpointIn reports whether dir holds a checkpoint, whole or not.
func checkpointIn(dir string) (bool, error) {
	for _, name := range []string{stateFile, beforeFile} {
		switch _, err := os.Stat(filepath.Join(dir, name)); {
		case err == nil:
			return true, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, fmt.Errorf("checkpoint: %w", err)
		}
	}
	return false, nil
}

// read reads one of the folder's states.
func (f *folder) read(name string) (*state, []byte, error) {
	path := filepath.Join(f.dir, name)
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	b, err := io.ReadAll(io.LimitReader(file, maxState+1))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(b) > maxState {
		return nil, nil, fmt.Errorf("%s has more than %d bytes", path, maxState)
	}
	st, err := parseState(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return st, b, nil
}

// save makes st, with these tensors, the folder's state. Best weights are
// written where best names no file yet. Whatever goes wrong, the state before
// stays whole, and nothing half-written stays behind.
func (f *folder) save(st *state, tensors, best []model.Tensor) (err error) {
	defer func() {
		if err != nil {
			f.sweep() // what the new state would have named
		}
	}()
	if st.Tensors, err = f.writeTensors(tensorsName, tensors); err != nil {
		return err
	}
	if st.Best != nil && st.Best.Tensors.Name == "" {
		if st.Best.Tensors, err = f.writeTensors(bestName, best); err != nil {
			return err
		}
	}
	return f.replace(st)
}

// replace makes st the folder's state and what was it the one before.
func (f *folder) replace(st *state) error {
	b, err := st.encode()
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	if f.raw != nil {
		if err := f.writeFile(beforeFile, f.raw); err != nil {
			return err
		}
		f.then = f.now
	}
	if err := f.writeFile(stateFile, b); err != nil {
		return err
	}
	f.now, f.raw = st, b
	f.sweep()
	return nil
}

// finish leaves a state without tensors, and no state before it. It completes
// what a kill during an earlier finish left undone.
func (f *folder) finish() error {
	if !f.now.Finished {
		done := *f.now
		done.Finished, done.Tensors, done.Best, done.Method = true, tensorFile{}, nil, nil
		b, err := done.encode()
		if err != nil {
			return fmt.Errorf("encode the state: %w", err)
		}
		if err = f.writeFile(stateFile, b); err != nil {
			return err
		}
		f.now, f.raw = &done, b
	}
	if err := os.Remove(filepath.Join(f.dir, beforeFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.then = nil
	f.sweep()
	return nil
}

// sweep removes files that neither state names. A file that cannot be removed
// only takes room, and the next checkpoint tries again.
func (f *folder) sweep() {
	keep := map[string]bool{}
	for _, st := range []*state{f.now, f.then} {
		if st != nil {
			keep[st.Tensors.Name] = true
			if st.Best != nil {
				keep[st.Best.Tensors.Name] = true
			}
		}
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		name := e.Name()
		ours := strings.HasPrefix(name, tensorsName) || strings.HasPrefix(name, bestName) || strings.HasPrefix(name, pendingName)
		if ours && !keep[name] {
			_ = os.Remove(filepath.Join(f.dir, name))
		}
	}
}

func (f *folder) writeTensors(prefix string, tensors []model.Tensor) (tensorFile, error) {
	var out tensorFile
	err := f.write(func(w io.Writer, sum hash.Hash) (string, error) {
		if err := model.WriteTensors(io.MultiWriter(w, sum), tensors); err != nil {
			return "", err
		}
		out.SHA256 = hex.EncodeToString(sum.Sum(nil))
		out.Name = tensorFileName(prefix, out.SHA256)
		return out.Name, nil
	})
	return out, err
}

func (f *folder) writeFile(name string, b []byte) error {
	return f.write(func(w io.Writer, _ hash.Hash) (string, error) {
		_, err := w.Write(b)
		return name, err
	})
}

// write makes a file under the name fill returns. When it returns without
// error the file is on the disk with its name; otherwise nothing is there that
// was not before.
func (f *folder) write(fill func(io.Writer, hash.Hash) (name string, err error)) (err error) {
	file, err := os.CreateTemp(f.dir, pendingName+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// Both may fail after a success; the first error is the one to tell.
			_ = file.Close()
			_ = os.Remove(file.Name())
		}
	}()
	w := bufio.NewWriterSize(file, 1<<20)
	name, err := fill(w, sha256.New())
	if err != nil {
		return err
	}
	if err = w.Flush(); err != nil {
		return err
	}
	if err = file.Chmod(0o644); err != nil {
		return err
	}
	if err = file.Sync(); err != nil {
		return err
	}
	if err = file.Close(); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), filepath.Join(f.dir, name)); err != nil {
		return err
	}
	return syncFolder(f.dir)
}

// syncFolder brings the names in dir to the disk.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		err = nil // a file system that orders names by itself
	}
	return errors.Join(err, d.Close())
}
