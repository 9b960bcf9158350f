package testenv

import (
	"os"
	"path/filepath"
	"testing"
)

// OpenCVPicture returns the path of a picture or film among the examples of
// Debian's package opencv-doc. Where the package is missing the test is
// skipped, and fails under CI=true.
func OpenCVPicture(t testing.TB, name string) string {
	t.Helper()
	return debianPicture(t, "opencv-doc", filepath.Join("/usr/share/doc/opencv-doc/examples/data", name))
}

// ScikitPicture returns the path of a picture of Debian's package
// python3-skimage, as OpenCVPicture does.
func ScikitPicture(t testing.TB, name string) string {
	t.Helper()
	return debianPicture(t, "python3-skimage", filepath.Join("/usr/lib/python3/dist-packages/skimage/data", name))
}

func debianPicture(t testing.TB, pkg, path string) string {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		LeaveOut(t, path+" is missing: apt install "+pkg)
	}
	return path
}
