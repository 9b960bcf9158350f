package mmfi

import (
	"fmt"
	"hash/fnv"

	"posefuse/recording"
)

// HoldOut takes a share of the clips, 0 to 1, out of keys. Which ones depends on
// the clip alone, so that every training holds out the same.
func HoldOut(keys []recording.Key, share float64) (rest, held []recording.Key) {
	for _, k := range keys {
		h := fnv.New32a()
		_, _ = fmt.Fprint(h, Path(k)) // never fails
		if float64(h.Sum32()%10000)/10000 < share {
			held = append(held, k)
		} else {
			rest = append(rest, k)
		}
	}
	return rest, held
}
