package rtsptest

import (
	"os/exec"
	"strings"
	"testing"

	"posefuse/internal/testenv"
)

// FFmpeg returns the path of ffmpeg; without one the test is left out.
func FFmpeg(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		testenv.LeaveOut(t, "no ffmpeg: apt install ffmpeg")
	}
	return path
}

// H264 are ffmpeg's options for a video that one who comes late can soon play.
var H264 = []string{"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "4", "-crf", "12", "-pix_fmt", "yuv420p"}

// MotionJPEG are its options for pictures that need no other.
var MotionJPEG = []string{"-c:v", "mjpeg", "-q:v", "2", "-huffman", "default", "-force_duplicated_matrix", "1", "-pix_fmt", "yuvj420p"}

// Feed lets ffmpeg record an input into the camera until the test ends, and
// returns once the camera can describe it.
func (s *Server) Feed(t testing.TB, input, codec []string) {
	t.Helper()
	args := append([]string{"-nostdin", "-hide_banner", "-loglevel", "error"}, input...)
	args = append(args, "-an")
	args = append(args, codec...)
	args = append(args, "-f", "rtsp", "-rtsp_transport", "tcp", s.recordURL())
	var said strings.Builder
	cmd := exec.CommandContext(t.Context(), FFmpeg(t), args...)
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	testenv.Wait(t, "a recording", func() bool {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, said.String())
		default:
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.conns {
			if c.recording {
				return true
			}
		}
		return false
	})
}
