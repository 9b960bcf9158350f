package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// Desk is a room's side: it hands out jobs, one at a time, and takes results back.
type Desk struct {
	Store
	js nats.JetStreamContext
}

// errNoStore is told of a hub that keeps nothing for this room.
var errNoStore = errors.New("does the hub's configuration have jetstream with domain hub, and this room's account jetstream (configs/hub.conf)?")

// OpenDesk makes what is missing at the hub, in the room's account, and waits while
// the hub is away. domain is Domain for a room's server that is a leaf node of the
// hub.
func OpenDesk(ctx context.Context, nc *nats.Conn, domain string, opt Options) (*Desk, error) {
	opt = opt.withDefaults()
	js, err := nc.JetStream(nats.Domain(domain), nats.MaxWait(opt.Ask))
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	d := &Desk{Store{opt: opt}, js}
	err = opt.try(ctx, func() error {
		failure := d.makeStreams()
		if errors.Is(failure, nats.ErrNoResponders) || errors.Is(failure, nats.ErrJetStreamNotEnabledForAccount) {
			failure = fmt.Errorf("%w; %w", failure, errNoStore)
		}
		return failure
	})
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	return d, nil
}

// makeStreams makes the queue, the workers' words and the object store.
func (d *Desk) makeStreams() error {
	streams := []*nats.StreamConfig{
		{Name: jobStream, Subjects: []string{jobSubject}, Retention: nats.WorkQueuePolicy, MaxAge: keepFor, Duplicates: 24 * time.Hour, MaxMsgSize: 64 << 10},
		{Name: wordStream, Subjects: []string{wordPrefix + "*"}, MaxMsgsPerSubject: 1, MaxAge: keepFor, MaxMsgSize: 512 << 10},
	}
	for _, s := range streams {
		if _, err := d.js.AddStream(s); err != nil && !errors.Is(err, nats.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	c := &nats.ConsumerConfig{Durable: consumer, AckPolicy: nats.AckExplicitPolicy, AckWait: d.opt.Ack, MaxDeliver: -1, MaxAckPending: 1000}
	if _, err := d.js.AddConsumer(jobStream, c); err != nil {
		return fmt.Errorf("consumer of %s: %w", jobStream, err)
	}
	var err error
	d.objects, err = d.js.ObjectStore(bucket)
	if errors.Is(err, nats.ErrBucketNotFound) || errors.Is(err, nats.ErrStreamNotFound) {
		d.objects, err = d.js.CreateObjectStore(&nats.ObjectStoreConfig{Bucket: bucket, TTL: keepFor, Description: "what retraining jobs of this room take along"})
	}
	if err != nil {
		return fmt.Errorf("object store: %w", err)
	}
	return nil
}

// Post hands out a job whose parcels were sent. Posting it again changes nothing.
func (d *Desk) Post(ctx context.Context, j *Job) error {
	j.Schema = jobSchema
	if err := j.check(); err != nil {
		return err
	}
	ref, err := d.putJSON(ctx, jobPrefix+j.ID, j)
	if err != nil {
		return err
	}
	b, err := json.Marshal(ref)
	if err != nil {
		return err
	}
	err = d.opt.try(ctx, func() error {
		_, failure := d.js.Publish(jobSubject, b, nats.MsgId(j.ID), nats.Context(ctx))
		return failure
	})
	if err != nil {
		return fmt.Errorf("job %s: %w", j.ID, err)
	}
	return nil
}

// Word returns what a worker said last of a job; nil if none has taken it. The
// error wraps ErrGone only if the room's streams are gone.
func (d *Desk) Word(ctx context.Context, id string) (*Word, error) { return lastWord(ctx, d.js, id) }

func lastWord(ctx context.Context, js nats.JetStreamContext, id string) (*Word, error) {
	m, err := js.GetLastMsg(wordStream, wordPrefix+id, nats.Context(ctx))
	if errors.Is(err, nats.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("job %s: %w", id, plain(err))
	}
	var w Word
	if err = json.Unmarshal(m.Data, &w); err != nil {
		return nil, fmt.Errorf("the worker's word of job %s %w: %w", id, ErrDamaged, err)
	}
	return &w, nil
}

// Result returns what came of a job.
func (d *Desk) Result(ctx context.Context, r Ref) (out Result, err error) {
	return out, d.getJSON(ctx, r, &out)
}

// Clear takes a job back, if it is not done, and deletes everything of this room's
// jobs at the hub. The worker that has it notices, stops and deletes its copies.
func (d *Desk) Clear(ctx context.Context) error {
	err := d.opt.try(ctx, func() error {
		err := d.js.DeleteObjectStore(bucket)
		if errors.Is(err, nats.ErrStreamNotFound) || errors.Is(err, nats.ErrBucketNotFound) {
			err = nil // cleared before
		}
		return errors.Join(err, d.js.PurgeStream(jobStream), d.js.PurgeStream(wordStream))
	})
	if err != nil {
		return fmt.Errorf("clear the hub: %w", err)
	}
	return nil
}
