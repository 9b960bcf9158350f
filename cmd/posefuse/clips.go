package main

import (
	"strings"

	"posefuse/recording"
	"posefuse/recording/mmfi"
)

// clipMatches reports whether the clip's path, e.g. E01/S05/A12, holds each
// slash-separated part of pattern.
func clipMatches(k recording.Key, pattern string) bool {
	have := strings.Split(mmfi.Path(k), "/")
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
