package sensors

import (
	"fmt"
	"slices"
	"strings"
)

// Driver makes sources of one kind.
type Driver struct {
	Name     string   // as in the configuration, e.g. "lidar-udp"
	Modality Modality // of the samples it makes
	Summary  string   // one line for help and documentation
	// New makes a source for the sensor called sensor. decode fills the
	// driver's own settings struct from the configuration and rejects unknown
	// keys; New sets defaults in the struct before it calls decode. New opens
	// nothing: devices and ports belong to Source.Run.
	New func(sensor string, decode func(settings any) error) (Source, error)
}

// Registry holds drivers by name. Fill it at start; it is not safe to register
// while others look up.
type Registry struct{ drivers map[string]Driver }

// NewRegistry returns a registry of the given drivers.
func NewRegistry(drivers ...Driver) *Registry {
	r := &Registry{drivers: make(map[string]Driver, len(drivers))}
	for _, d := range drivers {
		r.Register(d)
	}
	return r
}

// Register adds a driver. It panics on an incomplete driver and on a name that
// is taken, since both are mistakes of the programmer.
func (r *Registry) Register(d Driver) {
	switch {
	case d.Name == "" || strings.TrimSpace(d.Name) != d.Name:
		panic(fmt.Sprintf("sensors: driver name %q is empty or has spaces around it", d.Name))
	case d.Summary == "":
		panic(fmt.Sprintf("sensors: driver %q has no summary", d.Name))
	case int(d.Modality) >= NumModalities:
		panic(fmt.Sprintf("sensors: driver %q has the unknown %v", d.Name, d.Modality))
	case d.New == nil:
		panic(fmt.Sprintf("sensors: driver %q has no constructor", d.Name))
	}
	if _, taken := r.drivers[d.Name]; taken {
		panic(fmt.Sprintf("sensors: driver %q is registered twice", d.Name))
	}
	r.drivers[d.Name] = d
}

// Lookup returns the driver called name; the error lists the names there are.
func (r *Registry) Lookup(name string) (Driver, error) {
	if d, ok := r.drivers[name]; ok {
		return d, nil
	}
	return Driver{}, fmt.Errorf("unknown driver %q; there are %s", name, strings.Join(r.Names(), ", "))
}

// Names returns the registered names, sorted.
func (r *Registry) Names() []string {
	names := make([]string, 0, len(r.drivers))
	for n := range r.drivers {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
