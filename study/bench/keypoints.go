package bench

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"posefuse/model"
	"posefuse/model/keypoint"
)

// keypointTask is the row of the camera's detector.
const keypointTask = "keypoints lightning"

// keypoints times a picture in the camera's detector, whole, against the
// network of it alone in ONNX Runtime, both on one core. Nobody is in the
// picture, so that it is looked at once.
func (p *peers) keypoints(ctx context.Context) error {
	d, err := keypoint.New(keypoint.Options{})
	if errors.Is(err, keypoint.ErrNoWeights) {
		p.report.Notes = append(p.report.Notes, "keypoints: left out: "+err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(1, 1))
	img := image.NewYCbCr(image.Rect(0, 0, 640, 480), image.YCbCrSubsampleRatio420)
	for _, plane := range [][]uint8{img.Y, img.Cb, img.Cr} {
		for i := range plane {
			plane[i] = uint8(128 + rng.IntN(32))
		}
	}
	tick := func() error {
		_, looked := d.Detect(img)
		return looked
	}
	if err = tick(); err != nil {
		return err
	}
	allocs, err := allocationsPerRun(10, tick)
	if err != nil {
		return err
	}
	p.allocs = max(p.allocs, allocs)
	ours := contestant{run: func(runs int) (timings, error) { return repeat(0, runs, tick) }}
	all := []contestant{ours}
	switch c, absent := p.movenet(ctx); {
	case absent == nil:
		all = append(all, c...)
	case !errors.Is(absent, errAbsent):
		return absent
	}
	model.SetThreads(1)
	defer model.SetThreads(p.Threads)
	row, err := p.compete(keypointTask, all)
	if err != nil {
		return err
	}
	row.Threads = 1
	return p.tail(row, ours)
}

// movenet writes the published network for ONNX Runtime.
func (p *peers) movenet(ctx context.Context) ([]contestant, error) {
	if why, gone := p.absent[peerORT]; gone {
		return nil, fmt.Errorf("%w: %s", errAbsent, why)
	}
	if _, err := os.Stat(p.MoveNet); err != nil {
		p.report.Notes = append(p.report.Notes, fmt.Sprintf("keypoints: ONNX Runtime left out: %v: make weights fetches it", err))
		return nil, fmt.Errorf("%w: %w", errAbsent, err)
	}
	graph, err := filepath.Abs(p.MoveNet)
	if err != nil {
		return nil, fmt.Errorf("movenet: %w", err)
	}
	file := filepath.Join(p.dir, "movenet.onnx")
	cmd := exec.CommandContext(ctx, p.Node, "movenet.mjs", "--graph", graph, "--out", file)
	cmd.Dir = filepath.Join(p.Scripts, "ort")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("movenet.mjs: %w\n%s", err, firstLines(out, 5))
	}
	return p.ortWays(ctx, peerORT, file, 1)
}
