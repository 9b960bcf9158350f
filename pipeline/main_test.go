package pipeline

import (
	"testing"

	"go.uber.org/goleak"
)

// The kernel's workers wait for further work, asleep or awake.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("posefuse/model/nn/kernel.work"))
}
