package pipeline

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"posefuse/audit"
	"posefuse/message"
)

// liveKeys are those that a reload applies by itself, in this order; parts add
// theirs with OnReload. For the others the daemon must be started again.
var liveKeys = []string{"bus.users", "bus.max_connections_per_address", "audit.keep_days", "audit.max_mib", "log.level", "log.format"}

// Reloadable is a part of the daemon whose settings a reload changes.
type Reloadable struct {
	Keys []string // that it takes over
	// Prepare makes ready for the next configuration and changes nothing, so that it
	// may fail; apply takes over, nil if nothing is to do.
	Prepare func(next *Config) (apply func(), err error)
	// Waiting returns those of Keys that cannot be taken over from the next
	// configuration without a restart; nil: all can.
	Waiting func(next *Config) []string
}

// OnReload adds a part. Parts take over in the order in which they were added,
// after the daemon's own keys.
func (c *Core) OnReload(part Reloadable) {
	c.reloads.mu.Lock()
	defer c.reloads.mu.Unlock()
	c.reloads.parts = append(c.reloads.parts, part)
}

// reloads is what became of the configuration since the start.
type reloads struct {
	mu       sync.Mutex
	running  Config   // in force
	waiting  []string // keys whose value in the file waits for a restart
	times    uint64
	refusals uint64
	refused  string // why the newest file cannot be used; the one before it runs on
	parts    []Reloadable
}

// Reload reads the configuration again, in this order: it is read and checked
// whole, the certificates too, each part makes ready for it, and new ports are
// opened; then what can be changed while running is, in one step each: certificates,
// users, audit log, log, page and Foxglove, the parts. What is wrong anywhere leaves
// everything as it is. It returns the keys that it applies and those that wait for a
// restart.
func (c *Core) Reload() (applied, waiting []string, err error) {
	if c.opt.Reload == nil {
		return nil, nil, errors.New("the daemon runs without a configuration file; there is nothing to read again")
	}
	r := &c.reloads
	r.mu.Lock()
	defer r.mu.Unlock()
	next, err := c.opt.Reload()
	if err == nil {
		err = errors.Join(next.Check(), next.Bus.CheckFiles())
	}
	b := c.bus.Load()
	if err == nil && !c.isReady() {
		err = errors.New("the daemon has not started yet; try again")
	}
	applied = slices.Concat(liveKeys, webKeys)
	var steps []func()
	var later []string
	for _, part := range r.parts {
		if err != nil {
			break
		}
		var step func()
		if step, err = part.Prepare(&next); step != nil {
			steps = append(steps, step)
		}
		applied = append(applied, part.Keys...)
		if part.Waiting != nil {
			later = append(later, part.Waiting(&next)...)
		}
	}
	var pages *pageChange
	if err == nil {
		pages, err = c.changePages(b, &r.running, &next)
	}
	if err == nil {
		err = b.Apply(&next.Bus)
	}
	if err != nil {
		pages.drop()
		r.refused = err.Error()
		r.refusals++
		c.audit.Load().Note(audit.Entry{Event: audit.Reloaded, What: "refused: " + r.refused})
		c.log.Error("the configuration cannot be used; the last good one runs on", "error", err)
		return nil, nil, fmt.Errorf("reload: %w; the last good configuration runs on", err)
	}
	later = append(later, pages.waiting...)
	different := differences(&r.running, &next)
	applied = slices.DeleteFunc(applied, func(key string) bool { return slices.Contains(later, key) && slices.Contains(different, key) })
	changed := slices.DeleteFunc(different, func(key string) bool { return !slices.Contains(applied, key) })
	if slices.ContainsFunc(changed, func(key string) bool { return strings.HasPrefix(key, "audit.") }) {
		c.audit.Load().Keep(next.Audit.MaxMiB, next.Audit.KeepDays)
	}
	if c.opt.SetLog != nil {
		c.opt.SetLog(next.Log)
	}
	pages.apply()
	for _, step := range steps {
		step()
	}
	takeOver(&r.running, &next, changed)
	what := "applied: " + cmp.Or(strings.Join(changed, ", "), "nothing new")
	c.audit.Load().Note(audit.Entry{Event: audit.Reloaded, What: what})
	r.refused, r.waiting = "", differences(&r.running, &next)
	r.times++
	c.log.Info("configuration read again", "changed", strings.Join(changed, " "), "waiting_for_a_restart", strings.Join(r.waiting, " "))
	return applied, slices.Clone(r.waiting), nil
}

// isReady reports whether Ready is closed.
func (c *Core) isReady() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// takeOver gives keys of a configuration the values that another has.
func takeOver(to, from *Config, keys []string) {
	values := map[string]reflect.Value{}
	walkKeys(reflect.ValueOf(from).Elem(), "", func(path string, v reflect.Value) { values[path] = v })
	walkKeys(reflect.ValueOf(to).Elem(), "", func(path string, v reflect.Value) {
		if slices.Contains(keys, path) {
			v.Set(values[path])
		}
	})
}

// Reloaded is the reply of ctl.reload.
type Reloaded struct {
	Applied []string `json:"applied"` // keys that are what the file says now
	Waiting []string `json:"waiting"` // keys that differ until the daemon is started again
}

// reloadControl answers ctl.reload.
func (c *Core) reloadControl([]byte) ([]byte, error) {
	applied, waiting, err := c.Reload()
	if err != nil {
		return nil, err
	}
	if waiting == nil {
		waiting = []string{}
	}
	return json.Marshal(Reloaded{Applied: applied, Waiting: waiting})
}

// differences returns the keys whose values differ.
func differences(a, b *Config) []string {
	values := map[string]any{}
	walkKeys(reflect.ValueOf(a).Elem(), "", func(path string, v reflect.Value) { values[path] = v.Interface() })
	var out []string
	walkKeys(reflect.ValueOf(b).Elem(), "", func(path string, v reflect.Value) {
		if !reflect.DeepEqual(values[path], v.Interface()) {
			out = append(out, path)
		}
	})
	return out
}

// counts returns how often a configuration was applied and refused.
func (r *reloads) counts() (applied, refused uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.times, r.refusals
}

// health is the part "configuration".
func (r *reloads) health() message.PartHealth {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := message.PartHealth{Part: "configuration", Code: "ok", Severity: severityOK, Text: "as at the start"}
	if r.times > 0 {
		p.Text = fmt.Sprintf("read again %d times; running is what the file says", r.times)
	}
	if len(r.waiting) > 0 {
		p.Code, p.Severity = "differs", severityWarning
		p.Text = fmt.Sprintf("running differs from the file in %s: start the daemon again to apply them", strings.Join(r.waiting, ", "))
	}
	if r.refused != "" {
		p.Code, p.Severity = "refused", severityWarning
		p.Text = "the changed file cannot be used, the last good configuration runs on: " + r.refused
	}
	return p
}
