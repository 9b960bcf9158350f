// Package mmfi reads and writes recordings in the layout of the MM-Fi data
// set: E01..E04 / S01..S40 / A01..A27 / {rgb,lidar,mmwave,wifi-csi}.
package mmfi

import (
	"fmt"

	"posefuse/recording"
)

// FramesPerClip is the number of frames of an MM-Fi clip.
const FramesPerClip = 297

// Environment returns the scene of a subject, 1..40: E01 to E04.
func Environment(subject int) int { return (subject-1)/10 + 1 }

// Path returns a clip's folder below the data set's root, with slashes, e.g.
// "E01/S05/A12".
func Path(k recording.Key) string {
	return fmt.Sprintf("E%02d/%s", Environment(k.Subject), k)
}
