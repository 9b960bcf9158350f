package camera

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeCamera is a camera as uvcvideo shows it, in the kernel's own bytes. It
// takes a picture whenever shoot is called.
type fakeCamera struct {
	// What the camera is; not changed while it is open.
	caps, nodeCaps uint32
	formats        []uint32
	grant          func(f pixelFormat)     // changes what was asked for
	refuse         map[uint32]error        // by request
	alter          func(b videoBuffer)     // changes what DQBUF answers
	mapFails       error                   // of mmap
	interrupted    bool                    // each request is interrupted once
	asked          func(number uint32)     // sees each request
	prepare        func(memory []byte) int // writes a picture, returns its length

	mu         sync.Mutex
	plugged    bool
	opened     int // handles that are open
	mapped     int
	handle     *fakeVideo
	everOpened int
}

func newFakeCamera(formats ...uint32) *fakeCamera {
	return &fakeCamera{caps: capDeviceCaps | capCapture | capStreaming, nodeCaps: capCapture | capStreaming, formats: formats, plugged: true}
}

// fakeVideo is one open handle of it.
type fakeVideo struct {
	cam       *fakeCamera
	format    pixelFormat
	memory    [][]byte
	queued    []uint32
	ready     []videoBuffer
	wake      chan struct{}
	streaming bool
	gone      bool
	pending   map[uint32]bool // requests whose interruption is over
}

func (c *fakeCamera) open(string) (videoDevice, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.plugged {
		return nil, unix.ENOENT
	}
	if err := c.refuse[0]; err != nil {
		return nil, err
	}
	c.opened++
	c.everOpened++
	c.handle = &fakeVideo{cam: c, wake: make(chan struct{}, 1), pending: map[uint32]bool{}}
	return c.handle, nil
}

// unplug takes the camera away; its handle stays until it is closed.
func (c *fakeCamera) unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plugged = false
	if c.handle != nil {
		c.handle.gone = true
		c.handle.poke()
	}
}

func (c *fakeCamera) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plugged = true
}

// shot is what the driver says about a picture.
type shot struct {
	sequence uint32
	at       time.Duration // on the monotonic clock
	flags    uint32        // beside the one of the clock
	clock    uint32
	used     int // 0 is what prepare wrote, -1 is none
}

// shoot takes a picture into the next queued buffer, and returns false if there
// is none: the camera does not stream, or nobody gave a buffer back.
func (c *fakeCamera) shoot(s shot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.handle
	if v == nil || !v.streaming || v.gone || len(v.queued) == 0 {
		return false
	}
	i := v.queued[0]
	v.queued = v.queued[1:]
	used := c.prepare(v.memory[i])
	switch {
	case s.used < 0:
		used = 0
	case s.used > 0:
		used = s.used
	}
	b := newVideoBuffer(i)
	v.describe(b)
	put32(b, 8, uint32(used))
	put32(b, 12, s.flags|s.clock)
	put64(b, 24, uint64(s.at/time.Second))
	put64(b, 32, uint64(s.at%time.Second/time.Microsecond))
	put32(b, 56, s.sequence)
	v.ready = append(v.ready, b)
	v.poke()
	return true
}

func put64(b []byte, offset int, v uint64) {
	put32(b, offset, uint32(v))
	put32(b, offset+4, uint32(v>>32))
}

func (v *fakeVideo) poke() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

func (v *fakeVideo) describe(b videoBuffer) {
	i := b.index()
	put32(b, 64, i<<20) // the offset to map
	put32(b, 72, uint32(len(v.memory[i])))
}

func (v *fakeVideo) ioctl(number uint32, arg []byte) error {
	c := v.cam
	c.mu.Lock()
	defer c.mu.Unlock()
	if size := int(number >> 16 & 0x3fff); size != len(arg) {
		return unix.EFAULT // the kernel would read or write beyond it
	}
	if c.interrupted && !v.pending[number] {
		v.pending[number] = true
		return unix.EINTR
	}
	v.pending[number] = false
	if c.asked != nil {
		c.asked(number)
	}
	if v.gone {
		return unix.ENODEV
	}
	switch err := c.refuse[number]; {
	case errors.Is(err, errOneBuffer):
		put32(arg, 0, 1)
	case err != nil:
		return err
	}
	return v.answer(number, arg)
}

func (v *fakeVideo) answer(number uint32, arg []byte) error {
	c := v.cam
	switch number {
	case vidiocQueryCap:
		copy(arg, "uvcvideo")
		copy(arg[16:], "Fake camera")
		put32(arg, 84, c.caps)
		put32(arg, 88, c.nodeCaps)
	case vidiocEnumFmt:
		i := get32(arg, 0)
		if get32(arg, 4) != bufTypeCapture || int(i) >= len(c.formats) {
			return unix.EINVAL
		}
		put32(arg, 44, c.formats[i])
	case vidiocSetFmt:
		if get32(arg, 0) != bufTypeCapture {
			return unix.EINVAL
		}
		if v.memory != nil {
			return unix.EBUSY
		}
		f := pixelFormat(arg)
		if !slices.Contains(c.formats, f.fourcc()) {
			put32(f, 16, c.formats[0])
		}
		if f.fourcc() == fourccYUYV {
			put32(f, 24, uint32(2*f.width()))
		}
		if c.grant != nil {
			c.grant(f)
		}
		put32(f, 28, uint32(max(f.stride(), 2*f.width())*f.height())) // sizeimage
		v.format = slices.Clone(f)
	case vidiocSetParm:
		put32(arg, 16, 25) // the camera's own rate
	case vidiocReqBufs:
		if get32(arg, 8) != memoryMMap {
			return unix.EINVAL
		}
		v.memory = make([][]byte, get32(arg, 0))
		for i := range v.memory {
			v.memory[i] = make([]byte, (get32(v.format, 28)+4095)&^4095)
		}
	case vidiocQueryBuf, vidiocQBuf:
		b := videoBuffer(arg)
		if get32(b, 4) != bufTypeCapture || get32(b, 60) != memoryMMap || int(b.index()) >= len(v.memory) {
			return unix.EINVAL
		}
		if number == vidiocQueryBuf {
			v.describe(b)
			return nil
		}
		if slices.Contains(v.queued, b.index()) {
			return unix.EINVAL
		}
		v.queued = append(v.queued, b.index())
	case vidiocDQBuf:
		if len(v.ready) == 0 {
			return unix.EAGAIN
		}
		copy(arg, v.ready[0])
		v.ready = v.ready[1:]
		if c.alter != nil {
			c.alter(arg)
		}
	case vidiocStreamOn, vidiocStreamOff:
		if get32(arg, 0) != bufTypeCapture {
			return unix.EINVAL
		}
		v.streaming = number == vidiocStreamOn
	default:
		return unix.ENOTTY
	}
	return nil
}

func (v *fakeVideo) mmap(offset int64, length int) ([]byte, error) {
	v.cam.mu.Lock()
	defer v.cam.mu.Unlock()
	if v.cam.mapFails != nil {
		return nil, v.cam.mapFails
	}
	i := int(offset >> 20)
	if i >= len(v.memory) || length != len(v.memory[i]) {
		return nil, unix.EINVAL
	}
	v.cam.mapped++
	return v.memory[i], nil
}

func (v *fakeVideo) munmap([]byte) error {
	v.cam.mu.Lock()
	defer v.cam.mu.Unlock()
	v.cam.mapped--
	return nil
}

func (v *fakeVideo) close() error {
	v.cam.mu.Lock()
	defer v.cam.mu.Unlock()
	v.streaming = false
	v.cam.opened--
	return nil
}

func (v *fakeVideo) wait(ctx context.Context, d time.Duration) (bool, error) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		v.cam.mu.Lock()
		some := len(v.ready) > 0 || v.gone
		v.cam.mu.Unlock()
		if some {
			return true, nil
		}
		select {
		case <-v.wake:
		case <-ctx.Done():
			return false, nil
		case <-timer.C:
			return false, nil
		}
	}
}

// checkClosed fails unless everything that was opened was given back.
func (c *fakeCamera) checkClosed(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened != 0 || c.mapped != 0 || c.handle != nil && c.handle.streaming {
		t.Errorf("%d handles open, %d buffers mapped, streaming %v", c.opened, c.mapped, c.handle != nil && c.handle.streaming)
	}
}
