package capture

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"time"
)

// Limits of the datagrams under assembly.
const (
	maxOpenDatagrams = 64
	maxDatagram      = 65535
	maxParts         = 8192             // of 8 bytes each, the least there can be
	fragmentTimeout  = 30 * time.Second // as RFC 1122 wants at least
	repeatWindow     = time.Second
)

// fragmentKey is what the fragments of one datagram have in common.
type fragmentKey struct {
	from, to netip.Addr
	id       uint16
}

// fragment is one part of a datagram.
type fragment struct {
	key  fragmentKey
	at   int // offset of data in the datagram
	data []byte
	last bool // nothing follows
}

// span is a stretch of a datagram that has come.
type span struct{ from, to int }

// partial is a datagram under assembly.
type partial struct {
	key   fragmentKey
	since time.Time
	data  []byte
	have  []span // ascending, apart from each other
	parts uint64
	size  int // -1 until the last part came
}

// whole is what is remembered of a datagram that became whole.
type whole struct {
	key fragmentKey
	at  time.Time
	sum uint64
}

// reassembly joins IPv4 fragments in bounded memory. A part that overlaps
// another one takes its datagram down, except a plain repetition, which is
// ignored.
type reassembly struct {
	count func(outcome string, n uint64)
	open  []*partial // oldest first
	spare []*partial // their buffers are used again
	out   *partial   // handed out by the last call
	done  [maxOpenDatagrams]whole
	next  int // place in done
	seed  maphash.Seed
}

// add takes a part that came at a time and returns the datagram it completes,
// valid until the next call; else nil, and the part counts as fragment.
func (r *reassembly) add(now time.Time, f fragment) []byte {
	r.release()
	r.expire(now)
	end := f.at + len(f.data)
	if end > maxDatagram || len(f.data) == 0 || !f.last && len(f.data)%8 != 0 {
		r.count(OutcomeLostFragment, 1)
		return nil
	}
	p := r.find(now, f.key)
	repeated, fits := p.place(f.at, end, f.last)
	if repeated {
		r.count(OutcomeFragment, 1)
		return nil
	}
	p.parts++
	if !fits || p.parts > maxParts {
		r.drop(slices.Index(r.open, p))
		return nil
	}
	if len(p.data) < end {
		p.data = slices.Grow(p.data, end-len(p.data))[:end]
	}
	copy(p.data[f.at:], f.data)
	if p.size < 0 || len(p.have) != 1 || p.have[0] != (span{0, p.size}) {
		return nil // counted when the datagram ends, one way or the other
	}
	return r.complete(now, p)
}

// complete ends a datagram that is whole. Of its parts one is the datagram.
func (r *reassembly) complete(now time.Time, p *partial) []byte {
	i := slices.Index(r.open, p)
	r.open = slices.Delete(r.open, i, i+1)
	r.out = p
	r.count(OutcomeFragment, p.parts-1)
	if r.seed == (maphash.Seed{}) {
		r.seed = maphash.MakeSeed()
	}
	sum := maphash.Bytes(r.seed, p.data)
	for i := range r.done {
		if d := &r.done[i]; d.key == p.key && d.sum == sum && now.Sub(d.at).Abs() < repeatWindow {
			r.count(OutcomeRepeated, 1)
			return nil
		}
	}
	r.done[r.next] = whole{p.key, now, sum}
	r.next = (r.next + 1) % len(r.done)
	return p.data
}

// place notes that a stretch has come. It reports whether that is known
// already, and whether it fits what is there.
func (p *partial) place(from, to int, last bool) (repeated, fits bool) {
	i := 0
	for i < len(p.have) && p.have[i].to <= from {
		i++
	}
	switch {
	case i < len(p.have) && p.have[i].from <= from && to <= p.have[i].to:
		return !last || p.size == to, false
	case i < len(p.have) && p.have[i].from < to:
		return false, false // overlaps
	case p.size >= 0 && (last || to > p.size):
		return false, false // another end
	case last && i < len(p.have):
		return false, false // something lies behind the end
	}
	if last {
		p.size = to
	}
	p.have = slices.Insert(p.have, i, span{from, to})
	if i+1 < len(p.have) && p.have[i+1].from == to {
		p.have[i].to = p.have[i+1].to
		p.have = slices.Delete(p.have, i+1, i+2)
	}
	if i > 0 && p.have[i-1].to == from {
		p.have[i-1].to = p.have[i].to
		p.have = slices.Delete(p.have, i, i+1)
	}
	return false, true
}

// find returns the datagram of a key, a new one if there is none.
func (r *reassembly) find(now time.Time, key fragmentKey) *partial {
	for _, p := range r.open {
		if p.key == key {
			return p
		}
	}
	if len(r.open) >= maxOpenDatagrams {
		r.drop(0)
	}
	var p *partial
	if n := len(r.spare); n > 0 {
		p, r.spare = r.spare[n-1], r.spare[:n-1]
	} else {
		p = new(partial)
	}
	*p = partial{key: key, since: now, data: p.data[:0], have: p.have[:0], size: -1}
	r.open = append(r.open, p)
	return p
}

// drop gives a datagram up; its parts count as lost.
func (r *reassembly) drop(i int) {
	p := r.open[i]
	r.count(OutcomeLostFragment, p.parts)
	r.open = slices.Delete(r.open, i, i+1)
	r.spare = append(r.spare, p)
}

// release takes back the buffer of the datagram handed out last.
func (r *reassembly) release() {
	if r.out != nil {
		r.spare = append(r.spare, r.out)
		r.out = nil
	}
}

// expire gives up what has waited too long. A clock that went back starts the
// wait anew.
func (r *reassembly) expire(now time.Time) {
	for len(r.open) > 0 && now.Sub(r.open[0].since).Abs() > fragmentTimeout {
		r.drop(0)
	}
}

func (r *reassembly) close() {
	for len(r.open) > 0 {
		r.drop(0)
	}
}
