package model

import "reflect"

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
	seen := map[uintptr]bool{}
	for _, t := range n.store.All {
		m.Heap += 4 * int64(len(t.Value))
		m.Gradients += 4 * int64(len(t.Grad))
		t.Shared(func(v any) { m.Packed += reachable(reflect.ValueOf(v), seen) })
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
	seen := map[uintptr]bool{}
	for _, t := range r.net.store.All {
		reachable(reflect.ValueOf(t), seen) // not the runtime's
	}
	return reachable(reflect.ValueOf(r.inst), seen) + reachable(reflect.ValueOf(r.stream), seen)
}

// reachable sums up the arrays that v reaches and that seen does not hold yet.
func reachable(v reflect.Value, seen map[uintptr]bool) (sum int64) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] {
			return 0
		}
		seen[v.Pointer()] = true
		return reachable(v.Elem(), seen)
	case reflect.Interface:
		if !v.IsNil() {
			return reachable(v.Elem(), seen)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			sum += reachable(v.Field(i), seen)
		}
	case reflect.Array:
		for i := range v.Len() {
			sum += reachable(v.Index(i), seen)
		}
	case reflect.Map:
		for i := v.MapRange(); i.Next(); {
			sum += reachable(i.Value(), seen)
		}
	case reflect.Slice:
		if v.Cap() == 0 || seen[v.Pointer()] {
			return 0
		}
		seen[v.Pointer()] = true
		sum = int64(v.Cap()) * int64(v.Type().Elem().Size())
		switch v.Type().Elem().Kind() {
		case reflect.Pointer, reflect.Interface, reflect.Struct, reflect.Slice, reflect.Array:
			for i := range v.Len() {
				sum += reachable(v.Index(i), seen)
			}
		}
	}
	return sum
}
