package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// stage is a long-lived part of the daemon. run blocks until ctx ends, cleans
// up and returns; any earlier return ends the whole daemon.
type stage struct {
	name string
	run  func(ctx context.Context) error
}

// runStages starts all stages and, when ctx ends or one of them returns, stops
// them in reverse order, each completely before the one it depends on. It
// returns what made it stop, and errors of stopping.
func runStages(ctx context.Context, stages []stage) error {
	type ended struct {
		i   int
		err error
	}
	first := make(chan ended, len(stages))
	done := make([]chan struct{}, len(stages))
	errs := make([]error, len(stages))
	cancels := make([]context.CancelFunc, len(stages))
	var wg sync.WaitGroup
	for i, s := range stages {
		// Not derived from ctx: a stage must outlive those that use it.
		sctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancels[i], done[i] = cancel, make(chan struct{})
		wg.Go(func() {
			defer close(done[i])
			errs[i] = s.run(sctx)
			first <- ended{i, errs[i]}
		})
	}
	var cause error
	select {
	case <-ctx.Done():
	case e := <-first:
		if e.err == nil {
			cause = fmt.Errorf("%s ended by itself", stages[e.i].name)
		}
	}
	out := []error{cause}
	for i := len(stages) - 1; i >= 0; i-- {
		cancels[i]()
		<-done[i]
		if errs[i] != nil && !errors.Is(errs[i], context.Canceled) {
			out = append(out, fmt.Errorf("%s: %w", stages[i].name, errs[i]))
		}
	}
	wg.Wait()
	return errors.Join(out...)
}
