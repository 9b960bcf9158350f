// Package hub carries what a room and a bigger machine exchange over the NATS
// server that the rooms of a house have in common: folders of files in a JetStream
// object store, and retraining jobs in a queue. Each room has an account of its own
// there, so a room sees nothing of another, and what lies at the hub is a copy that
// lives as long as its job.
package hub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// Domain is the hub's JetStream domain, by which a room tells the hub's store from
// its own: jetstream.domain in configs/hub.conf.
const Domain = "hub"

// Names at the hub, in a room's account.
const (
	bucket     = "work"
	jobStream  = "work-jobs"
	jobSubject = "work.job"
	wordStream = "work-words"
	wordPrefix = "work.word." // + job
	consumer   = "workers"
	jobPrefix  = "job/" // of the object that says what a job is
)

// keepFor is how long the hub keeps what a room that disappeared has left there.
const keepFor = 7 * 24 * time.Hour

// Errors that callers tell apart.
var (
	// ErrGone says that a job, or what belongs to it, is not at the hub any more.
	ErrGone = errors.New("is not at the hub any more")
	// ErrFull says that the hub takes no more of this room.
	ErrFull = errors.New("the hub takes no more of this room: its account's jetstream.max_file, or the hub's disk, is full")
	// ErrDamaged says that an object is not what its hash says.
	ErrDamaged = errors.New("is damaged")
)

// Options are about how patient both sides are; a zero is the default.
type Options struct {
	Retry time.Duration // between attempts while the hub is away; 2 s
	// Ask bounds one exchange with the hub; 30 s, in which a part gets through at
	// 0.3 Mbit/s.
	Ask time.Duration
	// BytesPerSecond is what a room sends at most, so that its poses do not wait;
	// any if 0.
	BytesPerSecond int64
	// Ack is for how long a worker may be silent before its job is given to
	// another; 30 s.
	Ack time.Duration
	// Away is told why an attempt failed that is made again; may be nil.
	Away func(error)
}

func (o Options) withDefaults() Options {
	if o.Retry == 0 {
		o.Retry = 2 * time.Second
	}
	if o.Ask == 0 {
		o.Ask = 30 * time.Second
	}
	if o.Ack == 0 {
		o.Ack = 30 * time.Second
	}
	if o.Away == nil {
		o.Away = func(error) {}
	}
	return o
}

// Store is a room's object store at the hub.
type Store struct {
	objects nats.ObjectStore
	opt     Options
}

// Ref names an object and says what is in it.
type Ref struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// try does f until it works, cannot work, or ctx ends: a hub that is away comes
// back.
func (o *Options) try(ctx context.Context, f func() error) error {
	for {
		err := plain(f())
		if err == nil || errors.Is(err, ErrGone) || errors.Is(err, ErrFull) || errors.Is(err, ErrDamaged) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		o.Away(err)
		t := time.NewTimer(o.Retry)
		select {
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		case <-t.C:
		}
	}
}

// codesFull are JetStream's codes where no more is taken: by an account, the server,
// its disk, a stream.
var codesFull = []nats.ErrorCode{10002, 10023, 10047, 10077}

// plain makes an error of this package of those of NATS that callers tell apart.
func plain(err error) error {
	var api *nats.APIError
	switch {
	case errors.Is(err, nats.ErrObjectNotFound), errors.Is(err, nats.ErrBucketNotFound), errors.Is(err, nats.ErrStreamNotFound), errors.Is(err, nats.ErrMsgNotFound):
		return fmt.Errorf("%w (%w)", ErrGone, err)
	case errors.Is(err, nats.ErrDigestMismatch):
		return fmt.Errorf("%w (%w)", ErrDamaged, err)
	case errors.As(err, &api) && slices.Contains(codesFull, api.ErrorCode):
		return fmt.Errorf("%w (%w)", ErrFull, err)
	}
	return err
}

// put stores an object, unless it is there with the same content.
func (s *Store) put(ctx context.Context, name string, b []byte) error {
	sum := sha256.New()
	sum.Write(b)
	digest := nats.GetObjectDigestValue(sum)
	err := s.opt.try(ctx, func() error {
		info, err := s.objects.GetInfo(name)
		if err == nil && info.Size == uint64(len(b)) && info.Digest == digest {
			return nil
		}
		if err != nil && !errors.Is(err, nats.ErrObjectNotFound) {
			return err
		}
		_, err = s.objects.Put(&nats.ObjectMeta{Name: name}, bytes.NewReader(b), nats.Context(ctx))
		return err
	})
	if err != nil {
		return fmt.Errorf("send %s to the hub: %w", name, err)
	}
	return nil
}

// get reads an object of at most limit bytes and checks it.
func (s *Store) get(ctx context.Context, r Ref, limit int) (b []byte, err error) {
	err = s.opt.try(ctx, func() error {
		info, infoErr := s.objects.GetInfo(r.Name)
		if infoErr != nil {
			return infoErr
		}
		if info.Size > uint64(limit) {
			return fmt.Errorf("%w: it has %d bytes, at most %d can be", ErrDamaged, info.Size, limit)
		}
		if b, infoErr = s.objects.GetBytes(r.Name, nats.Context(ctx)); infoErr != nil {
			return infoErr
		}
		if got := hash(b); got != r.SHA256 {
			return fmt.Errorf("%w: its sha256 is %s, want %s", ErrDamaged, got, r.SHA256)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("object %s of the hub: %w", r.Name, err)
	}
	return b, nil
}

// maxDocument bounds a JSON object, bytes: the parts of a terabyte.
const maxDocument = 64 << 20

// putJSON stores a value.
func (s *Store) putJSON(ctx context.Context, name string, v any) (Ref, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return Ref{}, err
	}
	return Ref{name, hash(b)}, s.put(ctx, name, b)
}

// getJSON reads what putJSON stored.
func (s *Store) getJSON(ctx context.Context, r Ref, v any) error {
	b, err := s.get(ctx, r, maxDocument)
	if err != nil {
		return err
	}
	if err = json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("object %s of the hub: %w: %w", r.Name, ErrDamaged, err)
	}
	return nil
}
