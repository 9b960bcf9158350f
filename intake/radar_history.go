package intake

import "posefuse/model"

// maxRadarAgeNS is how old a frame of a sample may be: after a longer gap somebody
// may stand otherwise.
const maxRadarAgeNS = 1_000_000_000

// radarHistory keeps the newest frames of ticks that had the radar. Their points
// lie about the person, wherever they were then, so that frames of somebody who
// walks fall onto each other.
type radarHistory struct {
	frames int // that a sample holds, 1 without history
	kept   []radarRows
	now    radarRows // of the tick being made
	fresh  bool      // now holds a frame
	rows   []float32 // a sample
}

// radarRows are the person's points of one frame.
type radarRows struct {
	atNS int64
	rows []float32 // of x, y, z, Doppler, SNR
}

// sample joins a frame with those before, newest first, and gives each row the age
// of its frame in place of the SNR.
func (h *radarHistory) sample(atNS int64, rows []float32) []float32 {
	h.now.atNS, h.now.rows, h.fresh = atNS, append(h.now.rows[:0], rows...), true
	h.rows = appendAged(h.rows[:0], rows, 0)
	for i := len(h.kept) - 1; i >= 0; i-- {
		k := &h.kept[i]
		if age := atNS - k.atNS; age > 0 && age <= maxRadarAgeNS {
			h.rows = appendAged(h.rows, k.rows, float32(age)*1e-9)
		}
	}
	return h.rows
}

func appendAged(dst, rows []float32, ageS float32) []float32 {
	for ; len(rows) >= model.RadarPointDim; rows = rows[model.RadarPointDim:] {
		dst = append(append(dst, rows[:model.RadarPointDim-1]...), ageS)
	}
	return dst
}

// end keeps the tick's frame if the tick had one; without anybody there all is
// forgotten.
func (h *radarHistory) end(took, there bool) {
	fresh := h.fresh && took
	h.fresh = false
	switch {
	case h.frames < 2:
		return
	case !there:
		h.kept = h.kept[:0]
		return
	case !fresh:
		return
	}
	n := len(h.kept)
	if n > 0 && h.kept[n-1].atNS == h.now.atNS { // the sensor is slower than the ticks
		h.kept[n-1], h.now = h.now, h.kept[n-1]
		return
	}
	if n == h.frames-1 { // the oldest gives its memory to the newest
		oldest := h.kept[0]
		copy(h.kept, h.kept[1:])
		h.kept[n-1], h.now = h.now, oldest
		return
	}
	h.kept = append(h.kept, h.now)
	h.now = radarRows{}
}

// forget drops what was kept.
func (h *radarHistory) forget() { h.kept, h.fresh = h.kept[:0], false }
