package camera

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
)

// TestV4L2ErrorsSayWhatToDo: each way to fail has its sentence and leaves
// nothing open.
func TestV4L2ErrorsSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(c *fakeCamera)
		shots int
		want  string
	}{
		"not there":        {spoil: func(c *fakeCamera) { c.unplug() }, want: "does not exist: plug in the camera and look under /dev/v4l/by-id"},
		"no permission":    {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{0: unix.EACCES} }, want: "permission denied: add the user to the group video"},
		"busy at once":     {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{0: unix.EBUSY} }, want: "is in use: stop the other program (fuser -v /dev/video0 shows which)"},
		"busy format":      {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{vidiocSetFmt: unix.EBUSY} }, want: "is in use"},
		"busy buffers":     {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{vidiocReqBufs: unix.EBUSY} }, want: "is in use"},
		"a serial port":    {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{vidiocQueryCap: unix.ENOTTY} }, want: "is no video device"},
		"metadata node":    {spoil: func(c *fakeCamera) { c.nodeCaps = 1<<23 | capStreaming }, want: "a camera has several devices, take the one whose name under /dev/v4l/by-id ends in index0"},
		"an output":        {spoil: func(c *fakeCamera) { c.caps = 1 << 1 }, want: "delivers no pictures"},
		"no bandwidth":     {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{vidiocStreamOn: unix.ENOSPC} }, want: "choose format mjpeg, a smaller picture or another socket"},
		"no memory":        {spoil: func(c *fakeCamera) { c.mapFails = unix.ENOMEM }, want: "mapping a buffer fails"},
		"one buffer":       {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{vidiocReqBufs: errOneBuffer} }, want: "grants 1 buffers instead of 4"},
		"formats fail":     {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{vidiocEnumFmt: unix.ENODEV} }, want: "is gone"},
		"gone at the rate": {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{vidiocSetParm: unix.ENODEV} }, want: "is gone"},
		"no size":          {spoil: func(c *fakeCamera) { c.grant = func(f pixelFormat) { put32(f, 12, 0) } }, want: "change width and height: picture rejected: image_size"},
		"huge size":        {spoil: func(c *fakeCamera) { c.grant = func(f pixelFormat) { put32(f, 8, 1<<31) } }, want: "change width and height"},
		"other format":     {spoil: func(c *fakeCamera) { c.grant = func(f pixelFormat) { put32(f, 16, 'N'|'V'<<8|'1'<<16|'2'<<24) } }, want: `grants the format "NV12" and not "YUYV"`},
		"no requeue":       {spoil: func(c *fakeCamera) { failAfter(c, vidiocQBuf, 4, unix.EIO) }, shots: 1, want: "is gone"},
		"no such buffer":   {spoil: func(c *fakeCamera) { c.alter = func(b videoBuffer) { put32(b, 0, 1<<31) } }, shots: 1, want: "returns the buffer 2147483648 of 4"},
		"stream failed":    {spoil: func(c *fakeCamera) { c.refuse = map[uint32]error{vidiocDQBuf: unix.EINVAL} }, shots: 1, want: "fetching a picture fails"},
	} {
		t.Run(name, func(t *testing.T) {
			cam := newFakeCamera(fourccYUYV)
			cam.prepare = func(m []byte) int { return writeYUYV(m, 64, 48, 128) }
			c.spoil(cam)
			src, _ := v4l2Source(cam, nil)
			_, err := inSynctest(t, src, func() {
				for seq := range c.shots {
					cam.shoot(monotonic(uint32(seq)))
				}
			})
			if err == nil || !strings.HasPrefix(err.Error(), "camera /dev/video0") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			if step := sensors.NextStep(err); step != "" {
				t.Errorf("a second advice: %s", step)
			}
			cam.checkClosed(t)
		})
	}
}

// errOneBuffer makes the fake grant a single buffer.
const errOneBuffer = unix.Errno(9999)

// failAfter lets a request fail after n good ones.
func failAfter(c *fakeCamera, number uint32, n int, err error) {
	c.asked = func(got uint32) {
		if got == number {
			if n--; n < 0 {
				c.refuse = map[uint32]error{number: err}
			}
		}
	}
}

// TestV4L2Silence: a camera that says nothing, and one that says nothing
// useful, are errors after the same time; one picture a while is none.
func TestV4L2Silence(t *testing.T) {
	for name, c := range map[string]struct {
		every  time.Duration
		shot   func(seq uint32) shot
		silent bool
	}{
		"nothing":      {every: time.Hour, silent: true},
		"only damaged": {every: 100 * time.Millisecond, silent: true, shot: func(seq uint32) shot { return shot{sequence: seq, flags: bufFlagError} }},
		"slow":         {every: 4900 * time.Millisecond, shot: monotonic},
	} {
		t.Run(name, func(t *testing.T) {
			cam := newFakeCamera(fourccYUYV)
			cam.prepare = func(m []byte) int { return writeYUYV(m, 64, 48, 128) }
			src, seen := v4l2Source(cam, nil)
			_, err := inSynctest(t, src, func() {
				start := time.Now()
				for seq := uint32(0); time.Since(start) < 30*time.Second; seq++ {
					time.Sleep(c.every)
					if c.shot != nil {
						cam.shoot(c.shot(seq))
					}
				}
			})
			if c.silent != (err != nil) || err != nil && !strings.Contains(err.Error(), "no whole picture for 5s") {
				t.Errorf("%v", err)
			}
			if c.silent == (len(seen.pictures()) > 0) {
				t.Errorf("%d pictures", len(seen.pictures()))
			}
			cam.checkClosed(t)
		})
	}
}

// TestV4L2ReadinessThatIsNone: a device that is ready and has nothing is asked
// again, not for ever and not without a pause.
func TestV4L2ReadinessThatIsNone(t *testing.T) {
	cam := newFakeCamera(fourccYUYV)
	cam.prepare = func(m []byte) int { return writeYUYV(m, 64, 48, 128) }
	cam.refuse = map[uint32]error{vidiocDQBuf: unix.EAGAIN}
	asked := 0
	cam.asked = func(n uint32) {
		if n == vidiocDQBuf {
			asked++
		}
	}
	src, _ := v4l2Source(cam, nil)
	_, err := inSynctest(t, src, func() {
		cam.shoot(monotonic(0))
		time.Sleep(time.Minute)
	})
	if err == nil || !strings.Contains(err.Error(), "no whole picture") || asked < 10 || asked > 2600 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

// TestV4L2ComesBackInAnotherSize: unplugged in the stream, plugged in again as
// a camera that grants other pictures.
func TestV4L2ComesBackInAnotherSize(t *testing.T) {
	cam := newFakeCamera(fourccYUYV)
	width := 64
	cam.grant = func(f pixelFormat) { put32(f, 8, uint32(width)); put32(f, 24, uint32(2*width)) }
	cam.prepare = func(m []byte) int { return writeYUYV(m, width, 48, 2*width) }
	src, seen := v4l2Source(cam, nil)
	_, err := inSynctest(t, src, func() {
		cam.shoot(monotonic(0))
		synctest.Wait()
		cam.unplug()
	})
	if err == nil || !strings.Contains(err.Error(), "is gone: check the camera's plug and cable") {
		t.Fatal(err)
	}
	cam.checkClosed(t)
	width = 32
	cam.plug()
	if _, err = inSynctest(t, src, func() { cam.shoot(monotonic(0)) }); err != nil {
		t.Fatal(err)
	}
	p := seen.pictures()
	if len(p) != 2 || p[0].size.X != 64 || p[1].size.X != 32 || seen.reset != 2 {
		t.Errorf("%v, the detector was reset %d times", p, seen.reset)
	}
	cam.checkClosed(t)
}
