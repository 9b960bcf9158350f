package pipeline

import (
	"testing"

	"go.uber.org/goleak"
)

// The kernel's workers stay for the life of the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("posefuse/model/nn/kernel.work"))
}
