package camera

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"posefuse/sensors"
)

// How long ffmpeg may take for a picture: the first one needs a connection, the
// format and a key frame.
const (
	ffmpegFirst = 30 * time.Second
	ffmpegNext  = 10 * time.Second
)

// ffmpegGrabber reads the pictures of an ffmpeg of its own.
type ffmpegGrabber struct {
	cfg         *FFmpegConfig
	first, next time.Duration
}

// grab implements grabber.
func (g *ffmpegGrabber) grab(ctx context.Context, in *intake) error {
	program, err := exec.LookPath(g.cfg.Program)
	if err != nil {
		return sensors.Told(fmt.Errorf("%s is not on this machine: apt install ffmpeg, or name its path in program: %w", g.cfg.Program, err))
	}
	cmd, err := g.cfg.command(in.taken != nil)
	if err != nil {
		return err
	}
	c, err := startChild(program, cmd.args, cmd.stdin)
	if err != nil {
		return sensors.Told(fmt.Errorf("%s does not start, look whether it runs in a shell: %w", program, err))
	}
	defer c.close()
	stop := context.AfterFunc(ctx, c.kill)
	defer stop()
	pictures, err := g.read(in, c, cmd)
	if ctx.Err() != nil {
		return nil
	}
	return g.explain(err, pictures, c, cmd)
}

// read hands on pictures until there are no more.
func (g *ffmpegGrabber) read(in *intake, c *child, cmd *ffmpegCommand) (pictures uint64, err error) {
	if err = c.out.SetReadDeadline(time.Now().Add(g.first)); err != nil {
		return 0, err
	}
	pipe := bufio.NewReaderSize(c.out, 64<<10)
	nut, err := newNUTReader(pipe)
	for err == nil {
		if _, err = pipe.Peek(1); err != nil {
			break
		}
		f := Frame{Seq: pictures, ReceiveNS: in.sink.NowNS(), Encoding: YUV420, HasDevice: cmd.stamps}
		var at time.Duration
		f.Data, at, err = nut.picture(in.buffer())
		switch {
		case errors.Is(err, errPictureSize):
			in.sink.Count(string(ImageSize), 1)
		case errors.Is(err, io.ErrUnexpectedEOF):
			in.sink.Count(string(ImageCut), 1)
		}
		if err != nil {
			break
		}
		f.Width, f.Height, f.DeviceNS = nut.width, nut.height, at.Nanoseconds()
		pictures++
		in.put(f)
		err = c.out.SetReadDeadline(time.Now().Add(g.next))
	}
	return pictures, err
}

// explain says why there are no more pictures.
func (g *ffmpegGrabber) explain(err error, pictures uint64, c *child, cmd *ffmpegCommand) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		limit := g.next
		if pictures == 0 {
			limit = g.first
		}
		return sensors.Told(fmt.Errorf("%s: no picture for %s, ffmpeg was stopped: check the camera's power and cable", cmd.shown, limit))
	case errors.Is(err, errPictureSize):
		return fmt.Errorf("%s: %w, starting over with the new one", cmd.shown, err)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return sensors.Told(fmt.Errorf("%s: ffmpeg's output cannot be used, correct args: %w", cmd.shown, err))
	}
	// It closed its output; it should end by itself, and say why.
	select {
	case <-c.ended:
	case <-time.After(childGrace):
		c.kill()
		<-c.ended
	}
	if cmd.film && c.exit == nil && pictures > 0 {
		return sensors.Told(fmt.Errorf("the film %s ended, set loop to let it start over: %w", cmd.shown, ErrEnded))
	}
	return cmd.failure(c.said.read(), c.exit)
}
