package camera

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"io"
)

// jpegDecoder decodes the JPEGs of one camera.
type jpegDecoder struct{}

// decode returns the picture of a JPEG. The error is an *ImageError.
func (*jpegDecoder) decode(data []byte) (image.Image, error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, &ImageError{BadImage, err.Error()}
	}
	if err := checkSize(c.Width, c.Height); err != nil {
		return nil, err
	}
	img, err := jpeg.Decode(bytes.NewReader(data))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &ImageError{ImageCut, err.Error()}
	case err != nil:
		return nil, &ImageError{BadImage, err.Error()}
	}
	return img, nil
}
