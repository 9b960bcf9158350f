package capture

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Outcomes of datagrams of further senders.
const (
	OutcomeOtherSender = "other_sender" // not the one that was chosen
	OutcomeSenderLimit = "sender_limit" // of one sender more than are told apart
)

// maxFlows bounds how many senders are told apart at once, so that a capture of
// a whole network costs no more memory than one of sixteen sensors.
const maxFlows = 16

// flowIdle is how long a sender must have been silent before its address may go
// on from another port: a sensor that was switched off and on.
const flowIdle = 2 * time.Second

// flows gives each sender of a packet capture a decoder of its own, so that the
// sweeps and clocks of two sensors never mix. A sender is an address and a port,
// since two sensors may come through one relay; it is called by its address
// alone unless another of that address gives frames, too.
type flows struct {
	format *Format
	o      *Options
	out    *Output
	open   []*flow
	spare  DatagramDecoder // the first decoder, made before anything was heard
	into   *flow           // where what the spare one says goes
	owners int             // that gave frames
	notes  map[string]map[string]any
	mute   map[string]uint64 // senders of which everything was refused
}

// flow is what one sender sends.
type flow struct {
	from    netip.AddrPort
	name    string // "" until its first frame
	decoder DatagramDecoder
	heard   time.Time
	all     uint64 // its datagrams
	frames  uint64
	kept    bool // of which some are wanted
	packets uint64
	counts  map[string]uint64
	notes   map[string]any
}

// newFlows makes the first decoder: what is wrong with the metadata shows
// although no datagram may come.
func newFlows(format *Format, o *Options, out *Output) (*flows, error) {
	f := &flows{format: format, o: o, out: out, notes: map[string]map[string]any{}, mute: map[string]uint64{}}
	f.into = f.newFlow()
	var err error
	f.spare, err = format.Datagrams(o, f.output(f.into))
	return f, err
}

func (f *flows) newFlow() *flow { return &flow{counts: map[string]uint64{}, notes: map[string]any{}} }

// output keeps what a decoder says until its sender is known to be wanted.
func (f *flows) output(x *flow) *Output {
	return &Output{
		Emit: func(r *Record) {
			if x.name == "" {
				x.name = f.nameOf(x)
				f.owners++
			}
			x.frames++
			if r.Sender == "" {
				r.Sender = x.name
			}
			x.kept = x.kept || f.o.wants(r)
			f.out.Emit(r)
		},
		Count:   func(reason string, n uint64) { x.counts[reason] += n },
		Packets: func(n uint64) { x.packets += n },
		Note:    func(key string, value any) { x.notes[key] = value },
	}
}

// nameOf calls a sender by its address, or with the port if that is taken.
func (f *flows) nameOf(x *flow) string {
	name := x.from.Addr().String()
	for _, y := range f.open {
		if y.name == name {
			return x.from.String()
		}
	}
	return name
}

// add takes a datagram.
func (f *flows) add(g *Datagram) error {
	x, err := f.find(g)
	if err != nil {
		return err
	}
	if x == nil {
		f.out.Count(OutcomeSenderLimit, 1)
		return nil
	}
	x.heard = g.Time
	x.all++
	x.decoder.Datagram(g)
	return nil
}

// find returns the flow of a datagram, nil if there are too many.
func (f *flows) find(g *Datagram) (*flow, error) {
	from := netip.AddrPortFrom(g.From.Addr().Unmap(), g.From.Port())
	var again *flow
	for _, x := range f.open {
		if x.from == from {
			return x, nil
		}
		if x.from.Addr() == from.Addr() && x.frames > 0 && g.Time.Sub(x.heard) > flowIdle {
			again = x
		}
	}
	if again != nil {
		again.from = from
		return again, nil
	}
	if len(f.open) >= maxFlows && !f.evict() {
		return nil, nil //nolint:nilnil // no flow is no error
	}
	x, decoder := f.into, f.spare
	if f.spare = nil; decoder == nil {
		x = f.newFlow()
		var err error
		if decoder, err = f.format.Datagrams(f.o, f.output(x)); err != nil {
			return nil, err
		}
	}
	x.from, x.decoder = from, decoder
	f.open = append(f.open, x)
	return x, nil
}

// evict ends the flow that gave no frame and has been silent for longest.
func (f *flows) evict() bool {
	oldest := -1
	for i, x := range f.open {
		if x.frames == 0 && (oldest < 0 || x.heard.Before(f.open[oldest].heard)) {
			oldest = i
		}
	}
	if oldest < 0 {
		return false
	}
	x := f.open[oldest]
	x.decoder.Finish()
	f.settle(x)
	f.open = slices.Delete(f.open, oldest, oldest+1)
	return true
}

// finish ends every flow and tells what was counted.
func (f *flows) finish() {
	if f.spare != nil { // nothing was heard
		f.spare.Finish()
		f.settle(f.into)
	}
	for _, x := range f.open {
		x.decoder.Finish()
	}
	for _, x := range f.open {
		f.settle(x)
	}
	if f.owners > 0 && len(f.mute) > 0 {
		f.out.Note("senders_of_nothing_decoded", f.mute)
	}
	for owner, notes := range f.notes {
		if len(f.notes) > 1 {
			f.out.Note(owner, notes)
			continue
		}
		for key, value := range notes {
			f.out.Note(key, value)
		}
	}
}

// settle adds up a flow that has ended.
func (f *flows) settle(x *flow) {
	switch address := x.from.Addr().String(); {
	case f.o.Sender == "" || x.kept:
	case x.frames > 0: // each was counted
		return
	case f.o.Sender != address && f.o.Sender != x.from.String():
		f.out.Count(OutcomeOtherSender, x.all)
		return
	}
	f.out.Packets(x.packets)
	refused := uint64(0)
	for reason, n := range x.counts {
		f.out.Count(reason, n)
		refused += n
	}
	if x.frames == 0 && refused > 0 && x.from.IsValid() {
		f.mute[x.from.String()] += refused
	}
	if len(x.notes) == 0 {
		return
	}
	owner := f.ownerOf(x)
	if f.notes[owner] == nil {
		f.notes[owner] = map[string]any{}
	}
	maps.Copy(f.notes[owner], x.notes)
}

// ownerOf returns whose notes those of a flow are: a sensor may send its
// inertial data from another port.
func (f *flows) ownerOf(x *flow) string {
	if x.name != "" {
		return x.name
	}
	for _, y := range f.open {
		if y.name != "" && y.from.Addr() == x.from.Addr() {
			return y.name
		}
	}
	return x.from.Addr().String()
}

// wants reports whether a record is of the chosen sender.
func (o *Options) wants(r *Record) bool {
	return o.Sender == "" || strings.EqualFold(o.Sender, r.Sender)
}

// maxHeard bounds how many senders an error names.
const maxHeard = 16

// choice lets the records of the chosen sender through.
type choice struct {
	o     *Options
	out   *Output
	heard []string // the others
	found bool
}

func (c *choice) emit(r *Record) {
	if c.o.wants(r) {
		c.found = true
		c.out.Emit(r)
		return
	}
	c.out.Count(OutcomeOtherSender, 1)
	if r.Sender != "" && len(c.heard) < maxHeard && !slices.Contains(c.heard, r.Sender) {
		c.heard = append(c.heard, r.Sender)
	}
}

// check says which senders there are if the chosen one is not among them.
func (c *choice) check() error {
	switch {
	case c.o.Sender == "" || c.found:
		return nil
	case len(c.heard) == 0:
		return fmt.Errorf("%w: no frame names its sender", ErrNoSender)
	}
	return fmt.Errorf("%w: the frames are of %s", ErrNoSender, strings.Join(c.heard, ", "))
}

// ErrNoSender says that the chosen sender is not in the file.
var ErrNoSender = errors.New("nothing of this sender is in the file")
