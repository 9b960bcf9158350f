// Package registry keeps the versions of a room's model below the state folder:
//
//	registry.json                    which there are, what became of each, which one serves
//	models/<name>/<version>/         a checkpoint: card.json, its weights, perhaps its signature
//	registry.lock                    held by who changes any of it
//
// registry.json is replaced in one step and is the only truth. A version's
// folder is complete and on the disk before registry.json names it, and never
// changes after, so that a kill at any moment leaves a whole registry and whole,
// verified models. What a killed process left half done is taken away by the
// next who adds.
package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"posefuse/internal/jsonfile"
	"posefuse/model"
)

// Names below the state folder.
const (
	indexFile = "registry.json"
	modelsDir = "models"
	lockFile  = "registry.lock"
	// incoming starts the name of a version's folder until it is complete.
	incoming = ".incoming-"
)

// Shipped stands for the model inside the program where a version would be.
const Shipped = "shipped"

// maxBefore is how many versions that served earlier are remembered.
const maxBefore = 32

// Errors that callers tell apart.
var (
	// ErrUnknown is wrapped when a version is not in the registry.
	ErrUnknown = errors.New("is not in the registry")
	// ErrExists is wrapped when a version is there already.
	ErrExists = errors.New("is in the registry already")
	// ErrNothingBefore is wrapped when there is no version to go back to.
	ErrNothingBefore = errors.New("no other model has served before")
)

// Registry is the registry of a state folder. It may be used by several
// goroutines and processes at once.
type Registry struct {
	dir  string // the state folder
	keys Keys
}

// Open returns the registry of a state folder, which need not exist. Models must
// be signed with one of the keys, if there are any. It does no I/O.
func Open(stateDir string, keys Keys) *Registry { return &Registry{stateDir, keys} }

// Dir returns the folder of a version's checkpoint.
func (r *Registry) Dir(id ID) string {
	return filepath.Join(r.dir, modelsDir, id.Name, id.Version)
}

// Index reads which versions there are. Without a registry it is empty.
func (r *Registry) Index() (*Index, error) {
	path := filepath.Join(r.dir, indexFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Index{Schema: indexSchema}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("model registry: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	x, err := readIndex(f)
	if err != nil {
		return nil, fmt.Errorf("model registry %s: %w", path, err)
	}
	return x, nil
}

// Load reads a version's checkpoint and checks all of it: the signature if keys
// are trusted, card and weights against what the registry noted when it was
// added, and what model.LoadCheckpoint checks. The network is frozen.
func (r *Registry) Load(id ID) (*model.Network, model.Card, error) {
	e, err := r.Entry(id)
	if err != nil {
		return nil, model.Card{}, err
	}
	return r.load(e)
}

// Entry returns what is known of a version.
func (r *Registry) Entry(id ID) (*Entry, error) {
	x, err := r.Index()
	if err != nil {
		return nil, err
	}
	if e := x.find(id); e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("model %s %w of %s", id, ErrUnknown, r.dir)
}

// load reads and checks the checkpoint of an entry.
func (r *Registry) load(e *Entry) (*model.Network, model.Card, error) {
	dir := r.Dir(e.ID)
	fail := func(err error) (*model.Network, model.Card, error) {
		return nil, model.Card{}, fmt.Errorf("model %s: %w", e.ID, err)
	}
	if err := r.keys.Verify(dir); err != nil {
		return fail(err)
	}
	sum, err := hashFile(filepath.Join(dir, model.CardFile))
	if err != nil {
		return fail(err)
	}
	if sum != e.CardSHA256 {
		return fail(fmt.Errorf("%s was changed after it was added: sha256 is %s, the registry says %s; add the model anew as another version", filepath.Join(dir, model.CardFile), sum, e.CardSHA256))
	}
	net, card, err := model.LoadCheckpoint(dir)
	if err != nil {
		return fail(err)
	}
	return net, card, nil
}

// Serving loads the model that serves: the promoted version, or where that
// cannot be used the newest that served before it and can. Without any it
// returns nil: the model inside the program serves. The problems say what could
// not be used, with the reason.
func (r *Registry) Serving() (net *model.Network, card model.Card, problems []error) {
	x, err := r.Index()
	if err != nil {
		return nil, card, []error{err}
	}
	for _, ref := range x.chain() {
		if ref == Shipped {
			break
		}
		e := x.ref(ref)
		if e == nil {
			problems = append(problems, fmt.Errorf("model %s %w: its entry is gone", ref, ErrUnknown))
			continue
		}
		if e.State == Rejected {
			continue
		}
		if net, card, err = r.load(e); err == nil {
			return net, card, problems
		}
		problems = append(problems, err)
	}
	return nil, model.Card{}, problems
}

// change makes a change of the index under the lock.
func (r *Registry) change(f func(x *Index) error) error {
	unlock, err := lock(filepath.Join(r.dir, lockFile))
	if err != nil {
		return fmt.Errorf("model registry: %w", err)
	}
	defer unlock()
	x, err := r.Index()
	if err != nil {
		return err
	}
	if err := f(x); err != nil {
		return err
	}
	if err := x.check(); err != nil {
		return fmt.Errorf("model registry: %w", err)
	}
	if err := jsonfile.Write(filepath.Join(r.dir, indexFile), x); err != nil {
		return fmt.Errorf("model registry: %w: nothing was changed", err)
	}
	return syncDir(r.dir)
}

// now is the time of a change as the index writes it.
func now() string { return time.Now().UTC().Format(time.RFC3339) }
