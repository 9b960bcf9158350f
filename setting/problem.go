// Package setting says what is wrong with the settings of a configuration:
// typed problems that name their key, the checks that find most of them, and
// the addresses that settings hold. A block checks itself and names its keys
// as it knows them; who reads the block adds where it lies.
package setting

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is a setting that cannot work, found by a check or when it is used.
type Problem struct {
	Key string // of the setting, relative to the block it lies in
	Err error  // the reason, in words that follow "key: "
	// Text makes the whole text where it is not "key: reason".
	Text func(key string) string
}

// Error names the key and the reason.
func (p *Problem) Error() string {
	if p.Text != nil {
		return p.Text(p.Key)
	}
	return p.Key + ": " + p.Err.Error()
}

// Unwrap returns the reason.
func (p *Problem) Unwrap() error { return p.Err }

// Below returns the problem with the path of the block that its key is
// relative to, such as sensors.lidar.ouster.
func (p *Problem) Below(block string) *Problem {
	return &Problem{Key: block + "." + p.Key, Err: p.Err, Text: p.Text}
}

// Problems collects what is wrong with a block. Those of single keys are
// *Problem.
type Problems []error

// Add says what is wrong with a key.
func (p *Problems) Add(key, format string, args ...any) {
	*p = append(*p, &Problem{Key: key, Err: fmt.Errorf(format, args...)})
}

// Between refuses a number outside lo to hi.
func (p *Problems) Between(key string, v, lo, hi float64) {
	if !(v >= lo && v <= hi) { // also NaN
		plain := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
		p.Add(key, "%v is out of range, want %s to %s", v, plain(lo), plain(hi))
	}
}

// OneOf refuses a word that is not among those wanted.
func (p *Problems) OneOf(key, v string, want ...string) {
	if !slices.Contains(want, v) {
		p.Add(key, "%q is unknown: use %s", v, strings.Join(want, " or "))
	}
}

// Address refuses what is not host:port.
func (p *Problems) Address(key, v string) {
	if _, _, err := SplitAddress(v); err != nil {
		p.Add(key, "%w", err)
	}
}

// Join adds the problems of a block that lies at the given path.
func (p *Problems) Join(block string, of Problems) {
	for _, err := range of {
		if one, ok := err.(*Problem); ok { //nolint:errorlint // Add puts it there bare
			err = one.Below(block)
		}
		*p = append(*p, err)
	}
}
