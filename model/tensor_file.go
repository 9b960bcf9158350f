package model

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"
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
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var at int64
	for _, t := range tensors {
		if header[t.Name] != nil {
			return fmt.Errorf("write tensors: %q is there twice", t.Name)
		}
		end := at + 4*int64(len(t.Value))
		header[t.Name] = tensorEntry{"F32", t.Shape, [2]int64{at, end}}
		at = end
	}
	h, err := json.Marshal(header)
	if err != nil {
		return fmt.Errorf("write tensors: header: %w", err)
	}
	h = append(h, strings.Repeat(" ", (8-len(h)%8)%8)...)
	if len(h) > maxHeader || at > maxWeights {
		return fmt.Errorf("write tensors: header of %d bytes and %d bytes of data, at most %d and %d can be read", len(h), at, maxHeader, maxWeights)
	}
	if _, err = w.Write(append(binary.LittleEndian.AppendUint64(nil, uint64(len(h))), h...)); err != nil {
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
	have, err := decodeSafetensors(m.data)
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
		v, _ := floats(have[t.Name].data)
		copy(t.Value, v)
	}
	return nil
}
