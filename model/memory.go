package model

import (
	"cmp"
	"reflect"
	"slices"
)

// Memory says where a network's numbers lie, bytes.
type Memory struct {
	Mapped    int64 // weights in the file's mapping: pages the system may drop and read again
	Heap      int64 // weights and running statistics in memory of their own
	Gradients int64 // of a network that can be trained
	Packed    int64 // weights as inference reads them, shared by the runtimes of a frozen network
}

// Memory returns what the network holds. The runtimes of a network that is not
// frozen have packed weights of their own, see Runtime.Memory.
func (n *Network) Memory() Memory {
	n.building.Lock()
	defer n.building.Unlock()
	var m Memory
	var found arrays
	for _, t := range n.store.All {
		m.Heap += 4 * int64(len(t.Value))
		m.Gradients += 4 * int64(len(t.Grad))
		t.Shared(func(v any) { m.Packed += found.add(reflect.ValueOf(v)) })
	}
	if n.weights != nil {
		m.Mapped = n.weights.inMap
		m.Heap -= m.Mapped
	}
	return m
}

// Memory returns the bytes of the runtime's own buffers: activations and, if
// its network is not frozen, packed weights. Buffers grow with the batch.
func (r *Runtime) Memory() int64 {
	r.net.building.Lock()
	defer r.net.building.Unlock()
	var found arrays
	found.add(reflect.ValueOf(r.net.store.All)) // not the runtime's
	return found.add(reflect.ValueOf(r.inst)) + found.add(reflect.ValueOf(r.stream))
}

// arrays are the arrays found so far.
type arrays struct {
	seen  map[place]bool // pointers and slices followed
	spans []span         // disjoint, in order
	bytes int64          // of all spans
}

type place struct {
	at uintptr
	of reflect.Type
}

type span struct{ from, to uintptr }

// add takes in the arrays that v reaches and returns by how much the bytes of
// all grew. Arrays that lie in others count once.
func (a *arrays) add(v reflect.Value) (more int64) {
	if a.seen == nil {
		a.seen = map[place]bool{}
	}
	a.follow(v)
	slices.SortFunc(a.spans, func(x, y span) int { return cmp.Compare(x.from, y.from) })
	before, n := a.bytes, 0
	a.bytes = 0
	for _, s := range a.spans {
		if n > 0 && s.from <= a.spans[n-1].to {
			last := &a.spans[n-1]
			last.to = max(last.to, s.to)
			continue
		}
		a.spans[n] = s
		n++
	}
	a.spans = a.spans[:n]
	for _, s := range a.spans {
		a.bytes += int64(s.to - s.from)
	}
	return a.bytes - before
}

// first tells whether v, a pointer or a slice, is new.
func (a *arrays) first(v reflect.Value) bool {
	p := place{v.Pointer(), v.Type()}
	known := a.seen[p]
	a.seen[p] = true
	return !known
}

func (a *arrays) follow(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && a.first(v) {
			a.follow(v.Elem())
		}
	case reflect.Interface:
		if !v.IsNil() {
			a.follow(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			a.follow(v.Field(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			a.follow(v.Index(i))
		}
	case reflect.Map:
		for i := v.MapRange(); i.Next(); {
			a.follow(i.Value())
		}
	case reflect.Slice:
		size := uintptr(v.Cap()) * v.Type().Elem().Size()
		if size == 0 {
			return
		}
		a.spans = append(a.spans, span{v.Pointer(), v.Pointer() + size})
		switch v.Type().Elem().Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Struct, reflect.Slice, reflect.Array:
			for i := 0; i < v.Len() && (i > 0 || a.first(v)); i++ {
				a.follow(v.Index(i))
			}
		}
	}
}
