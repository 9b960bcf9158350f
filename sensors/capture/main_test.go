package capture

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counter counts outcomes.
type counter map[string]uint64

func (c counter) count(o string, n uint64) { c[o] += n }
