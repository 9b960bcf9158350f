package mmfi

import (
	"fmt"
	"math/bits"
	"slices"
	"sort"

	"gonum.org/v1/gonum/mathext/prng"

	"posefuse/recording"
)

// Size of the data set.
const (
	NumSubjects   = 40
	NumActivities = 27
)

// trainSubjects is how many of the 40 subjects the random split trains on:
// the data set's ratio of 0.8.
const trainSubjects = 32

// protocolActivities lists the activities of protocols 1 to 3 in the order of
// the data set's toolkit; the random split depends on that order.
var protocolActivities = map[int][]int{
	1: {2, 3, 4, 5, 13, 14, 17, 18, 19, 20, 21, 22, 23, 27},
	2: {1, 6, 7, 8, 9, 10, 11, 12, 15, 16, 24, 25, 26},
	3: {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27},
}

// ActivityNames holds the names of the 27 activities; index 0 is A01.
var ActivityNames = [NumActivities]string{
	"stretching and relaxing", "chest expansion (horizontal)", "chest expansion (vertical)",
	"twist left", "twist right", "mark time", "limb extension left", "limb extension right",
	"lunge left-front", "lunge right-front", "limb extension both", "squat",
	"raising hand left", "raising hand right", "lunge left side", "lunge right side",
	"waving hand left", "waving hand right", "picking up things", "throwing left",
	"throwing right", "kicking left", "kicking right", "body extension left",
	"body extension right", "jumping up", "bowing",
}

// Activities returns the activities of a protocol (1 daily, 2 rehabilitation,
// 3 all) in the toolkit's order.
func Activities(protocol int) ([]int, error) {
	a, ok := protocolActivities[protocol]
	if !ok {
		return nil, fmt.Errorf("unknown protocol %d: use 1, 2 or 3", protocol)
	}
	return slices.Clone(a), nil
}

// Split returns the clips to train and to validate on, in the toolkit's sample
// order: subjects as they first appear while walking the protocol's
// activities, then that subject's activities in protocol order. The split is
// "S1" (random: for each activity, by its position in the protocol, another
// 32 of the 40 subjects train), "S2" (cross-subject: every fifth subject
// validates) or "S3" (cross-scene: environment E04 validates). Reference:
// model.md 1.4.
func Split(protocol int, split string) (train, val []recording.Key, err error) {
	activities, err := Activities(protocol)
	if err != nil {
		return nil, nil, err
	}
	var t, v clipOrder
	for i, activity := range activities {
		var validates []int
		switch split {
		case "S1":
			validates = randomValidation(uint32(i))
		case "S2":
			validates = []int{5, 10, 15, 20, 25, 30, 35, 40}
		case "S3":
			validates = []int{31, 32, 33, 34, 35, 36, 37, 38, 39, 40}
		default:
			return nil, nil, fmt.Errorf("unknown split %q: use S1 (random), S2 (cross-subject) or S3 (cross-scene)", split)
		}
		for subject := 1; subject <= NumSubjects; subject++ {
			k := recording.Key{Subject: subject, Activity: activity}
			if _, found := slices.BinarySearch(validates, subject); found {
				v.add(k)
			} else {
				t.add(k)
			}
		}
	}
	return t.keys(), v.keys(), nil
}

// randomValidation returns the validation subjects of the random split for a
// seed, sorted, 1-based.
func randomValidation(seed uint32) []int {
	perm := permutation(seed, NumSubjects)
	val := perm[trainSubjects:]
	for i := range val {
		val[i]++
	}
	sort.Ints(val)
	return val
}

// clipOrder groups clips by subject in order of first appearance.
type clipOrder struct {
	subjects []int
	clips    [NumSubjects + 1][]recording.Key
}

func (o *clipOrder) add(k recording.Key) {
	if len(o.clips[k.Subject]) == 0 {
		o.subjects = append(o.subjects, k.Subject)
	}
	o.clips[k.Subject] = append(o.clips[k.Subject], k)
}

func (o *clipOrder) keys() []recording.Key {
	var out []recording.Key
	for _, s := range o.subjects {
		out = append(out, o.clips[s]...)
	}
	return out
}

// permutation shuffles 0..n-1 by Fisher-Yates from the end, with the 32-bit
// Mersenne Twister and its plain seeding, which the data set's random split is
// defined by. An index is drawn by masking the next output to the bits of i and
// rejecting what exceeds i.
func permutation(seed uint32, n int) []int {
	g := prng.NewMT19937()
	g.Seed(uint64(seed))
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i >= 1; i-- {
		mask := uint32(1)<<bits.Len32(uint32(i)) - 1
		j := g.Uint32() & mask
		for j > uint32(i) {
			j = g.Uint32() & mask
		}
		p[i], p[j] = p[j], p[i]
	}
	return p
}
