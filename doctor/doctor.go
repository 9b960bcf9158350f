// Package doctor looks at what is plugged into the machine, what each port and
// interface gives, and says what is missing and how to mend it. It sends nothing
// and changes nothing.
package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options say where to look.
type Options struct {
	Root     string        // of the file system; "/" outside tests
	Listen   time.Duration // how long to listen at ports
	UDPPorts []int         // to listen at
}

// Report is everything that was found.
type Report struct {
	Serial     []SerialPort `json:"serial"`
	Cameras    []Camera     `json:"cameras"`
	Interfaces []Interface  `json:"interfaces"`
	UDP        []UDPPort    `json:"udp"`
	Machine    []Finding    `json:"machine"` // rights and limits of this user and machine
}

// Finding is something to know, with what to do.
type Finding struct {
	Code string `json:"code"` // stable, snake case
	Text string `json:"text"` // a sentence for people
	Good bool   `json:"good"` // nothing has to be done
}

// Examine looks at everything, at all ports at once.
func Examine(ctx context.Context, o Options) *Report {
	r := &Report{Serial: serialPorts(o.Root), Cameras: cameras(o.Root), Interfaces: interfaces(o.Root), Machine: machine(o.Root)}
	ctx, cancel := context.WithTimeout(ctx, o.Listen)
	defer cancel()
	r.UDP = make([]UDPPort, len(o.UDPPorts))
	var all sync.WaitGroup
	for i, port := range o.UDPPorts {
		all.Go(func() { r.UDP[i] = listenUDP(ctx, port) })
	}
	for i := range r.Serial {
		all.Go(func() { r.Serial[i].listen(ctx) })
	}
	all.Wait()
	return r
}

// lines returns the lines of a small file, none if it cannot be read.
func lines(path ...string) []string {
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		return nil
	}
	return strings.Split(string(b), "\n")
}

// line returns the first line of a small file, "" if it cannot be read.
func line(path ...string) string {
	if l := lines(path...); len(l) > 0 {
		return strings.TrimSpace(l[0])
	}
	return ""
}

// names returns the names of a folder's entries that begin with one of prefixes,
// nil if there is no such folder.
func names(dir string, prefixes ...string) (out []string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		for _, p := range prefixes {
			if strings.HasPrefix(e.Name(), p) {
				out = append(out, e.Name())
				break
			}
		}
	}
	return out
}

// stable returns the names that stay for a device across replugging, by the
// device's path: the links of a folder such as /dev/serial/by-id.
func stable(dir string) map[string]string {
	out := map[string]string{}
	for _, n := range names(dir, "") {
		if to, err := filepath.EvalSymlinks(filepath.Join(dir, n)); err == nil {
			out[to] = filepath.Join(dir, n)
		}
	}
	return out
}

// access says whether a device can be opened, and what to do if not.
func access(path, group string) Finding {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	switch {
	case err == nil:
		if err = f.Close(); err != nil {
			return Finding{"unreadable", err.Error(), false}
		}
		return Finding{"ok", "can be opened", true}
	case errors.Is(err, fs.ErrPermission):
		return Finding{"permission", "permission denied: add the user to the group " + group + " (sudo adduser $USER " + group + ", log in again), or install the udev rule of systemd/70-posefuse.rules", false}
	case errors.Is(err, syscall.EBUSY):
		return Finding{"in_use", "in use: stop the other program (fuser -v " + path + " shows which)", false}
	case errors.Is(err, fs.ErrNotExist):
		return Finding{"no_device", "the kernel knows it, but " + path + " is not there: udev is not running, or this is a container", false}
	}
	return Finding{"unreadable", err.Error(), false}
}
