package camera

import (
	"maps"
	"strings"
	"testing"
)

func TestParseChallenges(t *testing.T) {
	for header, want := range map[string][]challenge{
		``:             nil,
		`Basic`:        {{"basic", map[string]string{}}},
		`basic realm=`: {{"basic", map[string]string{"realm": ""}}},
		`Digest realm="a, \"b\"", nonce=abc , qop = "auth,auth-int", stale=TRUE`: {{"digest", map[string]string{"realm": `a, "b"`, "nonce": "abc", "qop": "auth,auth-int", "stale": "TRUE"}}},
		`Negotiate, Digest nonce="x",opaque="", Basic realm="r"`:                 {{"negotiate", map[string]string{}}, {"digest", map[string]string{"nonce": "x", "opaque": ""}}, {"basic", map[string]string{"realm": "r"}}},
		`realm="without a scheme"`:                                               nil,
		`" , Digest nonce="never closed`:                                         {{"digest", map[string]string{"nonce": "never closed"}}},
	} {
		got := parseChallenges(header)
		if len(got) != len(want) {
			t.Errorf("%s: %v, want %v", header, got, want)
			continue
		}
		for i, w := range want {
			if got[i].scheme != w.scheme || !maps.Equal(got[i].params, w.params) {
				t.Errorf("%s: %v, want %v", header, got[i], w)
			}
		}
	}
}

func TestStrongestChallenge(t *testing.T) {
	const md5, sha = `Digest realm="r", nonce="m"`, `Digest realm="r", nonce="s", algorithm=SHA-256`
	for _, c := range []struct {
		headers []string
		want    string // scheme and nonce
	}{
		{nil, ""},
		{[]string{`NTLM`, `Bearer realm="x"`}, ""},
		{[]string{`Basic realm="r"`, md5, sha}, "digest s"},
		{[]string{sha + ", " + md5 + `, Basic realm="r"`}, "digest s"},
		{[]string{`Basic realm="r"`, md5}, "digest m"},
		{[]string{`Digest realm="r", nonce="x", algorithm=TOKEN`, `Basic realm="r"`}, "basic "},
		{[]string{`Digest realm="r", nonce="x", qop="auth-int"`}, ""},
		{[]string{`Digest realm="r"`}, ""},
		{[]string{`Digest nonce="x", algorithm=md5-sess, qop="auth-int, auth"`}, "digest x"},
	} {
		got := ""
		if b := strongest(c.headers); b != nil {
			got = b.scheme + " " + b.params["nonce"]
		}
		if got != c.want {
			t.Errorf("%q: %q, want %q", c.headers, got, c.want)
		}
	}
}

// TestAuthorization holds the answers against worked examples: those of RFC
// 7616 (3.9.1), of RFC 2617 (3.5) and of RFC 7617 (2), and against values of
// Python's hashlib for what these leave out.
func TestAuthorization(t *testing.T) {
	const rfc7616 = `realm="http-auth@example.org", qop="auth, auth-int", nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
	mufasa := credentials{"Mufasa", "Circle of Life"}
	for name, c := range map[string]struct {
		challenge string
		who       credentials
		uri       string
		cnonce    string
		want      []string
	}{
		"RFC 7616, MD5": {`Digest algorithm=MD5, ` + rfc7616, mufasa, "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", []string{
			`Digest username="Mufasa", `, `uri="/dir/index.html"`, `, algorithm=MD5, qop=auth, nc=00000001, `, `response="8ca523f5e9506fed4657c9700eebdbec"`, `opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`}},
		"RFC 7616, SHA-256": {`Digest algorithm=SHA-256, ` + rfc7616, mufasa, "/dir/index.html", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", []string{
			`response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"`, `algorithm=SHA-256`}},
		"RFC 2617": {`Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"`, credentials{"Mufasa", "Circle Of Life"}, "/dir/index.html", "0a4f113b", []string{
			`response="6629fae49393a05397450978507c4ef1"`}},
		"without qop": {`Digest realm="cam", nonce="abc"`, credentials{"admin", "pass"}, "/v?x=1", "", []string{
			`Digest username="admin", realm="cam", nonce="abc", uri="/v?x=1", response="c30a2f1f1cea8baac4937f1fde501b90"`}},
		"session": {`Digest realm="cam", nonce="abc", algorithm=MD5-sess, qop=auth`, credentials{"admin", "pass"}, "/v", "xyz", []string{
			`response="9e4c5c539864b4e32dbd749b911d4a4d"`, "algorithm=MD5-sess"}},
		"hashed user": {`Digest realm="cam", nonce="abc", algorithm=SHA-256, userhash=true, qop=auth`, credentials{"admin", "pass"}, "/v", "xyz", []string{
			`username="16e84a055d68efdab9ebfdf98621c95dcdc0892ccb6e32bfb5131a5a55fdee58"`, "userhash=true"}},
		"quotes": {`Digest realm="a \"b\" \\", nonce="abc"`, credentials{`me "too"`, "x"}, "/", "", []string{
			`username="me \"too\"", realm="a \"b\" \\"`}},
		"RFC 7617": {`Basic realm="WallyWorld"`, credentials{"Aladdin", "open sesame"}, "/", "", []string{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}},
	} {
		t.Run(name, func(t *testing.T) {
			got := strongest([]string{c.challenge}).authorization(c.who, c.uri, c.cnonce, 1)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
}

func FuzzParseChallenges(f *testing.F) {
	f.Add(`Digest realm="a, \"b\"", nonce=abc, qop = "auth", Basic realm="r"`)
	f.Add(`"=",,= Negotiate abc==`)
	f.Fuzz(func(t *testing.T, header string) {
		if c := strongest([]string{header}); c != nil {
			if got := c.authorization(credentials{"u", "p"}, "/", "n", 1); got == "" {
				t.Error("no answer to a known challenge")
			}
		}
	})
}
