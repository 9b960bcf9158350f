package camera

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/sensors"
)

const (
	videoBuffers = 4 // the driver may grant another number
	// videoSilence is how long a camera may give no whole picture.
	videoSilence = 5 * time.Second
	// maxLostPictures bounds a hole in the driver's count; a larger one is a
	// count that started over.
	maxLostPictures = 10_000
)

// outcomeLost is a picture that the device took and nobody fetched in time.
const outcomeLost = "lost"

// outcomeDamaged is a picture that the driver itself calls damaged.
const outcomeDamaged = "damaged"

// v4l2Grabber reads pictures from a video device of the kernel.
type v4l2Grabber struct {
	cfg  *V4L2Config
	open func(path string) (videoDevice, error)
}

// grab implements grabber.
func (g *v4l2Grabber) grab(ctx context.Context, in *intake) error {
	path := g.cfg.Device
	dev, err := g.open(path)
	if err != nil {
		return videoError(path, "opening it", err)
	}
	s := &videoStream{path: path, dev: dev, in: in}
	// Closing frees what else a device that is gone refuses to free.
	defer s.close()
	if err := s.setUp(g.cfg); err != nil {
		return err
	}
	return s.run(ctx)
}

// videoStream is one run of a video device.
type videoStream struct {
	path string
	dev  videoDevice
	in   *intake

	format    pixelFormat
	encoding  Encoding
	buffers   [][]byte // mapped memory of the driver
	streaming bool

	last    uint32 // the driver's count of the newest picture
	started bool
	seq     uint64 // the same, unwrapped
}

// setUp agrees on a format and starts the stream.
func (s *videoStream) setUp(cfg *V4L2Config) error {
	capability := capabilities(make([]byte, capabilitySize))
	if err := request(s.dev, vidiocQueryCap, capability); err != nil {
		return videoError(s.path, "asking what it can do", err)
	}
	if can := capability.node(); can&capCapture == 0 || can&capStreaming == 0 {
		return sensors.Told(fmt.Errorf("camera %s delivers no pictures: a camera has several devices, take the one whose name under /dev/v4l/by-id ends in index0", s.path))
	}
	if err := s.chooseFormat(cfg); err != nil {
		return err
	}
	// A camera without a choice of rates refuses, and keeps its own.
	if err := request(s.dev, vidiocSetParm, frameRate(cfg.FPS)); errors.Is(err, unix.ENODEV) {
		return videoError(s.path, "asking for a rate", err)
	}
	if err := s.mapBuffers(); err != nil {
		return err
	}
	if err := request(s.dev, vidiocStreamOn, streamArg()); err != nil {
		return videoError(s.path, "starting the stream", err)
	}
	s.streaming = true
	return nil
}

// chooseFormat takes the first wanted format that the camera has, in the size
// that the driver grants.
func (s *videoStream) chooseFormat(cfg *V4L2Config) error {
	var offered []uint32
	var names []string
	for i := range uint32(64) {
		d := formatDescription(i)
		if err := request(s.dev, vidiocEnumFmt, d); err != nil {
			if errors.Is(err, unix.EINVAL) {
				break // the end of the list
			}
			return videoError(s.path, "asking for its formats", err)
		}
		offered = append(offered, get32(d, 44))
		names = append(names, fourccName(get32(d, 44)))
	}
	wanted := cfg.fourccs()
	i := slices.IndexFunc(wanted, func(f uint32) bool { return slices.Contains(offered, f) })
	if i < 0 {
		return sensors.Told(fmt.Errorf("camera %s has the formats %s and not %s: change format, or read it with the driver ffmpeg", s.path, strings.Join(names, ", "), cfg.Format))
	}
	s.format = newPixelFormat(cfg.Width, cfg.Height, wanted[i])
	if err := request(s.dev, vidiocSetFmt, s.format); err != nil {
		return videoError(s.path, "choosing its format", err)
	}
	switch s.format.fourcc() {
	case fourccYUYV:
		s.encoding = YUYV
	case fourccMJPG, fourccJPEG:
		s.encoding = JPEG
	default:
		return sensors.Told(fmt.Errorf("camera %s grants the format %s and not %s: change format, or read it with the driver ffmpeg", s.path, fourccName(s.format.fourcc()), fourccName(wanted[i])))
	}
	if err := checkSize(s.format.width(), s.format.height()); err != nil {
		return sensors.Told(fmt.Errorf("camera %s grants a size that cannot be used, change width and height: %w", s.path, err))
	}
	return nil
}

// fourccName makes four characters readable, whatever they are.
func fourccName(f uint32) string {
	return fmt.Sprintf("%q", []byte{byte(f), byte(f >> 8), byte(f >> 16), byte(f >> 24)})
}

// mapBuffers maps the driver's buffers and queues all of them.
func (s *videoStream) mapBuffers() error {
	r := bufferRequest(videoBuffers)
	if err := request(s.dev, vidiocReqBufs, r); err != nil {
		return videoError(s.path, "asking for buffers", err)
	}
	count := get32(r, 0)
	if count < 2 || count > 32 {
		return sensors.Told(fmt.Errorf("camera %s grants %d buffers instead of %d: choose a smaller picture", s.path, count, videoBuffers))
	}
	for i := range count {
		b := newVideoBuffer(i)
		if err := request(s.dev, vidiocQueryBuf, b); err != nil {
			return videoError(s.path, "asking for a buffer", err)
		}
		mapped, err := s.dev.mmap(b.offset(), b.length())
		if err != nil {
			return videoError(s.path, "mapping a buffer", err)
		}
		s.buffers = append(s.buffers, mapped)
		if err := request(s.dev, vidiocQBuf, newVideoBuffer(i)); err != nil {
			return videoError(s.path, "queueing a buffer", err)
		}
	}
	return nil
}

func (s *videoStream) close() {
	if s.streaming {
		_ = request(s.dev, vidiocStreamOff, streamArg())
	}
	for _, b := range s.buffers {
		_ = s.dev.munmap(b)
	}
	_ = s.dev.close()
}

// run takes pictures until ctx ends or the device fails.
func (s *videoStream) run(ctx context.Context) error {
	for last := time.Now(); ctx.Err() == nil; {
		left := videoSilence - time.Since(last)
		if left <= 0 {
			return sensors.Told(fmt.Errorf("camera %s: no whole picture for %s: unplug it and plug it in again", s.path, videoSilence))
		}
		ready, err := s.dev.wait(ctx, left)
		if err != nil {
			return videoError(s.path, "waiting for a picture", err)
		}
		if !ready {
			continue
		}
		whole, err := s.take()
		if err != nil {
			return err
		}
		if whole {
			last = time.Now()
		}
	}
	return nil
}

// take fetches one picture and gives its buffer back at once. It returns
// whether the picture was whole.
func (s *videoStream) take() (bool, error) {
	b := newVideoBuffer(0)
	switch err := request(s.dev, vidiocDQBuf, b); {
	case errors.Is(err, unix.EAGAIN):
		time.Sleep(2 * time.Millisecond) // a device that says so for ever must not keep a core busy
		return false, nil
	case err != nil:
		return false, videoError(s.path, "fetching a picture", err)
	}
	receiveNS := s.in.sink.NowNS()
	if int64(b.index()) >= int64(len(s.buffers)) {
		return false, sensors.Told(fmt.Errorf("camera %s: the driver returns the buffer %d of %d: plug the camera in again", s.path, b.index(), len(s.buffers)))
	}
	s.count(b.sequence())
	data := s.buffers[b.index()]
	var f Frame
	reason := s.reject(b, len(data))
	if reason == "" {
		f = Frame{Seq: s.seq, ReceiveNS: receiveNS, Encoding: s.encoding, Data: append(s.in.buffer(), data[:b.used()]...)}
		if f.Encoding == YUYV {
			f.Width, f.Height, f.Stride, f.FullRange = s.format.width(), s.format.height(), s.format.stride(), s.format.fullRange()
		}
		f.DeviceNS, f.HasDevice = b.captureNS()
	}
	requeued := request(s.dev, vidiocQBuf, newVideoBuffer(b.index()))
	if reason == "" {
		s.in.put(f)
	} else {
		s.in.sink.Count(reason, 1)
	}
	if requeued != nil {
		return false, videoError(s.path, "giving a buffer back", requeued)
	}
	return reason == "", nil
}

// count follows the driver's count and notes its holes.
func (s *videoStream) count(sequence uint32) {
	step := sequence - s.last // a wrap of the counter is a small step
	switch {
	case !s.started:
		s.started, s.seq = true, uint64(sequence)
	case step == 0 || step > maxLostPictures:
		s.seq++ // a driver that does not count, or starts over
	default:
		s.seq += uint64(step)
		if step > 1 {
			s.in.sink.Count(outcomeLost, uint64(step-1))
		}
	}
	s.last = sequence
}

// reject returns under which outcome a picture is left out, "" if it is not.
func (s *videoStream) reject(b videoBuffer, size int) string {
	stride := s.format.stride()
	if stride == 0 {
		stride = 2 * s.format.width()
	}
	switch used := b.used(); {
	case b.flags()&bufFlagError != 0:
		return outcomeDamaged
	case used < 0 || used > size:
		return string(BadImage)
	case used == 0 || s.encoding == YUYV && used < stride*(s.format.height()-1)+2*s.format.width():
		return string(ImageCut)
	}
	return ""
}
