package radar

import (
	"testing"

	"go.uber.org/goleak"

	"posefuse/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// capture reads a file of ../shared/captures/radar-ti.
func recorded(t testing.TB, name string) []byte {
	t.Helper()
	return testenv.ReadShared(t, "captures/radar-ti", name)
}
