package sensors

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestGuardHTTP(t *testing.T) {
	for in, want := range map[string]bool{
		"POST / HTTP/1.1\r\n":  true,
		"GET http://x":         true,
		"PROPFIND /":           true,
		"{\"capture_ns\": 1}":  false,
		"CSI_DATA,0,1":         false,
		" GET /":               false,
		"Get /":                false,
		"ABCDEFGHIJKLMNOPQR /": false, // longer than any method
		"\x02\x9cPOST /":       false,
		"GET":                  false,
	} {
		for split, r := range map[string]io.Reader{"whole": strings.NewReader(in), "bytes": iotest.OneByteReader(strings.NewReader(in))} {
			got, err := io.ReadAll(GuardHTTP(io.NopCloser(r)))
			if errors.Is(err, ErrHTTP) != want || !want && string(got) != in || strings.Contains(string(got), " ") && want {
				t.Errorf("%q, %s: %q, %v", in, split, got, err)
			}
		}
	}
}
