package bus

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"runtime"
	"sync"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sys/unix"
)

// Bounds of the work that strangers can cause with passwords.
const (
	maxLogins    = 32   // that wait for their hash; the oldest give way
	maxVerdicts  = 1024 // that are remembered
	patientAfter = 3    // wrong passwords of an address, after which its next ones wait as long as a hash takes
	forgivenIn   = time.Minute
	hashingNice  = 10 // above the program's own: inference goes first
)

// hasher compares passwords with bcrypt hashes: one at a time, on a thread that
// lets everything else go first, the newest first, since a flood of guesses must
// not make the person who comes now wait for it. A password that was right or
// wrong once is not hashed again.
type hasher struct {
	key  [32]byte // of the verdicts: passwords are not kept
	wake chan struct{}
	done chan struct{} // closed when run has ended

	mu       sync.Mutex
	waiting  []*login // oldest first
	verdicts map[verdictKey]bool
	failed   map[string]failures // by address
}

type verdictKey [sha256.Size]byte

type failures struct {
	n    int
	last time.Time
}

type login struct {
	key                     verdictKey
	hash, password, address string
	right                   bool          // set before answered is closed
	answered                chan struct{} // it may have been given up, then right is false
}

func newHasher() *hasher {
	h := &hasher{wake: make(chan struct{}, 1), done: make(chan struct{}),
		verdicts: map[verdictKey]bool{}, failed: map[string]failures{}}
	_, _ = rand.Read(h.key[:]) // never fails, see crypto/rand
	return h
}

// matches waits for its turn; it gives up, with false, when ctx ends or too many
// others came after it.
func (h *hasher) matches(ctx context.Context, hash, password, address string) bool {
	l, right, known := h.enqueue(hash, password, address)
	if known {
		return right
	}
	select {
	case <-l.answered:
		return l.right
	case <-ctx.Done():
		return false
	}
}

func (h *hasher) enqueue(hash, password, address string) (l *login, right, known bool) {
	mac := hmac.New(sha256.New, h.key[:])
	_, _ = mac.Write([]byte(hash + "\x00" + password))
	key := verdictKey(mac.Sum(nil))
	h.mu.Lock()
	defer h.mu.Unlock()
	if right, known = h.verdicts[key]; known {
		return nil, right, true
	}
	for _, w := range h.waiting {
		if w.key == key {
			return w, false, false
		}
	}
	l = &login{key: key, hash: hash, password: password, address: address, answered: make(chan struct{})}
	if len(h.waiting) == maxLogins {
		close(h.waiting[0].answered)
		h.waiting = append(h.waiting[:0], h.waiting[1:]...)
	}
	h.waiting = append(h.waiting, l)
	select {
	case h.wake <- struct{}{}:
	default:
	}
	return l, false, false
}

// run hashes until ctx ends.
func (h *hasher) run(ctx context.Context) {
	defer close(h.done)
	// The thread ends with this goroutine and takes its nice value along.
	runtime.LockOSThread()
	thread := unix.Gettid()
	if v, err := unix.Getpriority(unix.PRIO_PROCESS, thread); err == nil {
		// The kernel's answer is 20 less the value. Where this is refused, logins
		// merely compete as equals.
		_ = unix.Setpriority(unix.PRIO_PROCESS, thread, min(20-v+hashingNice, 19))
	}
	for {
		l, patience := h.next()
		if l == nil {
			select {
			case <-h.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		began := time.Now()
		right := bcrypt.CompareHashAndPassword([]byte(l.hash), []byte(l.password)) == nil
		took := time.Since(began)
		h.answer(l, right)
		if patience && !pause(ctx, took) || ctx.Err() != nil {
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// next takes the newest login, of an address without failures if there is one;
// patience asks for a pause after it.
func (h *hasher) next() (l *login, patience bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := len(h.waiting)
	if n == 0 {
		return nil, false
	}
	at := n - 1
	for i := n - 1; i >= 0; i-- {
		if h.failed[h.waiting[i].address].n == 0 {
			at = i
			break
		}
	}
	l = h.waiting[at]
	// It stays in the list until it is answered, so that the same password asked
	// again waits for the same answer.
	return l, h.failed[l.address].n >= patientAfter
}

func (h *hasher) answer(l *login, right bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, w := range h.waiting {
		if w == l {
			h.waiting = append(h.waiting[:i], h.waiting[i+1:]...)
			l.right = right
			close(l.answered)
			break
		}
	}
	if len(h.verdicts) >= maxVerdicts {
		for k, r := range h.verdicts {
			if !r {
				delete(h.verdicts, k)
			}
		}
	}
	if len(h.verdicts) < maxVerdicts {
		h.verdicts[l.key] = right
	}
	now := time.Now()
	for a, f := range h.failed {
		if now.Sub(f.last) > forgivenIn {
			delete(h.failed, a)
		}
	}
	switch {
	case right:
		delete(h.failed, l.address)
	case len(h.failed) < maxVerdicts:
		h.failed[l.address] = failures{h.failed[l.address].n + 1, now}
	}
}
