package train

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Method keeps one modality from stifling the others while a network trains.
// The loop calls it; it reads the session and changes gradients, loss weights
// or the next epoch's samples. None adds a parameter that is learned.
type Method interface {
	// Descriptor returns the method's row of the table.
	Descriptor() *MethodDescriptor
	// Settings returns the constants as a value for JSON; they must be the same
	// when training is resumed.
	Settings() any
	// StartEpoch runs before the first batch of each epoch.
	StartEpoch(s *Session) error
	// AfterBackward runs between a batch's backward pass and the optimiser's
	// step and may change the gradients.
	AfterBackward(s *Session) error
	// EndEpoch runs after the last batch of each epoch.
	EndEpoch(s *Session) error
	// State returns what must survive between epochs when training resumes
	// from a checkpoint, and Resume takes it back.
	State() (json.RawMessage, error)
	Resume(json.RawMessage) error
}

// stateless is embedded by methods that carry nothing over an epoch's end and
// do nothing at one.
type stateless struct{}

func (stateless) StartEpoch(*Session) error       { return nil }
func (stateless) EndEpoch(*Session) error         { return nil }
func (stateless) State() (json.RawMessage, error) { return nil, nil }
func (stateless) Resume(json.RawMessage) error    { return nil }

// MethodDescriptor is all that the house knows of a method beside its code:
// the training, the experiments, the reports and the command line range over
// the table of these.
type MethodDescriptor struct {
	Name   string // in files and options
	Label  string // in tables and figures
	Doc    string // what it does to a step
	Source string // where it is from
	// Constants are those it reads, also where it shares them with others. The
	// same cell with another value of one is another training.
	Constants []*Constant
	Tuned     Tuned
	Needs     Needs
	// Generation changes when the same settings would train otherwise than
	// before, so that old results are not taken for new ones. The first is 1.
	Generation int
	// New returns the method with its constants; nil trains plainly.
	New func(MethodSettings) Method
}

// Needs is what a method asks of the loop.
type Needs struct {
	Branches bool // losses of single modalities in the graph, see Session.SetLossWeights
	HeldOut  bool // validation data that nothing else is chosen by
}

// Tuned says what the coefficient of an experiment's trial is to a method.
// Methods without a constant of their own tune the weight decay, so that all
// get the same number of trials in the same number of dimensions.
type Tuned struct {
	Means string
	Set   func(set *MethodSettings, coefficient float64) // nil for the weight decay
}

// tunesWeightDecay is for methods without a constant of their own.
var tunesWeightDecay = Tuned{Means: "weight decay"}

// tunes is for methods whose one constant is tuned.
func tunes(c *Constant, means string) Tuned {
	return Tuned{means, func(set *MethodSettings, v float64) { set.Set(c, v) }}
}

// MethodTable is a list of methods.
type MethodTable []*MethodDescriptor

// Methods are the balancing methods, plain training first. A new one is a file
// of its own and a row here. Only tests change it.
var Methods = MethodTable{
	&plainMethod,
	&awcMethod,
	&ogmgeMethod,
	&agmMethod,
	&gblendingMethod,
	&modalityLevelMethod,
	&mmparetoMethod,
	&infoRegMethod,
	&slowStartMethod,
}

// Names lists the methods' names.
func (t MethodTable) Names() []string {
	var out []string
	for _, d := range t {
		out = append(out, d.Name)
	}
	return out
}

// Find returns the method of a name, nil if there is none.
func (t MethodTable) Find(name string) *MethodDescriptor {
	for _, d := range t {
		if d.Name == name {
			return d
		}
	}
	return nil
}

// Constants lists the constants of all methods, each once.
func (t MethodTable) Constants() []*Constant {
	var out []*Constant
	for _, d := range t {
		for _, c := range d.Constants {
			if !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// NewMethod returns the method of a name, nil for plain training. It refuses
// constants out of range, also those that the method does not read.
func NewMethod(name string, set MethodSettings) (Method, error) {
	for _, c := range Methods.Constants() {
		if err := c.check(set.value(c)); err != nil {
			return nil, err
		}
	}
	d := Methods.Find(cmp.Or(name, Plain))
	if d == nil {
		return nil, fmt.Errorf("balancing method %q: use one of %v", name, Methods.Names())
	}
	return d.New(set), nil
}
