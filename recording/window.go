package recording

// Window is which frames around a target one sample sees: Before older ones,
// the target itself, After newer ones.
type Window struct{ Before, After int }

// Len returns the number of places, oldest first.
func (w Window) Len() int { return w.Before + 1 + w.After }

// Frame returns the frame in a place of the window around a target of a clip
// of n frames. Where the clip has none, before its first frame or after its
// last, the frame at that edge stands in and padded is true.
func (w Window) Frame(target, place, n int) (frame int, padded bool) {
	at := target - w.Before + place
	frame = min(max(at, 0), n-1)
	return frame, frame != at
}

// Padding returns how many places of the window around a target are padded.
func (w Window) Padding(target, n int) int {
	return max(w.Before-target, 0) + max(target+w.After-(n-1), 0)
}
