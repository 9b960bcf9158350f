package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Counter is a worker's side of one room's jobs.
type Counter struct {
	Store
	js     nats.JetStreamContext
	worker string // its name
}

// NewCounter returns a worker's side of the room in whose account at the hub the
// connection is. It does no I/O.
func NewCounter(nc *nats.Conn, worker string, opt Options) (*Counter, error) {
	opt = opt.withDefaults()
	js, err := nc.JetStream(nats.MaxWait(opt.Ask))
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	return &Counter{Store{opt: opt}, js, worker}, nil
}

// Task is a job that a worker has taken. It must end with Done, Fail or Release.
type Task struct {
	Job   Job
	Words Word // the last one said, by whoever had the job before
	Try   int  // how often it was given out, from 1

	c   *Counter
	msg *nats.Msg

	mu   sync.Mutex // of word
	word Word
}

// Take waits for a job for a while; nil if there is none, or the room has never had
// one. A job that cannot be read is failed.
func (c *Counter) Take(ctx context.Context, wait time.Duration) (*Task, error) {
	sub, err := c.js.PullSubscribe("", consumer, nats.Bind(jobStream, consumer))
	if errors.Is(err, nats.ErrStreamNotFound) || errors.Is(err, nats.ErrConsumerNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the consumer stays
	limited, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	msgs, err := sub.Fetch(1, nats.Context(limited))
	if errors.Is(err, nats.ErrTimeout) || limited.Err() != nil && len(msgs) == 0 || err == nil && len(msgs) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	t := &Task{c: c, msg: msgs[0]}
	err = t.read(ctx)
	switch {
	case errors.Is(err, ErrGone):
		_ = t.msg.Term() // the room has taken it back
		return nil, err
	case errors.Is(err, ErrDamaged) && idPattern.MatchString(t.Job.ID):
		return nil, errors.Join(err, t.Fail(ctx, err.Error()))
	case err != nil:
		t.Release(t.c.opt.Retry)
		return nil, err
	case t.Words.Ended(): // by who was killed before it left the queue
		return nil, t.msg.AckSync(nats.Context(ctx))
	}
	return t, nil
}

// read takes in what the job is, and what was said of it.
func (t *Task) read(ctx context.Context) error {
	meta, err := t.msg.Metadata()
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	t.Try = int(meta.NumDelivered)
	var ref Ref
	if err = json.Unmarshal(t.msg.Data, &ref); err != nil {
		return fmt.Errorf("the queue's message %w: %w", ErrDamaged, err)
	}
	id := strings.TrimPrefix(ref.Name, jobPrefix)
	t.Job.ID, t.word = id, Word{Worker: t.c.worker, Try: t.Try}
	if t.c.objects, err = t.c.js.ObjectStore(bucket); err != nil {
		return fmt.Errorf("hub: %w", plain(err))
	}
	if err = t.c.getJSON(ctx, ref, &t.Job); err != nil {
		return err
	}
	if err = t.Job.check(); err != nil {
		return err
	}
	if t.Job.ID != id {
		return fmt.Errorf("job %s %w: the queue calls it %q", t.Job.ID, ErrDamaged, id)
	}
	last, err := lastWord(ctx, t.c.js, t.Job.ID)
	if err != nil {
		return err
	}
	if last != nil {
		t.Words = *last
	}
	t.word.Checkpoint = t.Words.Checkpoint
	return nil
}

// Store is where the job's parcels are.
func (t *Task) Store() *Store { return &t.c.Store }

// ErrWithdrawn is why Hold ends if the room has taken the job back.
var ErrWithdrawn = errors.New("the room has taken the job back")

// Hold keeps the job this worker's while it works on it. The context it returns
// ends with ErrWithdrawn as its cause if the room takes the job back. A hub that is
// away is waited for: nobody else can be given the job meanwhile.
func (t *Task) Hold(ctx context.Context) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		every := time.NewTicker(t.c.opt.Ack / 3)
		defer every.Stop()
		for {
			select {
			case <-held.Done():
				return
			case <-every.C:
			}
			_ = t.msg.InProgress() // one that is lost is followed by another
			if t.c.gone(t.Job.ID) {
				cancel(ErrWithdrawn)
				return
			}
		}
	}()
	return held, func() { cancel(context.Canceled); <-ended }
}

// Gone reports whether the hub says that it has no such job any more.
func (c *Counter) Gone(id string) bool {
	var err error
	if c.objects, err = c.js.ObjectStore(bucket); err != nil {
		return errors.Is(plain(err), ErrGone)
	}
	return c.gone(id)
}

func (c *Counter) gone(id string) bool {
	_, err := c.objects.GetInfo(jobPrefix + id)
	return errors.Is(plain(err), ErrGone)
}

// Tell says how it goes.
func (t *Task) Tell(ctx context.Context, progress any) error {
	b, err := json.Marshal(progress)
	if err != nil {
		return err
	}
	return t.say(ctx, func(w *Word) { w.Progress = b })
}

// say changes the worker's word and tells it.
func (t *Task) say(ctx context.Context, change func(*Word)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.word
	change(&w)
	w.Time = time.Now().UTC()
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	t.word = w
	_, err = t.c.js.Publish(wordPrefix+t.Job.ID, b, nats.Context(ctx))
	return err
}

// Keep stores the state of the training in a folder, for whoever goes on.
func (t *Task) Keep(ctx context.Context, dir, version string) error {
	p, err := t.c.Send(ctx, dir, nil)
	if err != nil {
		return err
	}
	r, err := t.c.putJSON(ctx, "state/"+t.Job.ID, Checkpoint{version, p})
	if err != nil {
		return err
	}
	return t.c.opt.try(ctx, func() error { return t.say(ctx, func(w *Word) { w.Checkpoint = &r }) })
}

// Checkpoint brings the state that another worker kept into a new folder. Without
// one, or with one of another version of the program, there is no such folder.
func (t *Task) Checkpoint(ctx context.Context, dir, version string) error {
	if t.Words.Checkpoint == nil {
		return nil
	}
	var c Checkpoint
	if err := t.c.getJSON(ctx, *t.Words.Checkpoint, &c); err != nil {
		return err
	}
	if c.Version != version {
		return nil
	}
	return t.c.Fetch(ctx, c.State, dir)
}

// Done hands over what came of the job: the folder of the candidate and the report
// of posefuse retrain.
func (t *Task) Done(ctx context.Context, candidate string, report any) error {
	b, err := json.Marshal(report)
	if err != nil {
		return err
	}
	p, err := t.c.Send(ctx, candidate, nil)
	if err != nil {
		return err
	}
	r, err := t.c.putJSON(ctx, "result/"+t.Job.ID, Result{p, b})
	if err != nil {
		return err
	}
	return t.end(ctx, func(w *Word) { w.Result = &r })
}

// Fail says why nothing came of the job, and that nobody needs to try again.
func (t *Task) Fail(ctx context.Context, why string) error {
	return t.end(ctx, func(w *Word) { w.Failed = why })
}

// end says the last word, then takes the job out of the queue: in the other order a
// kill between them would lose it.
func (t *Task) end(ctx context.Context, change func(*Word)) error {
	if err := t.c.opt.try(ctx, func() error { return t.say(ctx, change) }); err != nil {
		return fmt.Errorf("job %s: %w", t.Job.ID, err)
	}
	// One that stays in the queue is found to have ended by who is given it next.
	ctx, cancel := context.WithTimeout(ctx, t.c.opt.Ack)
	defer cancel()
	_ = t.msg.AckSync(nats.Context(ctx))
	return nil
}

// Release gives the job back to the queue, for this worker or another after a
// while. It does not wait for the hub.
func (t *Task) Release(after time.Duration) { _ = t.msg.NakWithDelay(after) } // if it is lost, the silence does the same
