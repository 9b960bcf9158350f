package camera

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"

	"posefuse/setting"
)

// redacted returns a URL as it may be shown: without user and password, which
// may also lie in its query. It takes any text; where a / ? or # that is not
// escaped leaves unclear how far a password goes, nothing else is left.
func redacted(raw string) string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || strings.ContainsFunc(scheme, func(r rune) bool { return !unicode.IsLetter(r) }) {
		return "..."
	}
	host, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if strings.Contains(path, "@") {
		return scheme + "://..."
	}
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = "..." + host[i:]
	}
	path, _, _ = strings.Cut(path, "#")
	path, _, query := strings.Cut(path, "?")
	if query {
		path += "?..."
	}
	return scheme + "://" + host + path
}

var (
	errNoURL    = errors.New("no URL; write for example http://192.168.0.90/video.mjpg, and %2F, %3F, %23, %40 for / ? # @ in a user or password")
	errAtInPath = errors.New("an @ behind the host; write %2F, %3F, %23, %40 for / ? # @ in a user or password, and %40 for @ in a path")
)

// parseURL parses a camera's URL. Its errors hold nothing of it.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "" {
		return nil, errNoURL // what url.Parse says may hold a password
	}
	if strings.Contains(u.EscapedPath(), "@") {
		return nil, errAtInPath
	}
	return u, nil
}

// checkLogin finds what cannot work in a camera's URL with the keys user and
// password_file beside it.
func checkLogin(p *setting.Problems, u *url.URL, user, passwordFile string) {
	name, inURL := "", u.User != nil
	if inURL {
		name = u.User.Username()
	}
	_, password := u.User.Password()
	switch {
	case inURL && user != "":
		p.Add("user", "the url has a user, too; keep one of them")
	case passwordFile != "" && password:
		p.Add("password_file", "the url has a password, too; keep one of them")
	case passwordFile != "" && user == "" && name == "":
		p.Add("password_file", "a password without a user; set user, too")
	}
	if strings.ContainsFunc(user+name, unicode.IsControl) || strings.Contains(user+name, ":") {
		p.Add("user", "a user's name has no colon and no control characters")
	}
}

// readLogin returns who logs in; nobody if the settings name no user.
func readLogin(u *url.URL, user, passwordFile string) (credentials, error) {
	who := credentials{user: user}
	if u.User != nil {
		who.user = u.User.Username()
		who.password, _ = u.User.Password()
	}
	if passwordFile == "" {
		return who, nil
	}
	b, err := setting.ReadFile(passwordFile, setting.MaxFile)
	if err != nil {
		return credentials{}, &setting.Problem{Key: "password_file", Err: err}
	}
	line, _, _ := strings.Cut(string(b), "\n")
	who.password = strings.TrimSuffix(line, "\r")
	if who.password == "" || strings.ContainsFunc(who.password, unicode.IsControl) {
		return credentials{}, &setting.Problem{Key: "password_file", Err: fmt.Errorf("%s: its first line is no password; write it there, and nothing else", passwordFile)}
	}
	return who, nil
}
