package camera

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"posefuse/internal/testenv"
)

// kernelWords are constants of linux/videodev2.h with our value of each.
var kernelWords = []struct {
	c    string
	ours uint64
}{
	{"VIDIOC_QUERYCAP", vidiocQueryCap}, {"VIDIOC_ENUM_FMT", vidiocEnumFmt}, {"VIDIOC_S_FMT", vidiocSetFmt},
	{"VIDIOC_REQBUFS", vidiocReqBufs}, {"VIDIOC_QUERYBUF", vidiocQueryBuf}, {"VIDIOC_QBUF", vidiocQBuf},
	{"VIDIOC_DQBUF", vidiocDQBuf}, {"VIDIOC_STREAMON", vidiocStreamOn}, {"VIDIOC_STREAMOFF", vidiocStreamOff}, {"VIDIOC_S_PARM", vidiocSetParm},
	{"V4L2_BUF_TYPE_VIDEO_CAPTURE", bufTypeCapture}, {"V4L2_MEMORY_MMAP", memoryMMap}, {"V4L2_FIELD_NONE", fieldNone},
	{"V4L2_CAP_VIDEO_CAPTURE", capCapture}, {"V4L2_CAP_STREAMING", capStreaming}, {"V4L2_CAP_DEVICE_CAPS", capDeviceCaps},
	{"V4L2_BUF_FLAG_ERROR", bufFlagError}, {"V4L2_BUF_FLAG_TIMESTAMP_MASK", bufFlagClockMask}, {"V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC", bufFlagMonotonic},
	{"V4L2_COLORSPACE_JPEG", colorspaceJPEG}, {"V4L2_QUANTIZATION_FULL_RANGE", quantizationFull}, {"V4L2_PIX_FMT_PRIV_MAGIC", extendedPixFields},
	{"V4L2_PIX_FMT_YUYV", fourccYUYV}, {"V4L2_PIX_FMT_MJPEG", fourccMJPG}, {"V4L2_PIX_FMT_JPEG", fourccJPEG},
}

// kernelBytes are structures, what is put into them in C, and ours with the
// same values.
var kernelBytes = []struct {
	c    string
	ours []byte
}{
	{"struct v4l2_fmtdesc x = {.index = 3, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE}", formatDescription(3)},
	{"struct v4l2_format x = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .fmt.pix = {.width = 640, .height = 480, .pixelformat = V4L2_PIX_FMT_YUYV, .field = V4L2_FIELD_NONE, .priv = V4L2_PIX_FMT_PRIV_MAGIC}}", newPixelFormat(640, 480, fourccYUYV)},
	{"struct v4l2_streamparm x = {.type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .parm.capture.timeperframe = {1, 30}}", frameRate(30)},
	{"struct v4l2_requestbuffers x = {.count = 4, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP}", bufferRequest(4)},
	{"struct v4l2_buffer x = {.index = 2, .type = V4L2_BUF_TYPE_VIDEO_CAPTURE, .memory = V4L2_MEMORY_MMAP}", newVideoBuffer(2)},
	{"int x = V4L2_BUF_TYPE_VIDEO_CAPTURE", streamArg()},
}

// kernelFields are fields that we read, with the number each is given in C and
// how we read it.
var kernelFields = []struct {
	c    string
	size int
	read func(b []byte) uint64
}{
	{"struct v4l2_capability x = {.capabilities = V4L2_CAP_DEVICE_CAPS, .device_caps = 77}", capabilitySize, func(b []byte) uint64 { return uint64(capabilities(b).node()) }},
	{"struct v4l2_capability x = {.capabilities = 77, .device_caps = 1}", capabilitySize, func(b []byte) uint64 { return uint64(capabilities(b).node()) }},
	{"struct v4l2_fmtdesc x = {.pixelformat = 77}", fmtDescSize, func(b []byte) uint64 { return uint64(get32(b, 44)) }},
	{"struct v4l2_format x = {.fmt.pix.width = 77}", formatSize, func(b []byte) uint64 { return uint64(pixelFormat(b).width()) }},
	{"struct v4l2_format x = {.fmt.pix.height = 77}", formatSize, func(b []byte) uint64 { return uint64(pixelFormat(b).height()) }},
	{"struct v4l2_format x = {.fmt.pix.pixelformat = 77}", formatSize, func(b []byte) uint64 { return uint64(pixelFormat(b).fourcc()) }},
	{"struct v4l2_format x = {.fmt.pix.bytesperline = 77}", formatSize, func(b []byte) uint64 { return uint64(pixelFormat(b).stride()) }},
	{"struct v4l2_format x = {.fmt.pix.colorspace = V4L2_COLORSPACE_JPEG}", formatSize, func(b []byte) uint64 { return map[bool]uint64{true: 77}[pixelFormat(b).fullRange()] }},
	{"struct v4l2_format x = {.fmt.pix = {.priv = V4L2_PIX_FMT_PRIV_MAGIC, .quantization = V4L2_QUANTIZATION_FULL_RANGE}}", formatSize, func(b []byte) uint64 { return map[bool]uint64{true: 77}[pixelFormat(b).fullRange()] }},
	{"struct v4l2_requestbuffers x = {.count = 77}", reqBufsSize, func(b []byte) uint64 { return uint64(get32(b, 0)) }},
	{"struct v4l2_buffer x = {.index = 77}", bufferSize, func(b []byte) uint64 { return uint64(videoBuffer(b).index()) }},
	{"struct v4l2_buffer x = {.bytesused = 77}", bufferSize, func(b []byte) uint64 { return uint64(videoBuffer(b).used()) }},
	{"struct v4l2_buffer x = {.flags = 77}", bufferSize, func(b []byte) uint64 { return uint64(videoBuffer(b).flags()) }},
	{"struct v4l2_buffer x = {.sequence = 77}", bufferSize, func(b []byte) uint64 { return uint64(videoBuffer(b).sequence()) }},
	{"struct v4l2_buffer x = {.m.offset = 77}", bufferSize, func(b []byte) uint64 { return uint64(videoBuffer(b).offset()) }},
	{"struct v4l2_buffer x = {.length = 77}", bufferSize, func(b []byte) uint64 { return uint64(videoBuffer(b).length()) }},
	{"struct v4l2_buffer x = {.flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC, .timestamp = {5, 8}}", bufferSize, func(b []byte) uint64 {
		if ns, ok := videoBuffer(b).captureNS(); ok && ns == 5_000_008_000 {
			return 77
		}
		return 0
	}},
}

// TestV4L2StructuresAreTheKernels compiles a program that prints the kernel's
// own constants and structures.
func TestV4L2StructuresAreTheKernels(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		testenv.LeaveOut(t, "no gcc: apt install gcc libc6-dev")
	}
	var program strings.Builder
	program.WriteString("#include <linux/videodev2.h>\n#include <stdio.h>\n" +
		"static void show(void *p, int n) { unsigned char *b = p; for (int i = 0; i < n; i++) printf(\"%02x\", b[i]); puts(\"\"); }\nint main(void) {\n")
	for _, w := range kernelWords {
		fmt.Fprintf(&program, "printf(\"%%lx\\n\", (unsigned long)(unsigned)%s);\n", w.c)
	}
	for _, b := range kernelBytes {
		fmt.Fprintf(&program, "{ %s; show(&x, sizeof x); }\n", b.c)
	}
	for _, f := range kernelFields {
		fmt.Fprintf(&program, "{ %s; show(&x, sizeof x); }\n", f.c)
	}
	program.WriteString("}\n")
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "v4l2.c"), filepath.Join(dir, "v4l2")
	if err = os.WriteFile(source, []byte(program.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, compileErr := exec.CommandContext(t.Context(), gcc, "-o", binary, source).CombinedOutput(); compileErr != nil {
		testenv.LeaveOut(t, "gcc or linux/videodev2.h is not whole: apt install gcc libc6-dev: "+string(out))
	}
	out, err := exec.CommandContext(t.Context(), binary).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(out))
	if len(lines) != len(kernelWords)+len(kernelBytes)+len(kernelFields) {
		t.Fatalf("the program says %d things", len(lines))
	}
	for i, w := range kernelWords {
		if got := fmt.Sprintf("%x", w.ours); got != lines[i] {
			t.Errorf("%s is %s, not %s", w.c, lines[i], got)
		}
	}
	lines = lines[len(kernelWords):]
	for i, b := range kernelBytes {
		if got := fmt.Sprintf("%x", b.ours); got != lines[i] {
			t.Errorf("%s\nis   %s\nours %s", b.c, lines[i], got)
		}
	}
	lines = lines[len(kernelBytes):]
	for i, f := range kernelFields {
		var b []byte
		if _, err := fmt.Sscanf(lines[i], "%x", &b); err != nil || len(b) != f.size {
			t.Fatalf("%s has %d bytes, not %d: %v", f.c, len(b), f.size, err)
		}
		if got := f.read(b); got != 77 {
			t.Errorf("%s: read as %d", f.c, got)
		}
	}
}

// TestV4L2Numbers holds the requests to the numbers that strace and the
// kernel's documents show, where there is no compiler.
func TestV4L2Numbers(t *testing.T) {
	for got, want := range map[uint32]uint32{
		vidiocQueryCap: 0x80685600, vidiocEnumFmt: 0xc0405602, vidiocSetFmt: 0xc0d05605, vidiocReqBufs: 0xc0145608, vidiocQueryBuf: 0xc0585609,
		vidiocQBuf: 0xc058560f, vidiocDQBuf: 0xc0585611, vidiocStreamOn: 0x40045612, vidiocStreamOff: 0x40045613, vidiocSetParm: 0xc0cc5616,
	} {
		if got != want {
			t.Errorf("%#x, want %#x", got, want)
		}
	}
}

// TestKernelVideo goes through the real system calls, on files that are no
// camera: this machine has none, and no v4l2loopback.
func TestKernelVideo(t *testing.T) {
	for path, want := range map[string]string{
		"/dev/null":                            "is no video device",
		filepath.Join(t.TempDir(), "no-video"): "does not exist",
		"/":                                    "opening it fails",
	} {
		cfg := NewV4L2Config()
		cfg.Device = path
		src := cfg.Source("camera").(*VideoSource)
		src.Detector = &recorder{}
		if err := src.Run(t.Context(), newTestSink()); err == nil || !strings.Contains(err.Error(), path+" "+want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	zero, err := openVideo("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	b, err := zero.mmap(0, 4096)
	if err != nil {
		t.Fatal(err)
	}
	b[4095]++
	if err := zero.munmap(b); err != nil {
		t.Error(err)
	}
	if err := zero.close(); err != nil {
		t.Error(err)
	}
}

func TestKernelVideoWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := openVideo(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = v.close() }()
	if ready, waitErr := v.wait(t.Context(), 20*time.Millisecond); ready || waitErr != nil {
		t.Errorf("an empty pipe: %v, %v", ready, waitErr)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stop := time.AfterFunc(10*time.Millisecond, cancel)
	defer stop.Stop()
	if ready, waitErr := v.wait(ctx, time.Hour); ready || waitErr != nil {
		t.Errorf("after the end of its context: %v, %v", ready, waitErr)
	}
	if _, err = unix.Write(v.(kernelVideo).fd, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if ready, waitErr := v.wait(t.Context(), time.Hour); !ready || waitErr != nil {
		t.Errorf("a pipe with a byte: %v, %v", ready, waitErr)
	}
}
