package nn

import "errors"

// ErrLowPrecision is returned for layers that compute whole windows only.
var ErrLowPrecision = errors.New("the layers compute in low precision")

// TemporalStream is the dilated form of a folded temporal encoder on a stream
// of frames: every layer keeps the activations that later frames need, so that
// one more frame costs each layer one position instead of a whole window. Its
// output after a frame is that of the one-output form for the window that ends
// with the frame, up to rounding.
//
// It shares the layers, and so their weights and work buffers, with the blocks
// it was made from: only one of them may run at a time.
type TemporalStream[T Float] struct {
	stem   *TemporalStem[T]
	blocks []*TemporalBlock[T]
	levels []streamLevel[T] // input of the stem and of each block
	pos    int              // frames taken, modulo the length of each ring
	undo   int              // frames that Rewind can still take back
	slack  int
	row    []T // gathered taps
	out    []T
}

// streamLevel is a ring of one layer's inputs.
type streamLevel[T Float] struct {
	taps, dilation, c int
	ring              []T // length x c
	length            int
}

// NewTemporalStream joins the stem and blocks of one encoder. Rewind can take
// back up to slack frames. The error is ErrLowPrecision.
func NewTemporalStream[T Float](stem *TemporalStem[T], blocks []*TemporalBlock[T], slack int) (*TemporalStream[T], error) {
	s := &TemporalStream[T]{stem: stem, blocks: blocks, slack: slack}
	units := []*Unit[T]{stem.unit}
	for _, b := range blocks {
		units = append(units, b.wide, b.point)
	}
	for _, u := range units {
		if l, ok := u.Lin.(*Linear[T]); !ok || l.low != nil {
			return nil, ErrLowPrecision
		}
	}
	s.add(stem.taps, 1, stem.unit.Lin.(*Linear[T]).In)
	dilation := stem.taps
	for _, b := range blocks {
		s.add(b.Taps, dilation, b.C)
		dilation *= b.Taps
	}
	return s, nil
}

func (s *TemporalStream[T]) add(taps, dilation, c int) {
	length := (taps-1)*dilation + 1 + s.slack
	s.levels = append(s.levels, streamLevel[T]{taps, dilation, c, make([]T, length*c), length})
	if w := taps * c; len(s.row) < w {
		s.row = make([]T, w)
	}
}

// at returns the slot of the input that came back inputs ago.
func (l *streamLevel[T]) at(pos, back int) []T {
	i := (pos - back) % l.length
	if i < 0 {
		i += l.length
	}
	return l.ring[i*l.c : (i+1)*l.c]
}

// gather writes the taps that end at pos, oldest first.
func (l *streamLevel[T]) gather(row []T, pos int) []T {
	for t := range l.taps {
		copy(row[t*l.c:(t+1)*l.c], l.at(pos, (l.taps-1-t)*l.dilation))
	}
	return row[:l.taps*l.c]
}

// Restart makes the stream what it would be if frame had always come, and
// returns the output. It costs as much as one Push.
func (s *TemporalStream[T]) Restart(frame []T) []T {
	s.pos, s.undo = 0, 0
	x := frame
	for i := range s.levels {
		l := &s.levels[i]
		for k := range l.length {
			copy(l.ring[k*l.c:(k+1)*l.c], x)
		}
		x = s.layer(i)
	}
	return s.keep(x)
}

// Push takes the next frame and returns the last block's output, which
// belongs to the stream.
func (s *TemporalStream[T]) Push(frame []T) []T {
	s.pos++
	s.undo = min(s.undo+1, s.slack)
	x := frame
	for i := range s.levels {
		l := &s.levels[i]
		copy(l.at(s.pos, 0), x)
		x = s.layer(i)
	}
	return s.keep(x)
}

func (s *TemporalStream[T]) keep(x []T) []T {
	copy(grow(&s.out, len(x)), x)
	return s.out
}

// Rewind takes back the newest n frames, or reports false and does nothing if
// that is more than were pushed since Restart or than the slack.
func (s *TemporalStream[T]) Rewind(n int) bool {
	if n > s.undo {
		return false
	}
	s.pos -= n
	s.undo -= n
	return true
}

// Undoable returns how many frames Rewind can take back.
func (s *TemporalStream[T]) Undoable() int { return s.undo }

// layer computes the newest position of layer i from its ring.
func (s *TemporalStream[T]) layer(i int) []T {
	l := &s.levels[i]
	row := l.gather(s.row, s.pos)
	if i == 0 {
		return s.stem.unit.Forward(row, 1)
	}
	b := s.blocks[i-1]
	y := b.point.Forward(b.wide.Forward(row, 1), 1)
	mid := l.at(s.pos, l.taps/2*l.dilation)
	y = y[:len(mid)]
	for k, v := range mid {
		y[k] += v
	}
	return y
}
