package registry

import (
	"fmt"

	"posefuse/model"
)

// Use takes over a network that was checked; the registry changes only if it can
// be used. The network is nil for the model inside the program.
type Use func(*model.Network, model.Card) error

// Promote makes a version the one that serves, after all of it was checked and
// use, if there is one, has taken it. The one before is retired and can be gone
// back to. Promoting the one that serves changes nothing.
func (r *Registry) Promote(id ID, reason string, use Use) (*Entry, error) {
	var e *Entry
	err := r.change(func(x *Index) (err error) {
		if e, err = x.get(id); err != nil {
			return fmt.Errorf("promote: %w", err)
		}
		if e.State == Promoted && use == nil {
			return nil
		}
		if err = r.use(e, use); err != nil {
			return fmt.Errorf("promote: %w", err)
		}
		if e.State != Promoted {
			x.serve(e, reason)
		}
		return nil
	})
	return e, err
}

// Rollback makes what served before the serving version serve again: the newest
// that is whole, or the model inside the program, after use, if there is one,
// has taken it. What served is retired, or rejected so that nobody promotes it
// by themselves again. It returns the version that serves now, nil for the model
// inside the program.
func (r *Registry) Rollback(reason string, to State, use Use) (serving *Entry, err error) {
	err = r.change(func(x *Index) error {
		from := x.ref(x.ServingName())
		if from == nil {
			return fmt.Errorf("roll back: %w: the model inside the program serves", ErrNothingBefore)
		}
		var target *Entry
		before := x.Before
		for len(before) > 0 && target == nil {
			last := before[len(before)-1]
			before = before[:len(before)-1]
			if last == Shipped {
				break
			}
			if e := x.ref(last); e != nil && e.State != Rejected && r.use(e, use) == nil {
				target = e
			}
		}
		if target == nil && use != nil {
			if refused := use(nil, model.Card{}); refused != nil {
				return fmt.Errorf("roll back: %w", refused)
			}
		}
		from.move(to, reason)
		x.Before, x.Serving = before, Shipped
		if target != nil {
			target.move(Promoted, "serves again: "+reason)
			x.Serving = target.ID.String()
		}
		serving = target
		return nil
	})
	return serving, err
}

// Reject says that a version is not to serve, and why.
func (r *Registry) Reject(id ID, reason string) error {
	return r.edit(id, func(x *Index, e *Entry) error {
		if e.State == Promoted {
			return fmt.Errorf("reject model %s: it serves; roll back first", id)
		}
		e.move(Rejected, reason)
		return nil
	})
}

// Shadowed notes that a version runs in the shadow of the serving one or, with
// a run, how that went: back to candidate if it was sane, else rejected.
func (r *Registry) Shadowed(id ID, reason string, run *ShadowRun) error {
	return r.edit(id, func(_ *Index, e *Entry) error {
		switch {
		case e.State == Promoted: // somebody did not wait
		case run == nil:
			e.move(Shadow, reason)
		case run.Sane:
			e.move(Candidate, reason)
		default:
			e.move(Rejected, reason)
		}
		if run != nil {
			e.Shadow = run
		}
		return nil
	})
}

// Judged notes how a version did at the gate; one that failed is rejected.
func (r *Registry) Judged(id ID, g *Gate) error {
	return r.edit(id, func(_ *Index, e *Entry) error {
		e.Gate = g
		if !g.Passed && e.State != Promoted {
			e.move(Rejected, g.Reason)
		}
		return nil
	})
}

func (r *Registry) edit(id ID, f func(x *Index, e *Entry) error) error {
	return r.change(func(x *Index) error {
		e, err := x.get(id)
		if err != nil {
			return err
		}
		return f(x, e)
	})
}

// serve makes e the serving version of the index.
func (x *Index) serve(e *Entry, reason string) {
	if old := x.ref(x.ServingName()); old != nil {
		old.move(Retired, "replaced by "+e.ID.String())
	}
	x.Before = append(x.Before, x.ServingName())
	x.Before = x.Before[max(len(x.Before)-maxBefore, 0):]
	x.Serving = e.ID.String()
	e.move(Promoted, reason)
}

// use loads a version's checkpoint, with every check, and gives it to use, or
// lets it go again.
func (r *Registry) use(e *Entry, use Use) error {
	net, card, err := r.load(e)
	if err != nil {
		return err
	}
	if use == nil {
		return net.Close()
	}
	return use(net, card)
}
