package camera

import (
	"encoding/binary"
	"time"
)

// The part of the kernel's video interface (linux/videodev2.h) that a capture
// with memory-mapped buffers needs. Its structures are read and written as
// bytes, at the offsets they have where a long has 64 bits.

// Requests of ioctl: direction, size of the structure, 'V' and a number (0
// of the first), put together as _IOR, _IOW and _IOWR do.
const (
	ioWrite, ioRead = 1 << 30, 2 << 30

	vidiocQueryCap  = ioRead | capabilitySize<<16 | 'V'<<8
	vidiocEnumFmt   = ioRead | ioWrite | fmtDescSize<<16 | 'V'<<8 | 2
	vidiocSetFmt    = ioRead | ioWrite | formatSize<<16 | 'V'<<8 | 5
	vidiocReqBufs   = ioRead | ioWrite | reqBufsSize<<16 | 'V'<<8 | 8
	vidiocQueryBuf  = ioRead | ioWrite | bufferSize<<16 | 'V'<<8 | 9
	vidiocQBuf      = ioRead | ioWrite | bufferSize<<16 | 'V'<<8 | 15
	vidiocDQBuf     = ioRead | ioWrite | bufferSize<<16 | 'V'<<8 | 17
	vidiocStreamOn  = ioWrite | 4<<16 | 'V'<<8 | 18
	vidiocStreamOff = ioWrite | 4<<16 | 'V'<<8 | 19
	vidiocSetParm   = ioRead | ioWrite | streamParmSize<<16 | 'V'<<8 | 22
)

// Sizes of the structures.
const (
	capabilitySize = 104
	fmtDescSize    = 64
	formatSize     = 208
	reqBufsSize    = 20
	bufferSize     = 88
	streamParmSize = 204
)

// Values of the structures' fields.
const (
	bufTypeCapture = 1
	memoryMMap     = 1
	fieldNone      = 1

	capCapture    = 1 << 0
	capStreaming  = 1 << 26
	capDeviceCaps = 1 << 31

	bufFlagError     = 1 << 6
	bufFlagClockMask = 7 << 13
	bufFlagMonotonic = 1 << 13

	colorspaceJPEG    = 7
	quantizationFull  = 1
	extendedPixFields = 0xfeedcafe // V4L2_PIX_FMT_PRIV_MAGIC: quantization is valid

	fourccYUYV = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24
	fourccMJPG = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24
	fourccJPEG = 'J' | 'P'<<8 | 'E'<<16 | 'G'<<24
)

func get32(b []byte, offset int) uint32    { return binary.NativeEndian.Uint32(b[offset:]) }
func put32(b []byte, offset int, v uint32) { binary.NativeEndian.PutUint32(b[offset:], v) }
func get64(b []byte, offset int) uint64    { return binary.NativeEndian.Uint64(b[offset:]) }
func ofType(size int) []byte               { b := make([]byte, size); put32(b, 0, bufTypeCapture); return b }
func streamArg() []byte                    { return ofType(4) }

// capabilities is struct v4l2_capability.
type capabilities []byte

// node returns what this node can do; a camera has further ones that share its
// driver, such as that of its metadata.
func (c capabilities) node() uint32 {
	if all := get32(c, 84); all&capDeviceCaps == 0 {
		return all
	}
	return get32(c, 88)
}

// formatDescription is struct v4l2_fmtdesc of the format with an index.
func formatDescription(index uint32) []byte {
	b := make([]byte, fmtDescSize)
	put32(b, 0, index)
	put32(b, 4, bufTypeCapture)
	return b
}

// pixelFormat is struct v4l2_format of a capture in one plane.
type pixelFormat []byte

func newPixelFormat(width, height int, fourcc uint32) pixelFormat {
	b := ofType(formatSize)
	put32(b, 8, uint32(width))
	put32(b, 12, uint32(height))
	put32(b, 16, fourcc)
	put32(b, 20, fieldNone)
	put32(b, 36, extendedPixFields)
	return b
}

func (f pixelFormat) width() int     { return int(get32(f, 8)) }
func (f pixelFormat) height() int    { return int(get32(f, 12)) }
func (f pixelFormat) fourcc() uint32 { return get32(f, 16) }
func (f pixelFormat) stride() int    { return int(get32(f, 24)) }

// fullRange tells whether luma uses all of 0..255.
func (f pixelFormat) fullRange() bool {
	if get32(f, 36) == extendedPixFields && get32(f, 48) != 0 {
		return get32(f, 48) == quantizationFull
	}
	return get32(f, 32) == colorspaceJPEG
}

// frameRate is struct v4l2_streamparm that asks for pictures per second.
func frameRate(fps int) []byte {
	b := ofType(streamParmSize)
	put32(b, 12, 1)
	put32(b, 16, uint32(fps))
	return b
}

// bufferRequest is struct v4l2_requestbuffers; the driver answers with a count
// of its own.
func bufferRequest(count uint32) []byte {
	b := make([]byte, reqBufsSize)
	put32(b, 0, count)
	put32(b, 4, bufTypeCapture)
	put32(b, 8, memoryMMap)
	return b
}

// videoBuffer is struct v4l2_buffer.
type videoBuffer []byte

func newVideoBuffer(index uint32) videoBuffer {
	b := make([]byte, bufferSize)
	put32(b, 0, index)
	put32(b, 4, bufTypeCapture)
	put32(b, 60, memoryMMap)
	return b
}

func (b videoBuffer) index() uint32    { return get32(b, 0) }
func (b videoBuffer) used() int        { return int(get32(b, 8)) }
func (b videoBuffer) flags() uint32    { return get32(b, 12) }
func (b videoBuffer) sequence() uint32 { return get32(b, 56) }
func (b videoBuffer) offset() int64    { return int64(get32(b, 64)) }
func (b videoBuffer) length() int      { return int(get32(b, 72)) }

// captureNS returns the driver's stamp, if it is one of the monotonic clock.
func (b videoBuffer) captureNS() (int64, bool) {
	ns := int64(get64(b, 24))*int64(time.Second) + int64(get64(b, 32))*int64(time.Microsecond)
	return ns, b.flags()&bufFlagClockMask == bufFlagMonotonic && ns > 0
}
