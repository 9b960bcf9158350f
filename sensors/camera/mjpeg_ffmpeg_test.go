package camera

import (
	"os/exec"
	"strings"
	"testing"

	"posefuse/internal/rtsptest"
	"posefuse/internal/testenv"
)

// TestMJPEGOfAnotherProgram reads a film that ffmpeg serves as motion JPEG: of
// no type that says so, in chunks, with a boundary nobody announced.
func TestMJPEGOfAnotherProgram(t *testing.T) {
	const pictures = 12
	film := testenv.OpenCVPicture(t, "vtest.avi")
	want := decoded(t, film, pictures)
	address := "http://" + testenv.FreeAddr(t) + "/"
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), rtsptest.FFmpeg(t), "-nostdin", "-loglevel", "error", "-i", film, "-frames:v", "12",
		"-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj420p", "-f", "mpjpeg", "-listen", "1", address)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := &recorder{}
	src, sink := mjpegSource(MJPEGConfig{URL: address}), newClockSink()
	src.Detector = seen
	var err error
	testenv.Wait(t, "ffmpeg's server", func() bool {
		err = src.Run(t.Context(), sink)
		return err == nil || !strings.Contains(err.Error(), "refused")
	})
	if ended := cmd.Wait(); ended != nil {
		t.Fatalf("ffmpeg: %v\n%s", ended, said.String())
	}
	if err == nil || err.Error() != address+": the camera ended the stream" || len(seen.seen) != pictures {
		t.Fatalf("%v, %d pictures, counts %v", err, len(seen.seen), sink.counts)
	}
	for i := range want {
		if d := difference(&seen.seen[i], &want[i]); d > 4 {
			t.Errorf("picture %d differs by %.1f of 255 from the film's", i, d)
		}
	}
}
