package sim

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// Limits of a BVH file, far above what motion capture produces.
const (
	maxBVHJoints = 1024
	maxBVHValues = 16 << 20 // numbers in the MOTION part
	maxBVHToken  = 4096     // bytes
)

// BVH is a recording in the Biovision hierarchy format: a tree of joints and,
// per frame, their rotations.
type BVH struct {
	FrameTimeS float64

	joints   []bvhJoint // parents before children
	channels int        // per frame
	values   []float64  // frames x channels; degrees and the file's unit of length
}

// bvhJoint is a joint or the end of a chain.
type bvhJoint struct {
	name     string // empty for the end of a chain
	parent   int    // -1 for the root
	offset   Vec    // from the parent, in the file's unit
	channels []bvhChannel
	first    int // index of the first channel within a frame
}

// bvhChannel is one number of a joint.
type bvhChannel struct {
	axis     int // 0 x, 1 y, 2 z
	rotation bool
}

var bvhChannels = map[string]bvhChannel{
	"xposition": {0, false}, "yposition": {1, false}, "zposition": {2, false},
	"xrotation": {0, true}, "yrotation": {1, true}, "zrotation": {2, true},
}

// LoadBVH reads a BVH file with one root. The error names the line.
func LoadBVH(r io.Reader) (*BVH, error) {
	p := &bvhParser{in: bufio.NewReader(r), line: 1}
	b := &BVH{}
	if err := p.file(b); err != nil {
		return nil, fmt.Errorf("bvh: line %d: %w", p.tokenLine, err)
	}
	return b, nil
}

// Frames returns the number of frames.
func (b *BVH) Frames() int {
	if b.channels == 0 {
		return 0
	}
	return len(b.values) / b.channels
}

// bvhParser splits a file into words.
type bvhParser struct {
	in        *bufio.Reader
	line      int
	tokenLine int // where the last word began
}

// token returns the next word, io.EOF after the last one.
func (p *bvhParser) token() (string, error) {
	var word []byte
	for {
		c, err := p.in.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) && len(word) > 0 {
				return string(word), nil
			}
			p.tokenLine = p.line
			return "", err
		}
		space := c == ' ' || c == '\t' || c == '\r' || c == '\n'
		if space && len(word) > 0 {
			// The line break is counted when it is read again.
			return string(word), p.in.UnreadByte()
		}
		if c == '\n' {
			p.line++
		}
		if space {
			continue
		}
		if len(word) == 0 {
			p.tokenLine = p.line
		}
		if len(word) == maxBVHToken {
			return "", fmt.Errorf("a word is longer than %d bytes: this is no BVH file", maxBVHToken)
		}
		word = append(word, c)
	}
}

// next is token where the file must not end.
func (p *bvhParser) next() (string, error) {
	w, err := p.token()
	if errors.Is(err, io.EOF) {
		return "", io.ErrUnexpectedEOF
	}
	return w, err
}

func (p *bvhParser) expect(want string) error {
	w, err := p.next()
	if err != nil {
		return fmt.Errorf("expected %s: %w", want, err)
	}
	if !strings.EqualFold(w, want) {
		return fmt.Errorf("expected %s, found %q", want, w)
	}
	return nil
}

func (p *bvhParser) number() (float64, error) {
	w, err := p.next()
	if err != nil {
		return 0, fmt.Errorf("expected a number: %w", err)
	}
	v, err := strconv.ParseFloat(w, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("expected a number, found %q", w)
	}
	return v, nil
}

func (p *bvhParser) count(what string, limit int) (int, error) {
	w, err := p.next()
	if err != nil {
		return 0, fmt.Errorf("expected the number of %s: %w", what, err)
	}
	n, err := strconv.Atoi(w)
	if err != nil || n < 0 || n > limit {
		return 0, fmt.Errorf("number of %s: %q is not a whole number of 0 to %d", what, w, limit)
	}
	return n, nil
}

func (p *bvhParser) file(b *BVH) error {
	if err := p.expect("HIERARCHY"); err != nil {
		return err
	}
	if err := p.expect("ROOT"); err != nil {
		return err
	}
	if err := p.hierarchy(b); err != nil {
		return err
	}
	if b.channels == 0 {
		return errors.New("no joint has a channel")
	}
	return p.motion(b)
}

// hierarchy reads the tree after ROOT, without recursion, so that a file
// cannot exhaust the stack.
func (p *bvhParser) hierarchy(b *BVH) error {
	var open []int // joints whose brace is open
	start := func(name string) error {
		if len(b.joints) == maxBVHJoints {
			return fmt.Errorf("more than %d joints", maxBVHJoints)
		}
		parent := -1
		if len(open) > 0 {
			parent = open[len(open)-1]
		}
		open = append(open, len(b.joints))
		b.joints = append(b.joints, bvhJoint{name: name, parent: parent, first: b.channels})
		return p.expect("{")
	}
	name, err := p.name("{")
	if err != nil {
		return err
	}
	if err = start(name); err != nil {
		return err
	}
	for len(open) > 0 {
		var w string
		if w, err = p.next(); err != nil {
			return fmt.Errorf("in the hierarchy: %w", err)
		}
		j := &b.joints[open[len(open)-1]]
		switch strings.ToUpper(w) {
		case "OFFSET":
			for k := range j.offset {
				if j.offset[k], err = p.number(); err != nil {
					return err
				}
			}
		case "CHANNELS":
			if err = p.channels(b, j); err != nil {
				return err
			}
		case "JOINT":
			if name, err = p.name("{"); err != nil {
				return err
			}
			if err = start(name); err != nil {
				return err
			}
		case "END":
			if err = p.expect("Site"); err != nil {
				return err
			}
			if err = start(""); err != nil {
				return err
			}
		case "}":
			open = open[:len(open)-1]
		default:
			return fmt.Errorf("unexpected %q in the hierarchy", w)
		}
	}
	return nil
}

// name reads a joint's name, which must not be the given word.
func (p *bvhParser) name(not string) (string, error) {
	w, err := p.next()
	if err != nil {
		return "", fmt.Errorf("expected a joint's name: %w", err)
	}
	if w == not {
		return "", errors.New("joint without a name")
	}
	return w, nil
}

func (p *bvhParser) channels(b *BVH, j *bvhJoint) error {
	if len(j.channels) > 0 {
		return fmt.Errorf("joint %q has channels twice", j.name)
	}
	n, err := p.count("channels", 6)
	if err != nil {
		return err
	}
	j.first = b.channels
	for range n {
		w, err := p.next()
		if err != nil {
			return fmt.Errorf("expected a channel: %w", err)
		}
		c, ok := bvhChannels[strings.ToLower(w)]
		if !ok {
			return fmt.Errorf("unknown channel %q", w)
		}
		j.channels = append(j.channels, c)
	}
	b.channels += n
	return nil
}

// motion reads the MOTION part.
func (p *bvhParser) motion(b *BVH) error {
	if err := p.expect("MOTION"); err != nil {
		return err
	}
	if err := p.expect("Frames:"); err != nil {
		return err
	}
	frames, err := p.count("frames", maxBVHValues/b.channels)
	if err != nil {
		return err
	}
	for _, w := range []string{"Frame", "Time:"} {
		if err = p.expect(w); err != nil {
			return err
		}
	}
	if b.FrameTimeS, err = p.number(); err != nil {
		return err
	}
	if !(b.FrameTimeS >= 0.001 && b.FrameTimeS <= 1) {
		return fmt.Errorf("frame time of %v s: must be 0.001 to 1", b.FrameTimeS)
	}
	for i := range frames * b.channels {
		var v float64
		if v, err = p.number(); err != nil {
			return fmt.Errorf("frame %d of %d: %w", i/b.channels+1, frames, err)
		}
		b.values = append(b.values, v)
	}
	if w, err := p.token(); err == nil {
		return fmt.Errorf("%q after the last of %d frames", w, frames)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// rotation is a matrix by rows.
type rotation [3]Vec

func (m *rotation) apply(v Vec) Vec {
	return Vec{vecDot(m[0], v), vecDot(m[1], v), vecDot(m[2], v)}
}

// turned returns m after a turn about an axis, degrees.
func (m *rotation) turned(axis int, deg float64) rotation {
	sin, cos := portableSincos(deg * degree)
	a, b := (axis+1)%3, (axis+2)%3
	out := *m
	for i := range out {
		out[i][a] = float64(m[i][a]*cos) + float64(m[i][b]*sin)
		out[i][b] = float64(m[i][b]*cos) - float64(m[i][a]*sin)
	}
	return out
}

// positions returns where all joints are in frame i, in the file's unit and
// axes.
func (b *BVH) positions(i int) []Vec {
	frame := b.values[i*b.channels : (i+1)*b.channels]
	at := make([]Vec, len(b.joints))
	turns := make([]rotation, len(b.joints))
	for k := range b.joints {
		j := &b.joints[k]
		offset := j.offset
		turn := rotation{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}
		if j.parent >= 0 {
			turn = turns[j.parent]
		}
		local := turn
		for c, ch := range j.channels {
			v := frame[j.first+c]
			if ch.rotation {
				local = local.turned(ch.axis, v)
			} else if j.parent < 0 {
				offset[ch.axis] += v
			} else {
				offset[ch.axis] = v // a joint with positions of its own replaces the offset
			}
		}
		at[k] = turn.apply(offset)
		if j.parent >= 0 {
			at[k] = vecAdd(at[k], at[j.parent])
		}
		turns[k] = local
	}
	return at
}
