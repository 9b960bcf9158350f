package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"posefuse/model/safetensors"
)

// Tensor is a named float32 tensor of a file of tensors that belong to no
// checkpoint's card, such as the state of an optimiser.
type Tensor struct {
	Name  string
	Shape []int
	Value []float32 // row-major, as many as the shape says
}

// WriteTensors writes tensors in the safetensors format: header length (8
// bytes, little endian), JSON header, data. It takes little memory however
// large they are.
func WriteTensors(w io.Writer, tensors []Tensor) error {
	named := make([]safetensors.Named, len(tensors))
	for i, t := range tensors {
		named[i] = safetensors.Named{Name: t.Name, DType: "F32", Shape: t.Shape, Bytes: 4 * int64(len(t.Value))}
	}
	h, err := safetensors.Header(named, map[string]string{"format": "pt"})
	if err != nil {
		return err
	}
	if _, err = w.Write(h); err != nil {
		return err
	}
	const chunk = 1 << 14 // values at a time
	buf := make([]byte, 0, 4*chunk)
	for _, t := range tensors {
		for part := range slices.Chunk(t.Value, chunk) {
			buf = buf[:0]
			for _, v := range part {
				buf = binary.LittleEndian.AppendUint32(buf, math.Float32bits(v))
			}
			if _, err = w.Write(buf); err != nil {
				return err
			}
		}
	}
	return nil
}

// ReadTensors reads the file that WriteTensors wrote, whose SHA-256 is sum in
// hexadecimal, into the tensors' values. The file must hold just these tensors
// with these shapes; nothing is changed if it is refused.
func ReadTensors(file, sum string, into []Tensor) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read tensors: %w", err)
	}
	defer f.Close()
	m, err := readWeightFile(f)
	if err != nil {
		return fmt.Errorf("read tensors: %s: %w", file, err)
	}
	err = guarded(func() error { return m.copyTo(into, sum) })
	if err = errors.Join(err, m.close()); err != nil {
		return fmt.Errorf("read tensors: %s: %w", file, err)
	}
	return nil
}

func (m *mapping) copyTo(into []Tensor, sum string) error {
	if got := sha256.Sum256(m.data); hex.EncodeToString(got[:]) != sum {
		return fmt.Errorf("sha256 is %x, want %s: the file was changed or damaged", got, sum)
	}
	have, err := safetensors.Decode(m.data)
	if err != nil {
		return err
	}
	want := &layout{}
	for _, t := range into {
		want.tensors = append(want.tensors, namedTensor{name: t.Name, shape: t.Shape})
	}
	if err := want.compare(have); err != nil {
		return err
	}
	for _, t := range into {
		v, _ := floats(have[t.Name].Data)
		copy(t.Value, v)
	}
	return nil
}
