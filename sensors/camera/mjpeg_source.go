package camera

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// How long a camera on the network may take.
const (
	cameraConnect  = 5 * time.Second  // to take a connection
	cameraSilence  = 10 * time.Second // without a picture
	cameraRefusals = 15 * time.Second // between two tries of a refused password
)

// silentError says that a camera on the network is silent.
type silentError struct{ limit time.Duration }

// Error says for how long.
func (e *silentError) Error() string { return fmt.Sprintf("no picture for %v", e.limit) }

// Is makes it one of the errors about something that takes too long.
func (*silentError) Is(target error) bool { return target == context.DeadlineExceeded }

// mjpegGrabber reads motion JPEG over HTTP.
type mjpegGrabber struct {
	cfg      *MJPEGConfig
	silence  time.Duration
	refusals time.Duration

	seq uint64

	// What was refused, lest a camera that counts wrong passwords lock its user
	// out while the supervisor tries again and again.
	refused    error
	refusedWho credentials
	refusedAt  time.Time
}

func newMJPEGGrabber(c *MJPEGConfig) *mjpegGrabber {
	return &mjpegGrabber{cfg: c, silence: cameraSilence, refusals: cameraRefusals}
}

// grab implements grabber.
func (g *mjpegGrabber) grab(ctx context.Context, in *intake) error {
	u, err := parseURL(g.cfg.URL)
	if err != nil {
		return problem("url", err)
	}
	who, err := readLogin(u, g.cfg.User, g.cfg.PasswordFile)
	if err != nil {
		return err
	}
	if g.refused != nil && who == g.refusedWho && time.Since(g.refusedAt) < g.refusals {
		return g.refused
	}
	c, err := newWebCamera(u, who, g.cfg.CAFile)
	if err != nil {
		return err
	}
	defer c.close()
	err = g.ask(ctx, c, in)
	g.refused = nil
	if errors.Is(err, errRefused) {
		g.refused, g.refusedWho, g.refusedAt = err, who, time.Now()
	}
	return err
}

// ask reads the stream, or one snapshot after the other.
func (g *mjpegGrabber) ask(ctx context.Context, c *webCamera, in *intake) error {
	rate := g.cfg.MaxRateHz
	if rate == 0 {
		rate = defaultMaxRateHz
	}
	for steps := newPace(rate); steps.wait(ctx); {
		stream, err := g.answer(ctx, c, in)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // ended by the caller
		case err != nil:
			return err
		case stream:
			return fmt.Errorf("%s: the camera ended the stream", c.shown)
		}
	}
	return nil
}

// answer asks once and hands on the pictures of the answer. It tells whether
// that was a stream.
func (g *mjpegGrabber) answer(ctx context.Context, c *webCamera, in *intake) (stream bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(g.silence, func() { cancel(&silentError{g.silence}) })
	defer func() {
		watch.Stop()
		cancel(nil)
		if silent, ok := errors.AsType[*silentError](context.Cause(ctx)); ok {
			err = fmt.Errorf("%s: %w", c.shown, silent)
		}
	}()
	resp, err := c.get(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		cancel(nil) // a stream would not end
		_ = resp.Body.Close()
	}()
	kind, err := c.pictures(resp)
	if err != nil {
		return false, err
	}
	split := mjpegSplitter{limit: maxImageBytes, boundary: boundaryOf(resp.Header.Get("Content-Type"))}
	watch.Reset(g.silence)
	stream = kind == multipart
	deviceNS := int64(0)
	if !stream {
		deviceNS = stampNS(resp.Header.Get("X-Timestamp"))
	}
	n, err := g.read(resp.Body, &split, in, deviceNS, func() { watch.Reset(g.silence) })
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return stream, fmt.Errorf("%s: the connection broke", c.shown)
	case n == 0 && !stream:
		return false, problem("url", fmt.Errorf("%s: the answer holds no JPEG; give the address of a snapshot or of motion JPEG", c.shown))
	}
	return stream, nil
}

// read hands on the pictures of one answer and returns their number. The camera
// may stamp a single one in the answer's own header.
func (g *mjpegGrabber) read(body io.Reader, split *mjpegSplitter, in *intake, deviceNS int64, arrived func()) (n int, err error) {
	put := func(p mjpegPart) {
		n++
		if p.data == nil {
			in.sink.Count(string(ImageLimit), 1)
			return
		}
		if deviceNS > 0 && !p.hasDevice && n == 1 {
			p.deviceNS, p.hasDevice = deviceNS, true
		}
		in.put(Frame{Seq: g.seq, DeviceNS: p.deviceNS, HasDevice: p.hasDevice, ReceiveNS: p.receiveNS,
			Encoding: JPEG, Data: append(in.buffer(), p.data...)})
		g.seq++
		arrived()
	}
	for {
		m, err := body.Read(split.room())
		// The first byte of a picture is the earliest sign of it, and as late
		// for a small one as for a large one; its last one is not.
		now := in.sink.NowNS()
		split.grown(m)
		for {
			p, ok := split.next(now)
			if !ok {
				break
			}
			put(p)
		}
		if err != nil {
			if p, ok := split.rest(); ok {
				put(p)
			}
			return n, err
		}
	}
}

// answerKind is what an answer holds.
type answerKind uint8

const (
	single    answerKind = iota // one picture
	multipart                   // one after the other
)

// boundaryOf returns the boundary that a Content-Type names, without the dashes
// that some cameras count to it and others do not.
func boundaryOf(contentType string) []byte {
	for param := range strings.SplitSeq(contentType, ";") {
		key, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(key), "boundary") {
			return []byte(strings.TrimLeft(strings.Trim(strings.TrimSpace(value), `"'`), "-"))
		}
	}
	return nil
}

// pictures tells what an answer holds, or what is wrong with it.
func (c *webCamera) pictures(resp *http.Response) (answerKind, error) {
	if resp.StatusCode != http.StatusOK {
		return single, c.refusal(resp.StatusCode)
	}
	kind, _, _ := strings.Cut(strings.ToLower(resp.Header.Get("Content-Type")), ";")
	kind = strings.TrimSpace(kind)
	switch {
	case strings.HasPrefix(kind, "multipart/"):
		return multipart, nil
	case strings.HasPrefix(kind, "text/"), strings.HasPrefix(kind, "video/"), strings.HasPrefix(kind, "application/") && kind != "application/octet-stream":
		return single, problem("url", fmt.Errorf("%s: the answer is %s, no picture: %s", c.shown, shownKind(kind), wherePicturesAre))
	case resp.ContentLength < 0 && !strings.HasPrefix(kind, "image/"):
		return multipart, nil // pictures without anything around them
	}
	return single, nil
}

const wherePicturesAre = "give the address of the snapshot or of the motion JPEG itself, not of the page around it (for H.264 take the driver ffmpeg)"

// shownKind is a type as errors may show it: its class, but that of the usual
// mistake whole.
func shownKind(kind string) string {
	if kind == "text/html" {
		return "a web page (text/html)"
	}
	class, _, _ := strings.Cut(kind, "/")
	return "of the type " + class
}
