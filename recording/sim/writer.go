package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"

	"github.com/google/renameio/v2"
	"golang.org/x/sync/errgroup"

	"posefuse/recording"
	"posefuse/recording/mmfi"
)

// CleanTruthName is the file beside ground_truth.npy that holds the joints
// without label noise, camera frame, float32 (n, 17, 3).
const CleanTruthName = "clean_truth.npy"

// Manifest is the content of SIMULATED.json, which marks a data set as
// simulated and says exactly how to make it again. No loader of training data
// reads more of it than that it exists.
type Manifest struct {
	Statement        string         `json:"statement"` // "simulated sensors"
	GeneratorVersion string         `json:"generator_version"`
	Note             string         `json:"note"`
	Config           Config         `json:"config"`
	Preset           Preset         `json:"preset"`
	Lidar            OusterMetadata `json:"lidar_metadata"`
	Clips            []ManifestClip `json:"clips"`
}

// ManifestClip is one sequence of the manifest.
type ManifestClip struct {
	Clip         string        `json:"clip"` // e.g. E01/S03/A12
	Motion       string        `json:"motion"`
	Repetitions  []float64     `json:"repetition_ends_s"`
	Extrinsics   Extrinsics    `json:"extrinsics"`
	Degradations []Degradation `json:"degradations,omitempty"`
}

// manifestNote is the wording simulator.md 12 asks for.
const manifestNote = "Simulated sensors on procedural or motion-capture movement; not MM-Fi. No figure obtained on it is an MM-Fi result."

// Manifest describes the whole data set; it opens every clip, but makes no frame.
func (d *Dataset) Manifest() (Manifest, error) {
	m := Manifest{
		Statement: Statement, GeneratorVersion: Version, Note: manifestNote,
		Config: d.cfg, Preset: d.preset, Lidar: NewOusterMetadata(),
		Clips: make([]ManifestClip, 0, len(d.keys)),
	}
	for _, k := range d.keys {
		c, err := d.Clip(k)
		if err != nil {
			return Manifest{}, err
		}
		m.Clips = append(m.Clips, ManifestClip{
			Clip: mmfi.Path(k), Motion: c.motion.Source(), Repetitions: c.motion.Repetitions(),
			Extrinsics: c.extrinsics, Degradations: c.Degradations(),
		})
	}
	return m, nil
}

// Progress says how far writing has come.
type Progress struct {
	ClipsDone, Clips   int // clips finished, including those found finished
	FramesDone, Frames int // frames of clips that had to be written
}

// WriteOptions controls Dataset.Write.
type WriteOptions struct {
	// Workers is the number of clips written at the same time, 0 for one per CPU.
	Workers int
	// Progress, if not nil, is called after every frame; calls never overlap.
	Progress func(Progress)
}

// ErrOtherDataset is returned when the folder holds something else than the
// unfinished or finished form of the same data set.
var ErrOtherDataset = errors.New("folder holds another data set")

// Write writes the data set below root in MM-Fi's layout, with SIMULATED.json
// and rig.json beside the environments and clean_truth.npy beside each ground_truth.npy.
// Clips that an earlier run of the same configuration finished are kept, so an
// interrupted run can be repeated to go on. The manifest is written first:
// whatever lies below root is marked as simulated from the first file on.
func (d *Dataset) Write(ctx context.Context, root string, opt WriteOptions) error {
	if err := d.writeManifest(root); err != nil {
		return err
	}
	if err := d.writeRig(root); err != nil {
		return err
	}
	workers := opt.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var mu sync.Mutex
	progress := Progress{Clips: len(d.keys), Frames: len(d.keys) * d.cfg.FramesPerClip}
	report := func(change func(*Progress)) {
		mu.Lock()
		defer mu.Unlock()
		change(&progress)
		if opt.Progress != nil {
			opt.Progress(progress)
		}
	}
	g, running := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for _, k := range d.keys {
		if running.Err() != nil {
			break
		}
		g.Go(func() error {
			if err := running.Err(); err != nil {
				return err
			}
			c, err := d.Clip(k)
			if err != nil {
				return err
			}
			return c.write(running, root, report)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

// cancelableClip ends a clip that is being written when its context ends.
type cancelableClip struct {
	*Clip
	ctx context.Context //nolint:containedctx // lives for one call of WriteClip
}

// Frame makes frame i unless the context has ended.
func (c cancelableClip) Frame(i int, f *recording.Frame) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	return c.Clip.Frame(i, f)
}

// write writes one clip and its clean truth, unless they are there already.
func (c *Clip) write(ctx context.Context, root string, report func(func(*Progress))) error {
	err := mmfi.WriteClip(root, cancelableClip{c, ctx}, func(int) {
		report(func(p *Progress) { p.FramesDone++ })
	})
	switch {
	case errors.Is(err, fs.ErrExist):
		report(func(p *Progress) { p.Frames -= c.frames })
	case err != nil:
		return fmt.Errorf("sim: %w", err)
	}
	// After the clip: a run that stops between the two writes it next time.
	path := filepath.Join(root, filepath.FromSlash(mmfi.Path(c.key)), CleanTruthName)
	if _, err := os.Stat(path); err != nil {
		if err := c.writeCleanTruth(path); err != nil {
			return err
		}
	}
	report(func(p *Progress) { p.ClipsDone++ })
	return nil
}

func (c *Clip) writeCleanTruth(path string) error {
	values := make([]float32, 0, c.frames*17*3)
	for i := range c.frames {
		pose, err := c.CleanTruth(i)
		if err != nil {
			return err
		}
		for _, j := range pose {
			values = append(values, float32(j[0]), float32(j[1]), float32(j[2]))
		}
	}
	var b bytes.Buffer
	if err := mmfi.WriteNPY(&b, mmfi.NewFloat32Array(values, c.frames, 17, 3)); err != nil {
		return fmt.Errorf("sim: clip %s: %w", mmfi.Path(c.key), err)
	}
	if err := renameio.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("sim: clip %s: write clean truth: %w", mmfi.Path(c.key), err)
	}
	return nil
}

// writeManifest writes SIMULATED.json, or checks that the one there belongs to
// the same data set.
func (d *Dataset) writeManifest(root string) error {
	m, err := d.Manifest()
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("sim: manifest: %w", err)
	}
	if err = os.MkdirAll(root, 0o755); err != nil {
		return fmt.Errorf("sim: write data set: %w", err)
	}
	path := filepath.Join(root, mmfi.ManifestName)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.writeNewManifest(root, path, text)
	case err != nil:
		return fmt.Errorf("sim: write data set: %w", err)
	}
	var was, now any
	if err := json.Unmarshal(old, &was); err != nil {
		return fmt.Errorf("sim: %s: %w: it is not a manifest; choose an empty folder", path, errors.Join(ErrOtherDataset, err))
	}
	if err := json.Unmarshal(text, &now); err != nil {
		return fmt.Errorf("sim: manifest: %w", err)
	}
	if !reflect.DeepEqual(was, now) {
		return fmt.Errorf("sim: %s: %w (other seed, preset, version or selection): choose an empty folder", path, ErrOtherDataset)
	}
	return nil
}

// writeRig writes where the sensors stand, as somebody would measure it.
func (d *Dataset) writeRig(root string) error {
	c, err := d.Clip(d.keys[0])
	if err != nil {
		return err
	}
	rig := c.Rig()
	b, err := mmfi.EncodeRig(&rig)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(root, mmfi.RigName), b, 0o644); err != nil {
		return fmt.Errorf("sim: write arrangement: %w", err)
	}
	return nil
}

// writeNewManifest refuses a folder that already holds clips: they would be
// taken for simulated ones.
func (d *Dataset) writeNewManifest(root, path string, text []byte) error {
	entries, err := os.ReadDir(root)
	if err != nil {
		return fmt.Errorf("sim: write data set: %w", err)
	}
	for _, e := range entries {
		if name := e.Name(); len(name) == 3 && name[0] == 'E' {
			return fmt.Errorf("sim: %s: %w (recordings without %s): choose an empty folder", root, ErrOtherDataset, mmfi.ManifestName)
		}
	}
	if err := renameio.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("sim: write manifest: %w", err)
	}
	return nil
}
