package train

import (
	"errors"

	"posefuse/model"
)

// ErrNobody is wrapped by Load if nobody was found in any frame and the network
// takes no other; the data it returns with it tells how many frames those were.
var ErrNobody = errors.New("nobody was found")

// Found counts frames by whether somebody was found in the room.
type Found struct {
	Ticks    int `json:"ticks"`
	Somebody int `json:"somebody"` // a daemon would give a pose
}

// Share is the part of the ticks with somebody.
func (f Found) Share() float64 { return float64(f.Somebody) / float64(max(f.Ticks, 1)) }

// Found tells of the frames that were selected in how many somebody was found.
// Without a search for the person that is all of them.
func (d *Data) Found() (f Found) {
	for _, c := range d.Clips {
		f.Ticks += len(c.Frames)
		f.Somebody += len(c.Frames)
		if d.cfg.Recipe == model.RecipeRoom {
			f.Ticks += c.Nobody
		} else {
			f.Somebody -= c.Nobody
		}
	}
	return f
}
