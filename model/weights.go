package model

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"unsafe"

	"posefuse/model/nn"
	"posefuse/model/safetensors"
)

// mappedFrom is the size from which a tensor stays in the mapped file, bytes.
// Smaller ones are copied: inference reads them at every tick, whereas large
// ones are read once, when their packed form is made. So nothing is read from
// the file while the network runs, and a file cut short behind the daemon's
// back does no harm.
const mappedFrom = 1 << 20

// mapping is the content of a weights file: mapped, or in memory.
type mapping struct {
	data   []byte
	mapped bool
}

// weightSet is the verified content of one weights file as a frozen store. All
// networks loaded from equal files with equal configurations share it.
type weightSet struct {
	key   string
	file  *mapping
	store *nn.Store[float32]
	owner map[string]int
	heap  int64 // bytes of tensors in memory of their own
	inMap int64 // bytes of tensors in the file's mapping

	building sync.Mutex // held while layers take their tensors from the store
	refs     int        // guarded by openWeights
}

// openWeights holds the weight sets in use, by hash and configuration.
var openWeights = struct {
	sync.Mutex
	byKey map[string]*weightSet
}{byKey: map[string]*weightSet{}}

// weightKey names a weight set.
func weightKey(sum string, c Config) (string, error) {
	j, err := json.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("configuration: %w", err)
	}
	return sum + " " + string(j), nil
}

// shareWeights returns the set in use with w's key, after closing w, or w
// itself. The caller owns one reference.
func shareWeights(w *weightSet) (*weightSet, error) {
	openWeights.Lock()
	have := openWeights.byKey[w.key]
	if have == nil {
		have = w
		openWeights.byKey[w.key] = w
	}
	have.refs++
	openWeights.Unlock()
	if have == w {
		return w, nil
	}
	return have, w.file.close()
}

// retain takes a reference, unless the last one was given back.
func (w *weightSet) retain() bool {
	openWeights.Lock()
	defer openWeights.Unlock()
	if w.refs == 0 {
		return false
	}
	w.refs++
	return true
}

// drop gives one reference back; the last one closes the file.
func (w *weightSet) drop() error {
	openWeights.Lock()
	w.refs--
	last := w.refs == 0
	if last {
		delete(openWeights.byKey, w.key)
	}
	openWeights.Unlock()
	if !last {
		return nil
	}
	for _, t := range w.store.All {
		t.Value = nil // whoever still reads them shall see it, not crash
	}
	return w.file.close()
}

// readWeightFile brings an opened weights file into memory.
func readWeightFile(f fs.File) (*mapping, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case !st.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case st.Size() > safetensors.MaxBytes:
		return nil, fmt.Errorf("has %d bytes, at most %d are read: is it a weights file?", st.Size(), safetensors.MaxBytes)
	case st.Size() < 8:
		return nil, fmt.Errorf("has %d bytes, too few for a header: copy it again", st.Size())
	}
	if osFile, ok := f.(*os.File); ok {
		return readWeights(osFile, st.Size())
	}
	b := make([]byte, st.Size())
	if _, err := io.ReadFull(f, b); err != nil {
		return nil, err
	}
	return &mapping{data: b}, nil
}

// guarded runs f and turns a fault on the mapped file, whose cause is that the
// file was cut short meanwhile or its disk fails, into an error.
func guarded(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if fault, ok := r.(interface{ Addr() uintptr }); ok {
			err = fmt.Errorf("unreadable at address %#x: the file was cut short while it was read, or its disk fails; replace files by renaming only", fault.Addr())
			return
		}
		panic(r)
	}()
	return f()
}

// newWeightSet checks the decoded tensors against those of the configuration
// and makes a frozen store of them.
func newWeightSet(file *mapping, have map[string]safetensors.Tensor, cfg Config, plan *layout) (*weightSet, error) {
	if err := plan.compare(have); err != nil {
		return nil, err
	}
	w := &weightSet{file: file}
	values := make(map[string][]float32, len(plan.tensors))
	for _, t := range plan.tensors {
		data := have[t.name].Data
		v, aliased := floats(data)
		if aliased && file.mapped && len(data) < mappedFrom {
			v = append(make([]float32, 0, len(v)), v...)
		}
		if aliased && file.mapped && len(data) >= mappedFrom {
			w.inMap += int64(len(data))
		} else {
			w.heap += int64(len(data))
		}
		if err := checkValues(t.name, v); err != nil {
			return nil, err
		}
		values[t.name] = v
	}
	w.store = nn.NewFilledStore(true, func(t *nn.Tensor[float32]) []float32 { return values[t.Name] })
	inst, err := newInstance(cfg, w.store, &nn.Context{})
	if err != nil {
		return nil, fmt.Errorf("model configuration: %w", err)
	}
	w.owner = owners(inst)
	return w, nil
}

// floats reads little-endian float32 values in place where the machine and the
// alignment allow it, else it copies them.
func floats(b []byte) (v []float32, aliased bool) {
	if len(b) == 0 {
		return []float32{}, false
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if littleEndian && uintptr(p)%unsafe.Alignof(float32(0)) == 0 {
		return unsafe.Slice((*float32)(p), len(b)/4), true
	}
	v = make([]float32, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v, false
}

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// finite reports whether a value is a number and not infinite. Both leave NaN of
// the difference.
func finite[T nn.Float](v T) bool { return v-v == 0 }

// checkValues refuses the first value that no network has.
func checkValues(name string, v []float32) error {
	variance := strings.HasSuffix(name, ".running_var")
	for i, x := range v {
		if !finite(x) {
			return fmt.Errorf("weights: tensor %q holds %v at index %d: the training diverged; use another checkpoint", name, x, i)
		}
		if variance && x < 0 {
			return fmt.Errorf("weights: tensor %q holds a negative variance %v at index %d: use another checkpoint", name, x, i)
		}
	}
	return nil
}
