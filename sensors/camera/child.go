package camera

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is a program whose pictures are read from a pipe. It dies with this
// process, whatever ends that.
type child struct {
	out   *os.File // its standard output
	pid   int
	said  lastLines     // of its standard error
	ended chan struct{} // closed when it is gone
	exit  error         // why, once ended is closed
}

const (
	// pipeBytes lets a child write most of a picture without waiting.
	pipeBytes = 1 << 20
	// childGrace is how long what a dead child left behind may hold its pipes.
	childGrace = time.Second
)

// startChild starts a program in a process group of its own, without the
// daemon's capabilities and with an environment that names no folder for
// temporary files.
func startChild(program string, args []string, stdin string) (*child, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &child{out: out, ended: make(chan struct{})}
	cmd := exec.Command(program, args...) //nolint:gosec // the settings name the program, and no shell reads the rest
	cmd.Dir = "/"
	cmd.Env = []string{"LC_ALL=C", "PATH=" + os.Getenv("PATH")}
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout = in
	cmd.Stderr = &c.said
	cmd.WaitDelay = childGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if raw, rawErr := in.SyscallConn(); rawErr == nil {
		// A smaller pipe works as well.
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeBytes) })
	}
	started := make(chan error, 1)
	go func() {
		// The kernel kills a child when the thread ends that started it, so this
		// one stays as long, and then ends with its goroutine: it has given up
		// what the daemon may do beyond other users, for the child to inherit.
		runtime.LockOSThread()
		_ = unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
		startErr := cmd.Start()
		_ = in.Close()
		if startErr == nil {
			c.pid = cmd.Process.Pid
			// Its memory holds pictures: no core dump.
			_ = unix.Prlimit(c.pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil)
		}
		started <- startErr
		if startErr == nil {
			c.exit = cmd.Wait()
			close(c.ended)
		}
	}()
	if err := <-started; err != nil {
		_ = out.Close()
		return nil, err
	}
	return c, nil
}

// kill ends the child and what it started.
func (c *child) kill() {
	select {
	case <-c.ended:
	default:
		_ = unix.Kill(-c.pid, unix.SIGKILL)
	}
}

// close ends the child, waits until it is gone and frees what it held.
func (c *child) close() {
	c.kill()
	<-c.ended
	_ = c.out.Close()
}

// lastLines keeps the end of what a program says.
type lastLines struct {
	mu    sync.Mutex
	lines []string
	open  bool // the newest line goes on
}

const (
	maxLines     = 8
	maxLineChars = 400
)

// Write implements io.Writer.
func (l *lastLines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(string(b)) {
		text, ended := strings.CutSuffix(line, "\n")
		if l.open {
			text = l.lines[len(l.lines)-1] + text
			l.lines = l.lines[:len(l.lines)-1]
		}
		l.open = !ended
		l.lines = append(l.lines, text[:min(len(text), 2*maxLineChars)])
		l.lines = l.lines[max(len(l.lines)-maxLines, 0):]
	}
	return len(b), nil
}

// read returns the lines that are not empty.
func (l *lastLines) read() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []string
	for _, line := range l.lines {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}
