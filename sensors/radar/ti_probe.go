package radar

import "bytes"

// probeFrames is how many frames in a row must agree on a layout.
const probeFrames = 3

// probeAgain is how many refusals in a row make a layout that was found doubtful,
// for another firmware may have started on the open port.
const probeAgain = 3

// probeOrder lists the layouts from the most to the least common.
var probeOrder = []Layout{Layout40, Layout36, Layout48, Layout52}

// probe finds out the layout of a stream.
type probe struct {
	held     []heldFrame // whole frames that wait for a decision
	open     layoutSet   // layouts that all frames so far fit, if they fit several; 0 before
	before   Layout      // that was found before it became doubtful
	refusals int         // in a row
}

type heldFrame struct {
	raw     []byte
	magicNS int64
	fits    layoutSet
}

// layoutSet is a set of layouts, bit l for layout l.
type layoutSet uint8

func (s layoutSet) has(l Layout) bool { return s&(1<<l) != 0 }

// single returns the only layout of the set.
func (s layoutSet) single() (Layout, bool) { return s.first(), s != 0 && s&(s-1) == 0 }

// first returns the most common layout of the set.
func (s layoutSet) first() Layout {
	for _, l := range probeOrder {
		if s.has(l) {
			return l
		}
	}
	return LayoutAuto
}

// refuse counts a refusal.
func (d *Decoder) refuse(r Reason) {
	d.reject(r)
	d.probe.refusals++
	if d.auto && d.layout != LayoutAuto && d.probe.refusals >= probeAgain {
		d.probe = probe{before: d.layout}
		d.layout = LayoutAuto
	}
}

// finish takes a whole raw frame.
func (d *Decoder) finish(raw []byte) {
	if d.layout == LayoutAuto {
		d.find(raw)
		return
	}
	d.decode(d.layout, raw, d.magicNS)
}

// decode emits a frame or refuses it.
func (d *Decoder) decode(l Layout, raw []byte, magicNS int64) {
	f, r := d.store.parse(l, raw)
	if r != "" {
		d.junk += uint64(len(raw))
		d.refuse(r)
		return
	}
	d.probe.refusals = 0
	f.MagicNS = magicNS
	d.emit(f)
}

// fitting returns the layouts that a frame fits; if none, the most telling
// reason.
func (d *Decoder) fitting(raw []byte) (layoutSet, Reason) {
	var set layoutSet
	reason := BadTLV
	for _, l := range probeOrder {
		_, r := d.store.parse(l, raw)
		switch r {
		case "":
			set |= 1 << l
		case UnsupportedLayout, PointCount, BadValue:
			reason = r // the structure fitted: more telling than a bad length
		case BadLength, CutFrame, BadChecksum, BadTLV:
		}
	}
	return set, reason
}

// find holds frames back until three in a row agree on one layout. Those of an
// empty room may fit several: they say the same in each and are emitted, while
// the question stays open.
func (d *Decoder) find(raw []byte) {
	fits, reason := d.fitting(raw)
	p := &d.probe
	switch {
	case fits == 0:
		d.junk += uint64(len(raw))
		d.refuse(reason)
		return
	case p.before != LayoutAuto && fits.has(p.before):
		// The refusals were damage, or strays of another stream.
		for _, h := range p.held {
			d.junk += uint64(len(h.raw))
			d.reject(UnsupportedLayout)
		}
		d.settle(p.before)
		d.finish(raw)
		return
	case fits&p.open != 0:
		p.open &= fits
		d.decided(raw)
		return
	}
	p.open = 0
	p.held = append(p.held, heldFrame{raw: bytes.Clone(raw), magicNS: d.magicNS, fits: fits})
	if len(p.held) < probeFrames {
		return
	}
	d.agree()
}

// agree ends the wait of the held frames if they have a layout in common.
func (d *Decoder) agree() {
	p := &d.probe
	common := p.held[0].fits
	for _, h := range p.held[1:] {
		common &= h.fits
	}
	if common == 0 {
		// The oldest is the stray one.
		d.junk += uint64(len(p.held[0].raw))
		p.held = p.held[1:]
		d.refuse(UnsupportedLayout)
		return
	}
	held := p.held
	p.held, p.open = nil, common
	for _, h := range held {
		if d.layout == LayoutAuto {
			d.magicNS = h.magicNS
			d.decided(h.raw)
			continue
		}
		d.decode(d.layout, h.raw, h.magicNS)
	}
}

// End says that the stream is over: what the probe still holds back is decided
// from the frames at hand.
func (d *Decoder) End(nowNS int64) {
	d.Flush(nowNS)
	for len(d.probe.held) > 0 {
		d.agree()
	}
}

// decided emits a frame that fits every layout that is still open, and ends the
// question if one is left or the frame is not empty.
func (d *Decoder) decided(raw []byte) {
	l := d.probe.open.first()
	only, ok := d.probe.open.single()
	if ok {
		l = only
	} else if f, r := d.store.parse(l, raw); r == "" && len(f.Points) > 0 {
		ok = true
	}
	if ok {
		d.settle(l)
	}
	d.decode(l, raw, d.magicNS)
}

// settle ends the probe.
func (d *Decoder) settle(l Layout) {
	d.layout = l
	d.probe = probe{}
}
