package lidar

// window is the part of a turn that the sensor measures. It starts as the
// metadata has it and follows what the sensor sends, because a sensor can be
// reconfigured behind the metadata's back.
type window struct {
	format   Format
	start    int    // first packet
	expected []bool // per packet of the turn
	inside   []bool // per column of the turn
	place    []int  // per packet: how many of the window come before it
	absent   []int  // per packet: frames in a row that lacked it
	packets  int    // in expected
	columns  int    // in inside
	pause    bool   // between the last packet of a turn and the first of the next
}

func newWindow(m *Metadata) window {
	f := m.Format
	w := window{
		format: f, start: m.ColumnWindow[0] / f.ColumnsPerPacket,
		expected: make([]bool, f.PacketsPerFrame()), inside: make([]bool, f.Columns),
		place: make([]int, f.PacketsPerFrame()), absent: make([]int, f.PacketsPerFrame()),
	}
	for c := m.ColumnWindow[0]; ; c = (c + 1) % f.Columns {
		w.inside[c] = true
		w.expected[c/f.ColumnsPerPacket] = true
		if c == m.ColumnWindow[1] {
			break
		}
	}
	w.arrange()
	return w
}

// arrange works out what follows from expected and inside.
func (w *window) arrange() {
	w.packets, w.columns = 0, 0
	n := len(w.expected)
	for i := range n {
		k := (w.start + i) % n
		w.place[k] = w.packets
		if w.expected[k] {
			w.packets++
		}
	}
	for _, in := range w.inside {
		if in {
			w.columns++
		}
	}
	w.pause = w.packets < n-1
}

// widen takes packet k with its valid columns into the window.
func (w *window) widen(p *Packet, k int) {
	w.expected[k], w.absent[k] = true, 0
	for i := range w.format.ColumnsPerPacket {
		if c := p.Column(i); c.Valid {
			w.inside[c.ID] = true
		}
	}
	w.arrange()
}

// forget notes which packets a frame had and takes those out of the window that
// no frame has any more.
func (w *window) forget(had []bool) {
	changed := false
	for k, have := range had {
		if have || !w.expected[k] {
			w.absent[k] = 0
			continue
		}
		w.absent[k]++
		if w.absent[k] < forgetAfter || w.packets == 1 {
			continue
		}
		w.expected[k], changed = false, true
		per := w.format.ColumnsPerPacket
		clear(w.inside[k*per : (k+1)*per])
	}
	if changed {
		w.arrange()
	}
}
