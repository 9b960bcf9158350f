package mmfi

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// Problem is something wrong with a part of a data set.
type Problem struct {
	Kind   Kind   `json:"kind"`
	Path   string `json:"path"`             // below the data set's folder, with slashes
	Frames string `json:"frames,omitempty"` // numbers as in the names, or of poses from 1, e.g. "3,7-9"
	Count  int    `json:"count"`            // of files or poses
	Detail string `json:"detail"`           // what is wrong and what helps
}

// String returns the problem as one line.
func (p Problem) String() string {
	frames := ""
	if p.Frames != "" {
		frames = " frames " + p.Frames
	}
	return fmt.Sprintf("%s: %s%s: %s", p.Kind, p.Path, frames, p.Detail)
}

// Misplaced returns what lies in the folder and is never read: empty clips, folders
// inside folders of the same name, links that lead nowhere.
func (d *Directory) Misplaced() []Problem { return d.misplaced }

// Root returns the folder that holds the environments: the one that was given or,
// where an archive was unpacked into a folder of its own, that.
func (d *Directory) Root() string { return d.root }

// levelName matches the folders of MM-Fi's three levels, in any case and order.
var levelName = regexp.MustCompile(`(?i)^[ESA][0-9]{1,2}$`)

// junk reports names that archives and file managers leave, and files that some
// readers use, which are no mistakes.
func junk(name string) bool {
	return strings.HasPrefix(name, ".") || name == "__MACOSX" || name == "Thumbs.db" || name == "desktop.ini"
}

// strays finds folders that look like parts of the data set but are not where one
// is read.
func (d *Directory) strays() (found []Problem) {
	add := func(kind Kind, at, detail string) {
		found = append(found, Problem{Kind: kind, Path: at, Count: 1, Detail: detail})
	}
	var visit func(at string, depth int, wanted func(name string) bool)
	visit = func(at string, depth int, wanted func(name string) bool) {
		entries, err := os.ReadDir(filepath.Join(d.root, filepath.FromSlash(at)))
		if err != nil {
			return // told by listClips
		}
		for _, e := range entries {
			name, below := e.Name(), path.Join(at, e.Name())
			info, statErr := os.Stat(filepath.Join(d.root, filepath.FromSlash(below)))
			switch {
			case junk(name) || !levelName.MatchString(name):
				if strings.HasSuffix(name, partialSuffix) {
					add(Misplaced, below, "an unfinished clip: write it again or remove it")
				}
			case statErr != nil:
				add(Unreadable, below, "a link that leads nowhere")
			case !info.IsDir():
				add(Misplaced, below, "is a file, not a folder")
			case !wanted(name):
				add(Misplaced, below, "nothing reads a folder here: "+expectedBelow(depth))
			case depth < 2:
				visit(below, depth+1, d.wantedBelow(depth+1, name))
			}
		}
	}
	visit("", 0, d.wantedBelow(0, ""))
	return found
}

// wantedBelow returns which names are read on a level, 0 for environments, below
// the folder parent.
func (d *Directory) wantedBelow(depth int, parent string) func(name string) bool {
	return func(name string) bool {
		var n int
		switch depth {
		case 0:
			_, err := fmt.Sscanf(name, "E%02d", &n)
			return err == nil && n >= 1 && n <= 4 && name == fmt.Sprintf("E%02d", n)
		case 1:
			_, err := fmt.Sscanf(name, "S%02d", &n)
			return err == nil && n >= 1 && n <= NumSubjects && parent+"/"+name == fmt.Sprintf("E%02d/S%02d", Environment(n), n)
		default:
			_, ok := activityOf(name)
			return ok
		}
	}
}

func expectedBelow(depth int) string {
	return [...]string{"the data set's folder holds E01 to E04", "E01 holds S01 to S10, E02 S11 to S20 and so on", "a subject's folder holds A01 to A27"}[depth]
}
