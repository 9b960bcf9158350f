package mmfi

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"posefuse/recording"
)

// partialSuffix marks a clip that is being written or was left unfinished.
const partialSuffix = ".partial"

// WriteClip writes a clip below root in MM-Fi's layout and types: rgb float64
// (17,2) .npy, lidar and mmwave raw float64 .bin, wifi-csi .mat and ground
// truth float32 (n,17,3) .npy, and the keypoints' scores where the clip tells them. The clip appears under its name only when it is
// complete; until then its folder ends in ".partial", and what an earlier,
// interrupted run left there is replaced. A clip that already exists is an
// error wrapping fs.ErrExist. If progress is not nil it is called after each
// frame with the number of frames written.
func WriteClip(root string, c recording.Clip, progress func(frames int)) error {
	final := filepath.Join(root, filepath.FromSlash(Path(c.Key())))
	if _, err := os.Stat(final); err == nil {
		return fmt.Errorf("mmfi: write clip: %s: %w", final, fs.ErrExist)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("mmfi: write clip: %w", err)
	}
	partial := final + partialSuffix
	if err := os.RemoveAll(partial); err != nil {
		return fmt.Errorf("mmfi: write clip: %w", err)
	}
	for _, folder := range []string{rgbFolder, lidarFolder, mmWaveFolder, csiFolder} {
		if err := os.MkdirAll(filepath.Join(partial, folder), 0o755); err != nil {
			return fmt.Errorf("mmfi: write clip: %w", err)
		}
	}
	var f recording.Frame
	truth := make([]float32, 0, c.Len()*17*3)
	var scores []float64
	for i := range c.Len() {
		if err := c.Frame(i, &f); err != nil {
			return fmt.Errorf("mmfi: write clip %s: frame %d: %w", Path(c.Key()), i+1, err)
		}
		if err := writeFrame(partial, i, &f); err != nil {
			return fmt.Errorf("mmfi: write clip %s: frame %d: %w", Path(c.Key()), i+1, err)
		}
		scores = append(scores, f.Scores...)
		pose, err := c.Truth(i)
		if err != nil {
			return fmt.Errorf("mmfi: write clip %s: frame %d: %w", Path(c.Key()), i+1, err)
		}
		for _, joint := range pose {
			truth = append(truth, float32(joint[0]), float32(joint[1]), float32(joint[2]))
		}
		if progress != nil {
			progress(i + 1)
		}
	}
	if err := writeArray(filepath.Join(partial, groundTruthName), NewFloat32Array(truth, c.Len(), 17, 3)); err != nil {
		return fmt.Errorf("mmfi: write clip: %w", err)
	}
	if len(scores) == c.Len()*17 && len(scores) > 0 { // the clip tells them
		if err := writeArray(filepath.Join(partial, scoresName), NewFloat64Array(scores, c.Len(), 17)); err != nil {
			return fmt.Errorf("mmfi: write clip: %w", err)
		}
	}
	if err := os.Rename(partial, final); err != nil {
		return fmt.Errorf("mmfi: write clip: %w", err)
	}
	return nil
}

// writeFrame writes the four sensor files of frame i below folder.
func writeFrame(folder string, i int, f *recording.Frame) error {
	if len(f.LiDAR)%LiDARColumns != 0 || len(f.MmWave)%MmWaveColumns != 0 {
		return fmt.Errorf("%d lidar and %d mmwave values are not whole rows", len(f.LiDAR), len(f.MmWave))
	}
	rgb := make([]float64, 0, 34)
	for _, xy := range f.RGB {
		rgb = append(rgb, xy[0], xy[1])
	}
	name := frameName(i)
	if err := writeArray(filepath.Join(folder, rgbFolder, name+".npy"), NewFloat64Array(rgb, 17, 2)); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(folder, lidarFolder, name+".bin"), AppendPoints(nil, f.LiDAR)); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(folder, mmWaveFolder, name+".bin"), AppendPoints(nil, f.MmWave)); err != nil {
		return err
	}
	csi, err := EncodeCSI(f.CSIAmp, f.CSIPhase)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(folder, csiFolder, name+".mat"), csi)
}

func writeArray(path string, a *Array) error {
	var b bytes.Buffer
	if err := WriteNPY(&b, a); err != nil {
		return err
	}
	return writeFile(path, b.Bytes())
}

func writeFile(path string, b []byte) error {
	return os.WriteFile(path, b, 0o644)
}
