package camera

import (
	"errors"
	"fmt"
	"image"
)

// Encoding says how the pixels of a Frame lie in its Data.
type Encoding uint8

// The encodings that cameras deliver.
const (
	// JPEG is a baseline or progressive JPEG; Huffman tables and the end
	// marker may be missing, as in motion JPEG.
	JPEG Encoding = iota
	// YUYV is packed 4:2:2, Y0 U Y1 V, BT.601 (V4L2_PIX_FMT_YUYV).
	YUYV
	// YUV420 is planar 4:2:0 with the full range of JPEG: Y, Cb, Cr, without
	// padding (ffmpeg's yuvj420p).
	YUV420
	// RGBA is four bytes a pixel, without padding: red, green, blue and 255.
	RGBA
)

// MaxPixels bounds a picture: 8K.
const MaxPixels = 7680 * 4320

// Frame is one picture as a camera delivered it.
type Frame struct {
	Seq       uint64 // the device's own count if it has one, else the driver's
	DeviceNS  int64  // driver's time of capture on its own clock, ns; valid if HasDevice
	HasDevice bool
	ReceiveNS int64 // room clock at reception, ns

	Encoding      Encoding
	Width, Height int  // pixels; of all but a JPEG, which says it itself
	Stride        int  // bytes from row to row of YUYV; 0 means 2*Width
	FullRange     bool // YUYV uses 0..255 and not the limited range of video
	Data          []byte
}

// Reasons for which a picture is rejected; they are the outcomes under which
// the source counts it.
const (
	BadImage   Reason = "bad_image"   // the data is not a picture of its encoding
	ImageSize  Reason = "image_size"  // no pixels, or more than MaxPixels
	ImageCut   Reason = "image_cut"   // the data ends before the picture
	ImageLimit Reason = "image_limit" // more bytes of compressed data than any camera sends
)

// ImageError is why a picture was rejected. It never holds data of the picture.
type ImageError struct {
	Reason Reason
	Detail string
}

// Error names the reason.
func (e *ImageError) Error() string {
	return fmt.Sprintf("picture rejected: %s: %s", e.Reason, e.Detail)
}

// decoder turns frames into pictures. It reuses its memory: a picture is valid
// until the next one.
type decoder struct {
	planes image.YCbCr
	pixels image.RGBA
	jpeg   jpegDecoder
}

// decode returns the picture of f. The error is an *ImageError.
func (d *decoder) decode(f *Frame) (image.Image, error) {
	if f.Encoding == JPEG {
		return d.jpeg.decode(f.Data)
	}
	if err := checkSize(f.Width, f.Height); err != nil {
		return nil, err
	}
	switch f.Encoding {
	case YUYV:
		return d.yuyv(f)
	case YUV420:
		return d.yuv420(f)
	case RGBA:
		return d.rgba(f)
	case JPEG:
	}
	return nil, &ImageError{BadImage, fmt.Sprintf("unknown encoding %d", f.Encoding)}
}

// checkSize refuses a picture without pixels or with too many.
func checkSize(width, height int) error {
	if width < 1 || height < 1 || width > MaxImageSide || height > MaxImageSide || width*height > MaxPixels {
		return &ImageError{ImageSize, fmt.Sprintf("%d x %d pixels, want 1 x 1 to %d pixels in all", width, height, MaxPixels)}
	}
	return nil
}

// yuv420 wraps the planes where they lie.
func (d *decoder) yuv420(f *Frame) (image.Image, error) {
	w, h := f.Width, f.Height
	cw, ch := (w+1)/2, (h+1)/2
	if need := w*h + 2*cw*ch; len(f.Data) < need {
		return nil, &ImageError{ImageCut, fmt.Sprintf("%d bytes, want %d", len(f.Data), need)}
	}
	y, c := w*h, cw*ch
	d.planes = image.YCbCr{Y: f.Data[:y], Cb: f.Data[y : y+c], Cr: f.Data[y+c : y+2*c],
		YStride: w, CStride: cw, SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, w, h)}
	return &d.planes, nil
}

// rgba wraps the pixels where they lie.
func (d *decoder) rgba(f *Frame) (image.Image, error) {
	if need := 4 * f.Width * f.Height; len(f.Data) < need {
		return nil, &ImageError{ImageCut, fmt.Sprintf("%d bytes, want %d", len(f.Data), need)}
	}
	d.pixels = image.RGBA{Pix: f.Data, Stride: 4 * f.Width, Rect: image.Rect(0, 0, f.Width, f.Height)}
	return &d.pixels, nil
}

// errNoDetector is a mistake of the program that runs the source.
var errNoDetector = errors.New("the camera has no keypoint detector")
