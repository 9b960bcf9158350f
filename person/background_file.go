package person

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// The file of a background: the magic, a header of nine float64 (the region,
// the LiDAR's place) and the steps learned, then for voxels and for the
// radar's columns pairs of a count (uvarint) and the presence of so many (a
// byte), and the CRC-32 of all before it. Integers are little-endian.
const (
	fileMagic   = "posefuse background 1\n"
	fileHeader  = 9*8 + 4
	maxFileSize = 16 << 20 // larger than any region's
)

// SaveBackground writes what has been learned of the room, for LoadBackground
// after a restart. What the person hides or fills is not in it.
func (f *Finder) SaveBackground(w io.Writer) error {
	b := []byte(fileMagic)
	for _, v := range f.fileHeader() {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(min(f.back.steps, math.MaxInt32)))
	b = appendRuns(b, f.back.presence)
	b = appendRuns(b, f.radar.clutter)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write the background: %w", err)
	}
	return nil
}

func (f *Finder) fileHeader() (h [9]float64) {
	copy(h[:3], f.grid.box.MinM[:])
	copy(h[3:6], f.grid.box.MaxM[:])
	copy(h[6:], f.lidarAtM[:])
	return h
}

func appendRuns(b, values []byte) []byte {
	for len(values) > 0 {
		n := 1
		for n < len(values) && values[n] == values[0] {
			n++
		}
		b = append(binary.AppendUvarint(b, uint64(n)), values[0])
		values = values[n:]
	}
	return b
}

// ErrOtherRoom says that a background belongs to another region or LiDAR.
var ErrOtherRoom = errors.New("it was learned with another region or another place of the LiDAR; it is learned anew, which takes about 20 s")

// LoadBackground replaces what has been learned by what SaveBackground wrote. On
// an error the finder is as before.
func (f *Finder) LoadBackground(r io.Reader) error {
	b, err := io.ReadAll(io.LimitReader(r, maxFileSize+1))
	switch {
	case err != nil:
		return fmt.Errorf("read the background: %w", err)
	case len(b) > maxFileSize:
		return fmt.Errorf("background of more than %d bytes: delete the file", maxFileSize)
	case !bytes.HasPrefix(b, []byte(fileMagic)):
		return errors.New("no background of this version: delete the file, it is learned anew")
	case len(b) < len(fileMagic)+fileHeader+4 || crc32.ChecksumIEEE(b[:len(b)-4]) != binary.LittleEndian.Uint32(b[len(b)-4:]):
		return errors.New("background cut short or changed: delete the file, it is learned anew")
	}
	body := b[len(fileMagic) : len(b)-4]
	for i, want := range f.fileHeader() {
		if got := math.Float64frombits(binary.LittleEndian.Uint64(body[8*i:])); !(math.Abs(got-want) < 0.005) {
			return fmt.Errorf("background: %w", ErrOtherRoom)
		}
	}
	steps := binary.LittleEndian.Uint32(body[9*8:])
	runs := bufio.NewReader(bytes.NewReader(body[fileHeader:]))
	presence, clutter := make([]byte, len(f.back.presence)), make([]byte, len(f.radar.clutter))
	if err := errors.Join(readRuns(runs, presence), readRuns(runs, clutter)); err != nil {
		return fmt.Errorf("background: %w", err)
	}
	if _, err := runs.ReadByte(); err != io.EOF {
		return errors.New("background: more in it than the region has voxels; delete the file, it is learned anew")
	}
	f.back = newBackground(len(f.full))
	f.back.presence, f.radar.clutter = presence, clutter
	f.back.steps = int(min(steps, math.MaxInt32))
	for c := range f.full {
		for k := range zCells {
			f.back.setBits(c, k)
		}
	}
	return nil
}

func readRuns(r *bufio.Reader, dst []byte) error {
	for done := 0; done < len(dst); {
		n, err := binary.ReadUvarint(r)
		if err != nil {
			return fmt.Errorf("run at voxel %d: %w", done, err)
		}
		v, err := r.ReadByte()
		if err != nil {
			return fmt.Errorf("run at voxel %d: %w", done, err)
		}
		if n == 0 || n > uint64(len(dst)-done) {
			return fmt.Errorf("run of %d at voxel %d of %d", n, done, len(dst))
		}
		for i := range dst[done : done+int(n)] {
			dst[done+i] = v
		}
		done += int(n)
	}
	return nil
}
