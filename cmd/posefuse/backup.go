package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"posefuse/pipeline"
	"posefuse/setting"
)

// Names in an archive.
const (
	backupState  = "state/"
	backupConfig = "posefuse.yaml"
)

type backupCmd struct {
	Config string `short:"c" required:"" placeholder:"FILE" help:"Configuration of the room."`
	Out    string `arg:"" placeholder:"ARCHIVE" help:"File to write, .tar.gz; it must not exist."`
}

// Help shows the command's example.
func (backupCmd) Help() string {
	return "Stop the daemon first: a backup takes the lock of state_dir. The archive holds the\n" +
		"configuration with its passwords and health data: keep it as safe as the machine.\n\nExample:\n\n  posefuse backup --config /etc/posefuse/posefuse.yaml room1.tar.gz"
}

// Run writes the archive; one that is not whole does not stay.
func (c backupCmd) Run() (err error) {
	cfg, err := pipeline.LoadConfig(c.Config, os.Environ())
	if err != nil {
		return err
	}
	if _, err = os.Stat(cfg.StateDir); err != nil {
		return fmt.Errorf("state_dir: %w", err)
	}
	release, err := pipeline.LockState(cfg.StateDir)
	if err != nil {
		return err
	}
	defer release()
	out, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(c.Out))
		}
	}()
	zip := gzip.NewWriter(out)
	archive := tar.NewWriter(zip)
	if err = addFile(archive, c.Config, backupConfig); err == nil {
		err = addState(archive, cfg.StateDir)
	}
	return errors.Join(err, archive.Close(), zip.Close(), out.Sync(), out.Close())
}

func addState(archive *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err // links and sockets are not state
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || name == "lock" {
			return err
		}
		return addFile(archive, path, backupState+filepath.ToSlash(name))
	})
}

func addFile(archive *tar.Writer, path, name string) error {
	f, err := setting.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err = archive.WriteHeader(&tar.Header{Name: name, Mode: int64(info.Mode().Perm()), Size: info.Size(), ModTime: info.ModTime()}); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if _, err = io.CopyN(archive, f, info.Size()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

type restoreCmd struct {
	Archive string `arg:"" placeholder:"ARCHIVE" help:"What backup wrote."`
	State   string `required:"" placeholder:"DIR" help:"Folder for the state; it must be empty or missing."`
	Config  string `placeholder:"FILE" help:"Where to put the configuration; it must not exist. Without it the configuration is left out."`
}

// Help shows the command's example.
func (restoreCmd) Help() string {
	return "Example:\n\n  posefuse restore room1.tar.gz --state /var/lib/posefuse --config /etc/posefuse/posefuse.yaml"
}

// Run unpacks the archive.
func (c restoreCmd) Run() error {
	if old, err := os.ReadDir(c.State); err == nil && len(old) > 0 {
		return fmt.Errorf("--state: %s is not empty; move it away first", c.State)
	}
	if err := os.MkdirAll(c.State, 0o700); err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	root, err := os.OpenRoot(c.State) // nothing gets out of it
	if err != nil {
		return fmt.Errorf("--state: %w", err)
	}
	defer func() { _ = root.Close() }()
	f, err := setting.Open(c.Archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	zip, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s is no archive of posefuse backup: %w", c.Archive, err)
	}
	archive := tar.NewReader(zip)
	for n := 0; ; n++ {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) && n > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w; it is cut or no archive of posefuse backup", c.Archive, err)
		}
		if err = c.restore(root, h, archive); err != nil {
			return fmt.Errorf("%s: %s: %w", c.Archive, h.Name, err)
		}
	}
}

func (c restoreCmd) restore(root *os.Root, h *tar.Header, from io.Reader) error {
	mode := fs.FileMode(h.Mode).Perm()
	if h.Name == backupConfig {
		if c.Config == "" {
			return nil
		}
		f, err := os.OpenFile(c.Config, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		return fill(f, err, from, h.Size)
	}
	name, ok := strings.CutPrefix(h.Name, backupState)
	if !ok || h.Typeflag != tar.TypeReg {
		return errors.New("not of an archive of posefuse backup")
	}
	if dir := filepath.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	return fill(f, err, from, h.Size)
}

// fill writes a file that was opened, or returns why it was not.
func fill(f *os.File, err error, from io.Reader, size int64) error {
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, from, size)
	return errors.Join(err, f.Sync(), f.Close())
}
