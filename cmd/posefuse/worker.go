package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"posefuse/hub"
	"posefuse/model"
	"posefuse/model/registry"
	"posefuse/setting"
)

type workerCmd struct {
	Logins string   `xor:"hub" required:"" placeholder:"FILE" help:"File with the logins of rooms' workers at the hub, a line each: tls://room1-worker:PASSWORD@HOST:4222."`
	NATS   []string `name:"nats" xor:"hub" required:"" placeholder:"URL" help:"The same on the command line, again for each room; others on this machine see passwords there."`
	CA     string   `name:"ca" placeholder:"FILE" help:"PEM file of the authority of the hub's certificate, if it is your own."`
	Dir    string   `default:"./posefuse-worker" placeholder:"DIR" help:"Folder for what a job needs; nothing is left there when it is done."`
	Name   string   `placeholder:"NAME" help:"What rooms are told of who did it; this machine's name by default."`
	CPU    float64  `name:"cpu" default:"0" help:"Cores that a retraining may use on average; 0: all."`
	Memory int64    `default:"4096" help:"MiB of memory that it may use."`
	Sign   string   `placeholder:"FILE" help:"Private ed25519 key, PEM, that candidates are signed with, for rooms with model.trusted_keys."`
}

// Help shows the command's example.
func (workerCmd) Help() string {
	return "Retrains rooms' models on a bigger machine: takes jobs from the hub's queue, one at a time, and gives candidates\n" +
		"back. Rooms ask for it with retrain.workers. Stopped or killed, it or another worker goes on from the last epoch.\n" +
		"See docs/hub.md.\n\nExample:\n\n  posefuse worker --logins /etc/posefuse/worker-logins --dir /var/lib/posefuse-worker"
}

// worker does rooms' jobs in a folder.
type worker struct {
	dir, name string
	signer    ed25519.PrivateKey // nil: candidates are not signed
	cpu       float64
	memory    int64 // MiB
	log       *slog.Logger
	opt       hub.Options
	keep      time.Duration // between states that are kept at the hub

	command func(ctx context.Context, args []string) (*exec.Cmd, error)
}

// Run works until it is interrupted.
func (c workerCmd) Run(ctx context.Context) error {
	if c.CPU == 0 {
		c.CPU = float64(model.Cores()) // a limit of the cgroup counts, too
	}
	if !(c.CPU > 0) || c.Memory < 1 {
		return fmt.Errorf("--cpu %g, --memory %d: want more than nothing", c.CPU, c.Memory)
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname() // "" is a name, too
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	w := &worker{dir: dir, name: c.Name, cpu: c.CPU, memory: c.Memory, log: log, keep: 10 * time.Second, command: thisProgram}
	w.opt.Away = func(err error) { log.Warn("waiting for the hub", "error", err) }
	if c.Sign != "" {
		if w.signer, err = registry.ReadSigner(c.Sign); err != nil {
			return fmt.Errorf("--sign: %w", err)
		}
	}
	if err = c.readLogins(); err != nil {
		return err
	}
	held, err := w.hold()
	if err != nil {
		return err
	}
	defer held.Close() //nolint:errcheck // a lock
	var counters []*hub.Counter
	for _, url := range c.NATS {
		nc, err := c.connect(url, log)
		if err != nil {
			return err
		}
		defer nc.Close()
		counter, err := hub.NewCounter(nc, w.name, w.opt)
		if err != nil {
			return err
		}
		counters = append(counters, counter)
	}
	log.Info("waiting for jobs", "rooms", len(counters), "dir", dir)
	w.run(ctx, counters)
	return ctx.Err()
}

// maxLogins bounds the file of logins, bytes.
const maxLogins = 1 << 20

// readLogins takes the logins out of their file.
func (c *workerCmd) readLogins() error {
	if c.Logins == "" {
		return nil
	}
	b, err := setting.ReadFile(c.Logins, maxLogins)
	if err != nil {
		return fmt.Errorf("--logins: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			c.NATS = append(c.NATS, line)
		}
	}
	if len(c.NATS) == 0 {
		return fmt.Errorf("--logins: %s holds none: write tls://room1-worker:PASSWORD@HOST:4222, a line for each room", c.Logins)
	}
	return nil
}

// connect connects to a room's account; a hub that is away is waited for, a login
// that it refuses is not.
func (c workerCmd) connect(url string, log *slog.Logger) (*nats.Conn, error) {
	opts := []nats.Option{nats.Name("posefuse worker"), nats.MaxReconnects(-1), nats.ReconnectWait(2 * time.Second), nats.RetryOnFailedConnect(true),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("hub", "error", err) })}
	if c.CA != "" {
		opts = append(opts, nats.RootCAs(c.CA))
	}
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to the hub: %w; is the login that of a room's workers (configs/hub.conf)?", err)
	}
	return nc, nil
}

// hold keeps other workers out of the folder.
func (w *worker) hold() (*os.File, error) {
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(w.dir, ".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("--dir %s: another worker uses it (%w): give each a folder of its own", w.dir, err), f.Close())
	}
	return f, nil
}

// How long a worker looks at one room's queue, and when it tidies.
const (
	takeWait  = 2 * time.Second
	tidyEvery = time.Minute
)

// run takes jobs of all rooms in turn until ctx ends.
func (w *worker) run(ctx context.Context, counters []*hub.Counter) {
	tidied := time.Time{}
	said := map[*hub.Counter]string{}
	for ctx.Err() == nil {
		if time.Since(tidied) > tidyEvery {
			w.tidy(counters)
			tidied = time.Now()
		}
		for _, c := range counters {
			task, err := c.Take(ctx, max(takeWait/time.Duration(len(counters)), 100*time.Millisecond))
			switch {
			case ctx.Err() != nil:
				if task != nil {
					task.Release(0)
				}
				return
			case err != nil:
				if said[c] != err.Error() {
					w.log.Warn("no job can be taken", "error", err)
				}
				said[c] = err.Error()
				select {
				case <-ctx.Done():
				case <-time.After(takeWait):
				}
				continue
			}
			delete(said, c)
			if task != nil {
				w.do(ctx, task)
			}
		}
	}
}

// tidy deletes what is here of jobs that their rooms took back while this worker
// was away: they are recordings of people.
func (w *worker) tidy(counters []*hub.Counter) {
	entries, _ := os.ReadDir(w.dir) // without it there is nothing to tidy
	for _, e := range entries {
		id, isJob := strings.CutPrefix(e.Name(), jobFolder)
		if !isJob {
			continue
		}
		gone := true
		for _, c := range counters {
			gone = gone && c.Gone(id)
		}
		if gone {
			w.log.Info("deleting what is left of a job that is no more", "job", id)
			w.remove(filepath.Join(w.dir, e.Name()))
		}
	}
}

func (w *worker) remove(dir string) {
	if err := os.RemoveAll(dir); err != nil { //nolint:gosec // a job's folder, whose name was checked
		w.log.Error("recordings of a room are left here: delete them", "dir", dir, "error", err)
	}
}
