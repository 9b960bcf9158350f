package mars

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"posefuse/recording"
	"posefuse/recording/mmfi"
)

// labelled are the 19 of the Kinect's joints that the authors' labels have, in order.
var labelled = [19]int{0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 12, 13, 14, 15, 16, 17, 18, 19, 20}

// featurePoints is how many points a feature map holds, 8 x 8; what it lacks is zero.
const featurePoints = 64

// openFeatures takes a folder of the authors' feature maps: all people and movements
// in one clip, whose borders are those of the three files. It reports false if the
// folder is another one.
func (d *Dataset) openFeatures(root string) (bool, error) {
	for _, below := range []string{".", "feature"} {
		folder := filepath.Join(root, below)
		_, err := os.Stat(filepath.Join(folder, "featuremap_train.npy"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("mars: %w", err)
		}
		key := recording.Key{Subject: 1, Activity: 1}
		d.keys, d.form = []recording.Key{key}, "the authors' feature maps, all people and movements as one clip"
		d.history = recording.Window{} // maps of several movements lie side by side
		d.open[key] = func() (*clip, error) { return readFeatures(folder) }
		return true, nil
	}
	return false, nil
}

func readFeatures(folder string) (*clip, error) {
	c := &clip{}
	for _, part := range parts {
		maps, err := readArray(filepath.Join(folder, "featuremap_"+part+".npy"), 8, 8, radarColumns)
		if err != nil {
			return nil, err
		}
		labels, err := readArray(filepath.Join(folder, "labels_"+part+".npy"), 3*len(labelled))
		if err != nil {
			return nil, err
		}
		if maps.Shape[0] != labels.Shape[0] {
			return nil, fmt.Errorf("mars: %s: %d feature maps of %s, but %d labels: copy them again", folder, maps.Shape[0], part, labels.Shape[0])
		}
		points, truth := maps.Float64(), labels.Float64()
		for i := range maps.Shape[0] {
			f := span{number: len(c.frames) * (maxRadarHistory + 1), first: len(c.points) / radarColumns}
			for p := range featurePoints {
				row := points[(i*featurePoints+p)*radarColumns:][:radarColumns]
				if [radarColumns]float64(row) == ([radarColumns]float64{}) {
					continue
				}
				c.points = append(c.points, row[0], row[1], row[2], row[3], 10*math.Log10(math.Max(row[4], 1)))
				f.n++
			}
			c.frames = append(c.frames, f)
			var joints [kinectJoints * 3]float64
			for k, j := range labelled {
				for axis := range 3 {
					joints[3*j+axis] = truth[i*3*len(labelled)+axis*len(labelled)+k]
				}
			}
			c.joints = append(c.joints, joints[:]...)
		}
		c.borders = append(c.borders, len(c.frames))
	}
	return c, nil
}

func readArray(path string, inner ...int) (*mmfi.Array, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("mars: %w", err)
	}
	defer func() { _ = f.Close() }()
	a, err := mmfi.ReadNPY(f)
	if err != nil {
		return nil, fmt.Errorf("mars: %s: %w", path, err)
	}
	if err := checkRows(a, path, inner...); err != nil {
		return nil, err
	}
	return a, nil
}
