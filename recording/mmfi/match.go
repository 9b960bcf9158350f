package mmfi

import (
	"fmt"
	"strings"

	"posefuse/recording"
)

// Match returns the clips of ds whose path (E01/S05/A12) contains each
// part of pattern, or of one of several separated by commas.
func Match(ds recording.Dataset, pattern string) ([]recording.Key, error) {
	var keys []recording.Key
	for _, k := range ds.Keys() {
		for one := range strings.SplitSeq(pattern, ",") {
			if matches(k, one) {
				keys = append(keys, k)
				break
			}
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("no clip of %s matches %q; a pattern is a part of the path, e.g. S05/A12", ds.Describe(), pattern)
	}
	return keys, nil
}

// matches reports whether the clip's path, e.g. E01/S05/A12, holds each
// slash-separated part of pattern.
func matches(k recording.Key, pattern string) bool {
	have := strings.Split(Path(k), "/")
	for part := range strings.SplitSeq(pattern, "/") {
		found := false
		for _, h := range have {
			found = found || strings.EqualFold(h, part)
		}
		if !found {
			return false
		}
	}
	return true
}
